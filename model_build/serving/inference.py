"""Classify an image: the four handler functions that SageMaker's containers call.

The same file serves the local cloud, an AWS endpoint and `model_build evaluate|predict`. It is independent of
the classes: `manifest.json`, beside `model.onnx`, tells what the labels are, which networks classify an image
of which size, how it becomes their input, and how outputs become probabilities.

Contract (the same as SageMaker's built-in image classification): the body is an encoded image, the answer a
JSON list of probabilities in label order that sums to 1. Handler functions:
https://github.com/aws/sagemaker-inference-toolkit#implement-a-handler-service

The servers also send `custom_attributes`, and those of the prediction, in a header which InvokeEndpoint
returns as `CustomAttributes`: a caller compares the labels with those that it expects.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import math
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

try:  # AWS's inference toolkit, in images that have it, passes on the status of its own errors only
    from sagemaker_inference.errors import BaseInferenceToolkitError as RequestError
except ImportError:
    RequestError = ValueError

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, np.dtype[Any]]

CONTENT_TYPES = ("image/png", "image/jpeg", "application/x-image")
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # and HEIF, if pillow-heif is installed
_RAW_TAGS = {50706, 330}  # DNGVersion, SubIFDs: the first image of a raw photo is a placeholder or a preview
MAX_PIXELS = 64_000_000  # beyond any phone's camera in its usual mode; about 200 MB once decoded
WORKING_SIDE = 256  # pixels, as SerializeImage sends; more detail brought nothing
MULTIPLE = 16  # sides of a view: the network halves them five times
LONGEST = 2.5  # times as long as wide
MANIFEST_FORMATS = (1, 2, 3)  # 2 adds views of pretrained networks, 3 a head learned on their features
FEATURES = "features"  # output of a network: its pooled feature map, shape (1, features)
OUTWEIGHS = 4.0  # probability of what is confusable, relative to the label's
SURE = 1.0  # log odds of a detector's box
KEPT = 0.2  # of the probability of a label that is confused
TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
NETWORK = "model.onnx"
CUSTOM_ATTRIBUTES_LIMIT = 1024  # characters, InvokeEndpoint's own limit
VERSION_VARIABLE = "MODEL_VERSION"  # of the container's environment; `model_build deploy` sets it


class BadRequest(RequestError):  # noqa: N818 - part of the contract: HTTP's own name
    """The request cannot be classified; `status_code` is the HTTP status of the answer."""

    def __init__(self, message: str, status_code: int = 400) -> None:
        Exception.__init__(self, message)
        self.status_code, self.message, self.phrase = status_code, message, message


@dataclass(frozen=True)
class Model:
    """A loaded model; `model.onnx` is the network trained on thumbnails."""

    manifest: dict[str, Any]
    networks: dict[str, onnxruntime.InferenceSession]  # by file name
    # Of the views' heads, by file name: `weights` (features, outputs) and `bias` (outputs,).
    heads: dict[str, dict[str, Array]] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """Class labels in the order of the answer."""
        return list(self.manifest["labels"])


class Prediction(list[float]):
    """One probability per label, each with an equal part of the probability of "none of them"."""

    custom_attributes = ""  # that probability, from a model that has learned it: `neither=0.981234`


# The four handlers


def model_fn(model_dir: str, context: object | None = None) -> Model:  # noqa: ARG001 - the container passes it
    """Load the networks and `manifest.json` from a folder; a damaged network might answer nonsense."""
    folder = Path(model_dir)
    _file(folder, NETWORK)
    manifest = json.loads(_file(folder, "manifest.json").read_text(encoding="utf-8"))
    if manifest.get("format") not in MANIFEST_FORMATS:
        readable = ", ".join(map(str, MANIFEST_FORMATS))
        raise ValueError(f"manifest format {manifest.get('format')!r}, this inference.py reads {readable}")
    for name, expected in manifest.get("files", {}).items():
        found = hashlib.sha256(_file(folder, name).read_bytes()).hexdigest()
        if found != expected:
            raise ValueError(
                f"{name} is damaged or another model's: its SHA-256 is {found[:12]}…, the manifest says "
                f"{expected[:12]}…"
            )
    names, heads = {NETWORK}, {}
    for one in manifest["views"]:
        experts = one.get("experts", {})
        names |= {experts[role]["file"] for role in ("classifier", "detector") if role in experts}
        if head := one.get("head"):
            names |= {network["file"] for network in head["networks"]}
            with np.load(_file(folder, head["file"]), allow_pickle=False) as arrays:
                heads[head["file"]] = {
                    key: np.asarray(arrays[key], np.float64) for key in ("weights", "bias")
                }
    return Model(manifest, {name: load_network(_file(folder, name)) for name in sorted(names)}, heads)


def _file(folder: Path, name: str) -> Path:
    """Return the path of a file that a model folder must have."""
    if not (folder / name).is_file():
        raise FileNotFoundError(f"{folder} has no {name}: not a folder written by `model_build train`")
    return folder / name


def load_network(network: Path) -> onnxruntime.InferenceSession:
    """Load an ONNX file for one thread: more threads cost a small network more than they gain."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])


