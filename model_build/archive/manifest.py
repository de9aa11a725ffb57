"""The manifest of a model, `manifest.json`: format 3 with a head, 2 with pretrained networks, else 1.

It describes the labels, how an image becomes a network's input and how outputs become probabilities, where
the model comes from and what was measured. The fields of the classes below are the keys of the file, in its
order; unknown keys are kept. `serving/inference.py` reads the file by itself, without this module.

It also has the networks' digests: an archive's own checksum shows damage on the way, a digest also a network
that was exchanged, and damage in a folder. Models from before there were digests have none.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from commandline.terminal import visible
from model_build.data.extract import digest
from model_build.errors import ModelBuildError

FILE_NAME: Final = "manifest.json"
NETWORK: Final = "model.onnx"
"""The trained network; pretrained ones have names of their own."""
FORMATS: Final = (1, 2, 3)
CHANNELS: Final = 3
LONGEST: Final = 200  # characters of a file's content in a message


class ManifestError(ModelBuildError):
    """A manifest is missing or invalid; the message names the file and the key."""


class DamagedModelError(ModelBuildError):
    """A file of a model is not the one that its manifest describes."""


def _plain(name: str) -> str:
    if name != Path(name).name or name[:1] in ".-":
        raise ValueError("must be a file name")
    return name


def _printable(name: str) -> str:
    if not name or visible(name) != name:
        raise ValueError("must be a name without control characters")
    return name


def _all_channels(values: float | tuple[float, ...]) -> float | tuple[float, ...]:
    if isinstance(values, tuple) and len(values) != CHANNELS:
        raise ValueError("must be one number or three")
    return values


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError("must be different names")
    return names


Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(gt=0, le=4096)]  # pixels
FileName = Annotated[str, AfterValidator(_plain)]
Names = Annotated[
    tuple[Annotated[str, Field(max_length=LONGEST), AfterValidator(_printable)], ...],
    Field(min_length=1),
    AfterValidator(_different),
]
Outputs = Annotated[tuple[Annotated[int, Field(ge=0, lt=1_000_000)], ...], Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, extra="allow", allow_inf_nan=False, populate_by_name=True, defer_build=True
    )


class Normalisation(_Part):
    """A network's input is `(pixel - mean) / std` of pixels in 0..1; one number, or one per channel."""

    mean: Annotated[float | tuple[float, ...], AfterValidator(_all_channels)]
    std: Annotated[Positive | tuple[Positive, ...], AfterValidator(_all_channels)]


class Network(_Part):
    """A pretrained network."""

    file: FileName
    side: Side  # of the square with about as many pixels as the network's input
    normalisation: Normalisation


class Expert(Network):
    """A pretrained network, and the indices of its outputs that mean a label."""

    outputs: dict[str, Outputs]
    origin: dict[str, Any] | None = None  # what the network is, where it comes from, its licence


class Experts(_Part):
    """Pretrained networks whose odds are multiplied (`expert_logits` of serving/inference.py)."""

    weight: Positive  # exponent of the product of odds
    floor: Annotated[float, Field(gt=0, lt=1)]  # probability below which no network is believed
    classifier: Expert  # its outputs are logits of one softmax
    detector: Expert | None = None  # each output is the logit of the most confident box
    confusable: Outputs | None = None  # the classifier's classes that are easily confused with the labels


class Head(_Part):
    """A linear function of networks' features, learned from labelled photos; added to the experts' odds."""

    file: FileName  # NumPy's npz: `weights` (features, outputs) and `bias` (outputs,)
    networks: Annotated[tuple[Network, ...], Field(min_length=1)]  # each with an output `features`
    temperature: Positive  # divides the sum
    turned: Annotated[float, Field(ge=0, lt=1 / 3)] | None = None  # prior probability of each of three turns


class View(_Part):
    """How images up to a size are classified: by the trained network, or by pretrained ones."""

    up_to: Annotated[int, Field(gt=0)] | None = None  # pixels of the shorter side; None for any image
    side: Side | None = None  # of the square with about as many pixels as the network's input
    margin: Annotated[float, Field(ge=0, le=1)] | None = None  # mirrored border, as a share of the sides
    mirror: bool | None = None  # whether the logits are averaged with those of the mirrored image
    temperature_scale: Positive | None = Field(
        default=None, validation_alias="softness", serialization_alias="softness"
    )
    prior_weight: Annotated[float, Field(ge=0)] | None = None  # of the pretrained head's log prior
    experts: Experts | None = None
    head: Head | None = None

    @model_validator(mode="after")
    def _complete(self) -> "View":
        missing = [key for key in ("side", "mirror") if getattr(self, key) is None]
        if missing and self.experts is None and self.head is None:
            raise ValueError(f"{missing[0]} is missing")
        return self


class TrainingData(_Part):
    """What the model was trained on."""

    sha256: dict[str, str]  # by name of the archive
    images: dict[str, int]  # by class
    photos: tuple[str, ...] | None = None  # digests of labelled photos, see `photo_digest`


