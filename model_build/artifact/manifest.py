"""The manifest of a model: `manifest.json`, format 2, or 1 if no view is an `ExpertsView`.

It tells inference what the labels are, how an image becomes the network's input and how outputs become
probabilities, and it records where the model comes from and what was measured. The fields of the classes
below are the keys of the file, in its order.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from model_build.artifact.digests import file_digests
from model_build.errors import ModelBuildError

FILE_NAME: Final = "manifest.json"
NETWORK: Final = "model.onnx"
"""The trained network; pretrained ones have names of their own."""
FORMATS: Final = (1, 2)
CHANNELS: Final = 3
EXTRA: Final = "extra"

Record = TypeVar("Record")


class ManifestError(ModelBuildError):
    """A manifest is missing or invalid; the message names the file and the key."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """What turns pixels in 0..1 into the network's input: `(pixel - mean) / std`.

    Attributes:
        std: likewise, above 0.
    """

    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        for key in ("mean", "std"):
            value = getattr(self, key)
            numbers = value if isinstance(value, tuple) else (value,) * CHANNELS
            _check(
                len(numbers) == CHANNELS and all(map(_is_number, numbers)), key, "one or three numbers", value
            )
        _check(all(one > 0 for one in _tuple(self.std)), "std", "above 0", self.std)


@dataclass(frozen=True, kw_only=True)
class View:
    """How inference presents an image to the network.

    Attributes:
        up_to: pixels that the shorter side of an image has at most for this view; None for any image.
        side: of the square with about as many pixels as the network's input.
        margin: mirrored border around the image, as a share of its sides; None for no border.
        softness: factor on the temperature; None for 1.
        prior_weight: weight of the pretrained head's log prior; None for 0.
    """

    up_to: int | None = None
    side: int
    margin: float | None = None
    mirror: bool
    softness: float | None = None
    prior_weight: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        _check(self.up_to is None or _is_count(self.up_to), "up_to", "a whole number above 0", self.up_to)
        _check(_is_count(self.side), "side", "a whole number above 0", self.side)
        _check(self.margin is None or _is_number(self.margin, 0), "margin", "0 or more", self.margin)
        _check(isinstance(self.mirror, bool), "mirror", "true or false", self.mirror)
        _check(self.softness is None or _is_positive(self.softness), "softness", "above 0", self.softness)
        weight = self.prior_weight
        _check(weight is None or _is_number(weight, 0), "prior_weight", "0 or more", weight)


@dataclass(frozen=True, kw_only=True)
class Expert:
    """A pretrained network and which of its outputs mean the labels.

    Attributes:
        side: of the square with about as many pixels as the network's input.
        normalisation: of the pixels.
    """

    file: str
    side: int
    normalisation: Normalisation
    outputs: Mapping[str, tuple[int, ...]]
    origin: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        plain = isinstance(self.file, str) and self.file == Path(self.file).name and self.file[:1] not in ".-"
        _check(plain, "file", "a file name", self.file)
        _check(_is_count(self.side), "side", "a whole number above 0", self.side)
        known = isinstance(self.outputs, Mapping) and all(map(_are_indices, self.outputs.values()))
        _check(known, "outputs", "one output or more of each label", self.outputs)

    @classmethod
    def from_json(cls, document: Any, where: str) -> "Expert":
        """Return the expert that a parsed JSON object describes."""
        values = _object(document, where)
        if "normalisation" in values:
            values["normalisation"] = _record(
                Normalisation, values["normalisation"], f"{where}normalisation."
            )
        if isinstance(values.get("outputs"), Mapping):
            values["outputs"] = {label: _frozen(one) for label, one in values["outputs"].items()}
        return _record(cls, values, where)


@dataclass(frozen=True, kw_only=True)
class Experts:
    """Pretrained networks whose predictions are multiplied (`expert_logits` of serving/inference.py).

    Attributes:
        detector: finds objects; each output is the logit of the most confident box. None for no detector.
    """

    weight: float
    floor: float
    classifier: Expert
    detector: Expert | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        _check(_is_positive(self.weight), "weight", "above 0", self.weight)
        _check(_is_positive(self.floor) and self.floor < 1, "floor", "above 0 and below 1", self.floor)

    def all(self) -> tuple[Expert, ...]:
        """Return the classifier and, if there is one, the detector."""
        return (self.classifier, self.detector) if self.detector else (self.classifier,)

    @classmethod
    def from_json(cls, document: Any, where: str) -> "Experts":
        """Return the experts that a parsed JSON object describes."""
        values = _object(document, where)
        for role in ("classifier", "detector"):
            if role in values:
                values[role] = Expert.from_json(values[role], f"{where}{role}.")
        return _record(cls, values, where)


@dataclass(frozen=True, kw_only=True)
class ExpertsView:
    """Images that pretrained networks classify instead of the trained one."""

    up_to: int | None = None
    experts: Experts
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        _check(self.up_to is None or _is_count(self.up_to), "up_to", "a whole number above 0", self.up_to)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What the model was trained on.

    Attributes:
        sha256: hexadecimal digest of each archive, by file name.
        photos: digests of the labelled photos, see `data.hold_out.photo_digest`; None if there were none.
    """

    sha256: Mapping[str, str]
    images: Mapping[str, int]
    photos: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        for key in ("sha256", "images"):
            _check(isinstance(getattr(self, key), Mapping), key, "an object", getattr(self, key))
        digests = isinstance(self.photos, tuple) and all(isinstance(one, str) for one in self.photos)
        _check(self.photos is None or digests, "photos", "a list of digests", self.photos)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest of one model.

    Attributes:
        outputs: names of the network's outputs: the labels, then the classes of the negatives; None for the
            labels alone.
        input_size: height and width of the network's input in training, in pixels.
        normalisation: of the pixels.
        default_threshold: confidence from which an answer is accepted, 0 to 1.
        files: SHA-256 digests of the networks, by file name; None for a model that was written without.
    """

    labels: tuple[str, ...]
    outputs: tuple[str, ...] | None = None
    input_size: tuple[int, ...] | None = None
    normalisation: Normalisation
    temperature: float
    views: tuple[View | ExpertsView, ...]
    default_threshold: float
    training_data: TrainingData | None = None
    starts_from: Mapping[str, Any] | None = None
    recipe: Mapping[str, Any] | None = None
    torch: str | None = None
    metrics: Mapping[str, Any] | None = None
    files: Mapping[str, str] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        _check(_are_names(self.labels) and len(self.labels) > 0, "labels", "different names", self.labels)
        if self.outputs is not None:
            starts = self.outputs[: len(self.labels)] == self.labels
            _check(_are_names(self.outputs) and starts, "outputs", "names, the labels first", self.outputs)
        if self.input_size is not None:
            pair = len(self.input_size) == 2 and all(map(_is_count, self.input_size))  # noqa: PLR2004
            _check(pair, "input_size", "height and width in pixels", self.input_size)
        _check(_is_positive(self.temperature), "temperature", "above 0", self.temperature)
        _check(len(self.views) > 0, "views", "one view or more", self.views)
        for expert in self.experts:
            _check(set(expert.outputs) == set(self.labels), "outputs", "of all labels", expert.outputs)
        accepted = _is_number(self.default_threshold, 0) and self.default_threshold <= 1
        _check(accepted, "default_threshold", "a number from 0 to 1", self.default_threshold)
        for key in ("starts_from", "recipe", "metrics", "files"):
            value = getattr(self, key)
            _check(value is None or isinstance(value, Mapping), key, "an object", value)
        _check(self.torch is None or isinstance(self.torch, str), "torch", "a version", self.torch)

    @property
    def trained_classes(self) -> tuple[str, ...]:
        """The names of the network's outputs, labels included."""
        return self.labels if self.outputs is None else self.outputs

    @property
    def experts(self) -> tuple[Expert, ...]:
        """The pretrained networks of all views."""
        return tuple(
            one for view in self.views if isinstance(view, ExpertsView) for one in view.experts.all()
        )

    @property
    def networks(self) -> tuple[str, ...]:
        """The file names of all networks."""
        return (NETWORK, *(one.file for one in self.experts))

    @classmethod
    def from_json(cls, document: Any) -> "Manifest":
        """Return the manifest that a parsed JSON document describes.

        Raises:
            ManifestError: the document is of another format, lacks a key or has an invalid value.
        """
        if not isinstance(document, Mapping):
            raise ManifestError("must be a JSON object")
        if document.get("format") not in FORMATS:
            numbers = " and ".join(map(str, FORMATS))
            raise ManifestError(f"format is {document.get('format')!r}, this version reads {numbers}")
        values = {key: value for key, value in document.items() if key != "format"}
        for key in ("labels", "outputs", "input_size", "views"):
            if key in values:
                _check(isinstance(values[key], list), key, "a list", values[key])
                values[key] = tuple(values[key])
        if "views" in values:
            values["views"] = tuple(
                _view(view, f"views[{number}].") for number, view in enumerate(values["views"])
            )
        for key, kind in (("normalisation", Normalisation), ("training_data", TrainingData)):
            if key in values:
                values[key] = _record(kind, values[key], f"{key}.")
        return _record(cls, values)

    @classmethod
    def read(cls, folder: Path, name: str | None = None) -> "Manifest":
        """Read `manifest.json` of a model folder.

        Args:
            name: what messages call the model; the folder by default.

        Raises:
            ManifestError: there is no manifest, or it is invalid.
        """
        name = name or str(folder)
        try:
            return cls.from_json(json.loads((folder / FILE_NAME).read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise ManifestError(
                f"{name} has no {FILE_NAME}: give a folder written by `model_build train`, or a model.tar.gz"
            ) from error
        except OSError as error:
            raise ManifestError(f"{name}: {FILE_NAME} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{name}: {FILE_NAME} is not JSON: {error}") from error
        except ManifestError as error:
            raise ManifestError(f"{name}: {FILE_NAME} is invalid: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the document, ready for `json.dumps`."""
        return {"format": FORMATS[1] if self.experts else FORMATS[0], **_document(self)}

    def write(self, folder: Path) -> Path:
        """Write `manifest.json` into a model folder, with the digests of the networks that are there.

        Equal manifests and networks give equal bytes.
        """
        path = folder / FILE_NAME
        digests = file_digests(folder, self.networks) or None
        path.write_text(
            json.dumps(replace(self, files=digests).to_json(), indent=2, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )
        return path


# ------------------------------------------------------------------ from and to JSON


def _view(document: Any, where: str) -> View | ExpertsView:
    values = _object(document, where)
    if "experts" not in values:
        return _record(View, values, where)
    values["experts"] = Experts.from_json(values["experts"], f"{where}experts.")
    return _record(ExpertsView, values, where)


def _object(document: Any, where: str) -> dict[str, Any]:
    _check(isinstance(document, Mapping), where.rstrip("."), "an object", document)
    return dict(document)


def _record(kind: type[Record], document: Any, where: str = "") -> Record:
    """Make a record of a JSON object; keys that it does not know are kept in `extra`."""
    _check(isinstance(document, Mapping), where.rstrip("."), "an object", document)
    known = {one.name: one for one in fields(cast("Any", kind)) if one.name != EXTRA}
    values = {key: _frozen(value) for key, value in document.items() if key in known}
    extra = {key: value for key, value in document.items() if key not in known}
    missing = [name for name, one in known.items() if one.default is MISSING and name not in values]
    if missing:
        raise ManifestError(f"{where}{missing[0]} is missing")
    try:
        return cast("Callable[..., Record]", kind)(**values, extra=extra)
    except ManifestError as error:
        raise ManifestError(f"{where}{error}") from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _document(value: Any) -> Any:
    """Return a record as JSON values: fields without a value are omitted."""
    if is_dataclass(value) and not isinstance(value, type):
        document = {
            one.name: _document(getattr(value, one.name))
            for one in fields(value)
            if one.name != EXTRA and getattr(value, one.name) is not None
        }
        return {**document, **getattr(value, EXTRA)}
    if isinstance(value, Mapping):
        return {key: _document(one) for key, one in value.items()}
    return [_document(one) for one in value] if isinstance(value, list | tuple) else value


# ------------------------------------------------------------------ checks


def _check(holds: bool, key: str, wanted: str, value: object) -> None:
    if not holds:
        raise ManifestError(f"{key} must be {wanted}, not {json.dumps(_document(value), default=repr)}")


def _is_number(value: object, lowest: float | None = None) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return False
    return lowest is None or value >= lowest


def _is_positive(value: object) -> bool:
    return _is_number(value, 0) and value != 0


def _is_count(value: object) -> bool:
    return _is_positive(value) and isinstance(value, int)


def _are_indices(values: object) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) > 0
        and all(_is_number(one, 0) and isinstance(one, int) for one in values)
    )


def _are_names(values: Sequence[object]) -> bool:
    return all(isinstance(one, str) and one for one in values) and len(set(values)) == len(values)


def _tuple(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)