def input_fn(body: bytes, content_type: str | None = None, context: object | None = None) -> Image.Image:  # noqa: ARG001
    """Decode an encoded image; None as its type means `application/x-image`.

    Returns an RGB image, upright, its longer side at most `WORKING_SIDE` pixels. A BadRequest if the body is
    not an image, is damaged or has too many pixels, or the type is not supported.
    """
    kind = (content_type or "application/x-image").split(";")[0].strip().lower()
    if kind not in CONTENT_TYPES:
        known = ", ".join(CONTENT_TYPES)
        raise BadRequest(f"content type {kind!r} is not supported; send one of {known}", 415)
    if not body:
        raise BadRequest("the request has no body; send the bytes of an image")
    return decode(bytes(body))


def predict_fn(data: Image.Image, model: Model, context: object | None = None) -> Prediction:  # noqa: ARG001
    """Classify one decoded image; the result has the labels' order and sums to 1."""
    logits, prior = logits_and_prior(model, data, view_for(data, model.manifest["views"]))
    labels = len(model.labels)
    result = Prediction(map(float, label_probabilities(logits, labels, prior)))
    if len(logits) > labels:
        result.custom_attributes = f"neither={label_shares(logits, labels, prior)[-1]:.6f}"
    return result


def output_fn(prediction: list[float], accept: str | None = None, context: object | None = None) -> str:  # noqa: ARG001
    """Encode the answer as JSON."""
    return json.dumps(prediction)


def custom_attributes(model: Model) -> str:
    """Return what identifies the model to a caller: `labels=bicycle,motorcycle;model_version=scones-2026…`.

    Both are percent-encoded. A version that is not known is absent, as are labels that are too many.
    """
    version = quote(os.environ.get(VERSION_VARIABLE, ""), safe="")
    labels = ",".join(quote(label, safe="") for label in model.labels)
    fields = [f"model_version={version}"] if version else []
    if len(labels) + len("labels=;;neither=0.000000") + sum(map(len, fields)) <= CUSTOM_ATTRIBUTES_LIMIT:
        fields.insert(0, f"labels={labels}")
    return ";".join(fields)


# From bytes to an upright RGB image of bounded size


def decode(body: bytes) -> Image.Image:
    """Decode an image from an untrusted source; see `input_fn` for result and errors."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is stricter
            opened = Image.open(io.BytesIO(body), formats=_formats())
            _check(opened)
            if opened.format == "JPEG":  # skips detail that is discarded below (7 times faster)
                opened.draft("RGB", (WORKING_SIDE, WORKING_SIDE))
            opened.load()
            image = to_8_bits(upright(opened))
            image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX, reducing_gap=None)
            return on_white(to_srgb(image))
    except BadRequest:
        raise
    except Image.DecompressionBombError as error:
        raise BadRequest(f"the image claims more than {MAX_PIXELS} pixels: send a smaller one") from error
    except UnidentifiedImageError as error:  # its own text contains a memory address
        raise BadRequest(f"the body is not a readable image: none of {', '.join(IMAGE_FORMATS)}") from error
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error, ... in Pillow
        raise BadRequest(f"the body is not a readable image ({type(error).__name__}: {error})") from error


def _check(opened: Image.Image) -> None:
    """Refuse an image that would take too much memory, or be shown wrongly, before it is decoded."""
    if opened.width * opened.height > MAX_PIXELS:
        size = f"{opened.width}x{opened.height} pixels"
        raise BadRequest(f"the image claims {size}, more than {MAX_PIXELS}: send a smaller one")
    if _RAW_TAGS & {*getattr(opened, "tag_v2", ())}:
        raise BadRequest("the body is a raw photo: export it as JPEG")


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return the formats that this Pillow can decode: a container's may be older, and know fewer."""
    Image.init()
    TiffImagePlugin.READ_LIBTIFF = True  # Pillow's own reader shows 16 bits in planes as noise
    with contextlib.suppress(ImportError):
        import pillow_heif  # type: ignore[import-untyped]  # noqa: PLC0415 - not in the containers

        pillow_heif.register_heif_opener(thumbnails=False)
    return tuple(name for name in (*IMAGE_FORMATS, "HEIF") if name in Image.OPEN)