class Manifest(_Part):
    """The manifest of one model."""

    labels: Names  # in the order of the answer
    outputs: Names | None = None  # of the trained network: the labels, then the classes of negatives
    input_size: tuple[Side, Side] | None = None  # height and width in training
    normalisation: Normalisation
    temperature: Positive
    views: Annotated[tuple[View, ...], Field(min_length=1)]  # the first that fits the image's size is used
    default_threshold: Annotated[float, Field(ge=0, le=1)]
    training_data: TrainingData | None = None
    starts_from: dict[str, Any] | None = None  # the pretrained network, and its licence
    recipe: dict[str, Any] | None = None
    torch: str | None = None
    metrics: dict[str, Any] | None = None  # on the archives' test images, as `evaluate --json` names them
    files: dict[FileName, Sha256] | None = None  # digests of the networks; None if written without

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if self.outputs and self.outputs[: len(self.labels)] != self.labels:
            raise ValueError("outputs must begin with the labels")
        if any(set(expert.outputs) != set(self.labels) for expert in self.experts):
            raise ValueError("outputs of a pretrained network must be of all labels")
        return self

    @property
    def trained_classes(self) -> tuple[str, ...]:
        """The names of the network's outputs, labels included."""
        return self.labels if self.outputs is None else self.outputs

    @property
    def experts(self) -> tuple[Expert, ...]:
        """The pretrained networks of all views."""
        experts = [one for view in self.views if (one := view.experts)]
        return tuple(one for both in experts for one in (both.classifier, both.detector) if one)

    @property
    def heads(self) -> tuple[Head, ...]:
        """The learned heads of all views."""
        return tuple(view.head for view in self.views if view.head)

    @property
    def networks(self) -> tuple[str, ...]:
        """The file names of all networks and heads."""
        files = [expert.file for expert in self.experts]
        for head in self.heads:
            files += [*(network.file for network in head.networks), head.file]
        return tuple(dict.fromkeys([NETWORK, *files]))

    @classmethod
    def from_json(cls, document: Any) -> "Manifest":
        """Return the manifest that a parsed JSON document describes; a ManifestError if it is invalid."""
        if not isinstance(document, Mapping):
            raise ManifestError("must be a JSON object")
        values = dict(document)
        number = values.pop("format", None)
        if number not in FORMATS or isinstance(number, bool):
            raise ManifestError(f"format is {_shown(number)}, this version reads 1, 2 and 3")
        try:
            return cls.model_validate_json(json.dumps(values, allow_nan=False))
        except ValidationError as error:
            raise ManifestError(_reason(error)) from error
        except (ValueError, RecursionError) as error:  # NaN and infinity, which Python's reader lets pass
            raise ManifestError(_shown(str(error))) from error

    @classmethod
    def read(cls, folder: Path, name: str | None = None) -> "Manifest":
        """Read `manifest.json` of a model folder; messages call it `name`, the folder by default."""
        name = name or str(folder)
        try:
            return cls.from_json(parse((folder / FILE_NAME).read_bytes()))
        except FileNotFoundError as error:
            raise ManifestError(
                f"{name} has no {FILE_NAME}: give a folder written by `scones model train`, or a model.tar.gz"
            ) from error
        except OSError as error:
            raise ManifestError(f"{name}: {FILE_NAME} cannot be read: {error.strerror}") from error
        except ManifestError as error:
            raise ManifestError(f"{name}: {FILE_NAME} is invalid: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the document, ready for `json.dumps`."""
        number = 3 if self.heads else 2 if self.experts else 1
        return {"format": number, **self.model_dump(mode="json", by_alias=True, exclude_none=True)}

    def write(self, folder: Path) -> Path:
        """Write `manifest.json` into a model folder, with the digests of the networks that are there.

        Equal manifests and networks give equal bytes.
        """
        described = self.model_copy(update={"files": file_digests(folder, self.networks) or None})
        path = folder / FILE_NAME
        text = json.dumps(described.to_json(), indent=2, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        return path


def parse(content: bytes) -> Any:
    """Return the JSON document in a manifest's bytes, whatever they are."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"not JSON: {_shown(str(error))}") from error


def _reason(error: ValidationError) -> str:
    """Return the first reason as part of one line: `views[1].side must be …, not …`."""
    one = error.errors(include_url=False)[0]
    where = ""
    for part in one["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        elif not part.startswith(("tuple[", "float", "constrained-")):  # pydantic's names of alternatives
            where += f".{part}" if where else part
    message = one["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if one["type"] == "missing":
        return f"{_shown(where)} is missing"
    if message.endswith("is missing"):
        return f"{_shown(where)}.{message}"
    given = f", not {_shown(one['input'])}" if where else ""
    return f"{_shown(where)} {message}{given}".strip()


def _shown(value: Any) -> str:
    """Return a value from outside as part of one line."""
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    return visible(text.encode("utf-8", "replace").decode())[:LONGEST]


def file_digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 digests, in hexadecimal, of those of some files that a folder has; by name."""
    return {name: digest(folder / name) for name in names if (folder / name).is_file()}


def require_equal(expected: Mapping[str, Any] | None, found: Mapping[str, str], model: str) -> None:
    """Compare the digests of a model's files with those in its manifest, if it has any."""
    for name, wanted in (expected or {}).items():
        if name not in found:
            raise DamagedModelError(f"{model} has no {name}, which its manifest names: get the model again")
        if found[name] != wanted:
            raise DamagedModelError(
                f"{model}: {name} is damaged or another model's: its SHA-256 is {found[name][:12]}…, the "
                f"manifest says {_shown(wanted)[:12]}…; get the model again, or train it anew"
            )