# As SerializeImage shows it: functions/serialize_image/photo.py has the same four functions.


def to_8_bits(image: Image.Image, white: int = 65_535) -> Image.Image:
    """Return the image in mode L, RGB, RGBA or CMYK; a plain conversion clips grey above 255 to white."""
    if image.mode.startswith("I") or image.mode == "F":
        return image.convert("I").point(lambda value: value * (255 / white) + 0.5).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF says, if that can be read; browsers do not ask XMP."""
    for name in ("XML:com.adobe.xmp", "xmp"):
        image.info.pop(name, None)
    try:
        turn = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - whatever is wrong with it
        turn = 1
    to = Image.Transpose
    turns = {2: to.FLIP_LEFT_RIGHT, 3: to.ROTATE_180, 4: to.FLIP_TOP_BOTTOM, 5: to.TRANSPOSE}
    turns |= {6: to.ROTATE_270, 7: to.TRANSVERSE, 8: to.ROTATE_90}
    return image.transpose(turns[turn]) if turn in turns else image


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image from its profile to sRGB; a damaged or unfitting one is ignored, as by browsers."""
    # Modes that littlecms reads as they are, by the colour space of the profile (ICC.1:2022, table 19).
    modes = {b"RGB ": ("RGB", "RGBA"), b"GRAY": ("L",), b"CMYK": ("CMYK",)}
    profile = image.info.get("icc_profile") or b""
    if image.mode not in modes.get(profile[16:20], ()):
        return image
    from PIL import ImageCms  # noqa: PLC0415 - most images have no profile, and it loads littlecms

    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        # Browsers render relative to the white of the medium.
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        converted = ImageCms.profileToProfile(image, source, target, renderingIntent=intent, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


def on_white(image: Image.Image) -> Image.Image:
    """Return an RGB image of what is seen of an image on a white page."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")


# From an image to the network's input, from its outputs to probabilities


def view(image: Image.Image, side: int, margin: float = 0.0) -> Array:
    """Scale an image to about as many pixels as a square of `side` has: uint8, shape (height, width, 3).

    Nothing is squashed, and only the ends of very long images are cropped: the whole would show a vehicle too
    small. `margin` is the width of a mirrored border, as a share of the sides: an object that fills a
    thumbnail is recognized more easily with some room around it.
    """
    if margin:
        around = [(round(margin * length),) * 2 for length in (image.height, image.width)]
        image = Image.fromarray(np.pad(np.asarray(image), [*around, (0, 0)], mode="symmetric"))
    width, height = min(image.width, LONGEST * image.height), min(image.height, LONGEST * image.width)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    factor = side / math.sqrt(width * height)
    columns, rows = (max(1, round(one * factor / MULTIPLE)) * MULTIPLE for one in (width, height))
    kind = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    return np.asarray(image.resize((columns, rows), kind, box=(left, top, left + width, top + height)))


def view_for(image: Image.Image, views: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the first view for images of this size: whose shorter side is at most its `up_to`."""
    shorter = min(image.size)
    return next((one for one in views if shorter <= one.get("up_to", math.inf)), views[-1])


def network_input(image: Image.Image, side: int, normalisation: dict[str, Any], margin: float = 0.0) -> Array:
    """Return an image as the input of a network: float32, shape (1, 3, height, width).

    `normalisation` has `mean` and `std` of pixels in 0..1, one number each or one per channel.
    """
    pixels = view(image, side, margin).astype(np.float32) / 255
    pixels = (pixels - np.float32(normalisation["mean"])) / np.float32(normalisation["std"])
    return pixels.transpose(2, 0, 1)[np.newaxis]


def logits_and_prior(model: Model, image: Image.Image, chosen: dict[str, Any]) -> tuple[Array, Array]:
    """Return calibrated logits, shape (outputs,), and the pretrained head's log prior, (labels + 1,).

    There are more outputs than labels if classes of negatives were trained; the prior is of each label and of
    "none of them", zeros without a pretrained head.
    """
    if "experts" in chosen or "head" in chosen:
        return turned_logits(model, image, chosen), np.zeros(len(model.labels) + 1)
    batch = network_input(image, chosen["side"], model.manifest["normalisation"], chosen.get("margin", 0.0))
    if chosen["mirror"]:
        batch = np.concatenate([batch, batch[:, :, :, ::-1]])
    outputs = {name: rows.mean(axis=0) for name, rows in run(model.networks[NETWORK], batch).items()}
    logits = first(outputs) / (float(model.manifest["temperature"]) * float(chosen.get("softness", 1.0)))
    others = [rows for name, rows in outputs.items() if name != FEATURES][1:]
    prior = others[0] if others else np.zeros(len(model.labels) + 1)
    return logits, prior * float(chosen.get("prior_weight", 0.0))


# Photos: a product of pretrained experts, whose outputs mean the labels


@dataclass(frozen=True)
class Look:
    """What the networks of a view make of an image."""

    features: Array  # of the head's networks, one after the other, shape (features,)
    offset: Array  # the experts' logits, shape (labels + 1,), or 0 without experts
    confused: Array  # whether something else is seen where a label is suspected, shape (labels,)


def photo_logits(model: Model, seen: Look, chosen: dict[str, Any]) -> Array:
    """Return the logits of each label and, unless a head has learned no negatives, of "none of them".

    They are the experts' log odds, if these know the labels; a head adds a linear function of the networks'
    features, and its temperature divides the sum.
    """
    if "head" not in chosen:
        return seen.offset
    learned = model.heads[chosen["head"]["file"]]
    logits = seen.offset + seen.features @ learned["weights"] + learned["bias"]
    return np.asarray(logits / float(chosen["head"]["temperature"]), np.float64)


def look(model: Model, image: Image.Image, chosen: dict[str, Any]) -> Look:
    """Run the networks of the manifest's view for an RGB image, each once."""
    answers: dict[str, dict[str, Array]] = {}

    def ask(network: dict[str, Any]) -> dict[str, Array]:
        file = network["file"]
        if file not in answers:
            batch = network_input(image, network["side"], network["normalisation"])
            answers[file] = {name: rows[0] for name, rows in run(model.networks[file], batch).items()}
        return answers[file]

    offset, confused = np.zeros(1), np.zeros(len(model.labels), dtype=bool)
    if "experts" in chosen:
        offset = expert_logits(model.labels, chosen["experts"], ask)
        confused = confusion(model.labels, chosen["experts"], ask)
    networks = chosen.get("head", {}).get("networks", [])
    features = np.concatenate([np.zeros(0), *(ask(network)[FEATURES] for network in networks)])
    return Look(features, offset, confused)


def expert_logits(
    labels: list[str], experts: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Array]]
) -> Array:
    """Return the log odds of each label and, last, 0 for "none of them"; shape (labels + 1,).

    A product of experts: each gives the odds of a label against its absence, the classifier those of the
    label's classes, relative to uniform probabilities, and the detector those of its most confident box of
    the label. Odds of independent experts multiply (https://doi.org/10.1162/089976602760128018); these are
    not quite independent, so that the product is raised to `weight`, at most 1.
    """
    floor = float(experts["floor"])
    classifier, detector = experts["classifier"], experts.get("detector")
    groups = [classifier["outputs"][label] for label in labels]
    odds = class_log_odds(first(ask(classifier)), groups, floor)
    if detector:
        boxes, limit = first(ask(detector)), math.log((1 - floor) / floor)
        odds = odds + np.array([boxes[detector["outputs"][one]].max() for one in labels]).clip(-limit, limit)
    return np.append(float(experts["weight"]) * odds, 0.0)


def confusion(
    labels: list[str], experts: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Array]]
) -> Array:
    """Return for each label whether the classifier sees something similar instead: bool, shape (labels,).

    A classifier of a thousand classes that finds a tricycle and, much less, a bicycle, still has odds for the
    bicycle that are far above those of any image: a kick scooter would pass for one. So its classes that are
    easily confused with the labels (`confusable`) together may not be `OUTWEIGHS` times as probable, unless
    the detector's log odds of the label are `SURE` at least.
    """
    classifier, detector = experts["classifier"], experts.get("detector")
    if not detector or not experts.get("confusable"):
        return np.zeros(len(labels), dtype=bool)
    logits, boxes = first(ask(classifier)), first(ask(detector))
    shares = np.exp(logits - logits.max())
    similar = shares[experts["confusable"]].sum()
    classes = np.array([shares[classifier["outputs"][label]].sum() for label in labels])
    odds = np.array([boxes[detector["outputs"][label]].max() for label in labels])
    return np.asarray((similar > OUTWEIGHS * classes) & (odds < SURE))


def class_log_odds(logits: Array, groups: list[list[int]], floor: float) -> Array:
    """Return the log odds of groups of classes against all other classes, relative to the groups' sizes.

    `logits` are a classifier's, shape (classes,); `floor` is the least probability, above 0.
    """
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    labels = np.array([shares[classes].sum() for classes in groups])
    sizes = np.array([len(classes) for classes in groups])
    none = max(1 - labels.sum(), floor)
    expected = np.log(sizes / max(len(logits) - sizes.sum(), 1))
    return np.asarray(np.log(labels.clip(floor)) - math.log(none) - expected)


def first(outputs: dict[str, Array]) -> Array:
    """Return the output that a network is for; features may follow it."""
    return next(iter(outputs.values()))


def run(session: onnxruntime.InferenceSession, batch: Array) -> dict[str, Array]:
    """Return a network's outputs for a batch, by name, each of shape (batch, ...)."""
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, {session.get_inputs()[0].name: batch})
    return {name: np.asarray(rows, np.float64) for name, rows in zip(names, outputs, strict=True)}


# The answer


def label_probabilities(logits: Array, labels: int, prior: Array | float = 0.0) -> Array:
    """Share the probability of "none of them" (see `label_shares`) equally: even odds mean "look at it"."""
    shares = label_shares(logits, labels, prior)
    return np.asarray(shares[..., :labels] + shares[..., labels:] / labels)


def label_shares(logits: Array, labels: int, prior: Array | float = 0.0) -> Array:
    """Turn logits into the probabilities of the labels and, last, of "none of them", (..., labels + 1).

    Of the logits, shape (..., outputs), the first are the labels', the others of classes of negatives.
    `prior` has the logarithms of factors, at most 0, that the shares are multiplied by, a product of experts.
    """
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    none = shares[..., labels:].sum(axis=-1, keepdims=True)
    shares = np.concatenate([shares[..., :labels], none], axis=-1) * np.exp(prior)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def turned_logits(model: Model, image: Image.Image, chosen: dict[str, Any]) -> Array:
    """Return the logits of an RGB image as `photo_logits` does.

    A photo that is doubtful may be turned, without an orientation tag that says so. If the head gives a
    prior probability for each turn (`turned`), the answer is the mixture over the four.
    """
    seen = look(model, image, chosen)
    logits = photo_logits(model, seen, chosen)
    turned = float(chosen.get("head", {}).get("turned", 0.0))
    sure = label_probabilities(logits, len(model.labels)).max() >= float(model.manifest["default_threshold"])
    if turned and not sure:
        looks = [look(model, image.transpose(turn), chosen) for turn in TURNS]
        views = np.stack([logits, *(photo_logits(model, one, chosen) for one in looks)])
        # The log of the mixed odds against "none of them", which is last.
        prior = np.log([1 - len(TURNS) * turned] + [turned] * len(TURNS))
        logits = np.logaddexp.reduce(views - views[:, -1:] + prior[:, np.newaxis], axis=0)
    return doubted(logits, seen.confused)


def doubted(logits: Array, confused: Array) -> Array:
    """Give most of the probability to "none of them" where the best label is confused with something else.

    `logits` has shape (..., labels + 1), `confused` (..., labels), see `confusion`.
    """
    if not confused.any():
        return logits
    labels = confused.shape[-1]
    shares = label_shares(logits, labels)
    is_best = shares[..., :labels] == shares[..., :labels].max(axis=-1, keepdims=True)
    doubtful = (is_best & confused).any(axis=-1, keepdims=True)
    none = np.eye(labels + 1)[labels]
    return np.asarray(np.where(doubtful, np.log(KEPT * shares + (1 - KEPT) * none), logits))
