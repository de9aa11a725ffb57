"""Data-capture files of SageMaker: where they lie, what is in them, how photos look, and windows of time.

The layout is SageMaker's own
(https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html): `captureData` with
`endpointInput` and `endpointOutput`, each with `data` and `encoding`, and `eventMetadata.inferenceTime`.
A window has a row for each record; photos stay in their files, and a row keeps where its photo lies: 20,000
records take about 3 MB.
"""

import base64
import io
import json
import math
import re
import warnings
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from commandline.errors import UsageError
from operations.s3 import is_s3, named, split_uri

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# A request's body has at most 6,291,456 bytes, in base64 a third more; the rest of a record is small.
MAX_LINE_BYTES: Final = 12 * 1024 * 1024
MAX_EXAMPLES: Final = 3
SUM_TOLERANCE: Final = 1e-3
FIRST_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
LAST_TIME: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()  # Python's dates end at the year 9999

# What can be wrong with a record; the report counts by these.
NOT_JSON: Final = "not a JSON object (cut off?)"
TOO_LONG: Final = "line longer than SageMaker writes"
INCOMPLETE: Final = "fields missing"
NO_TIME: Final = "no time, or not one in ISO 8601"
WRONG_TIME: Final = "time is not of this century"
NOT_BASE64: Final = "photo is not base64"
NOT_AN_IMAGE: Final = "photo cannot be decoded"
NOT_PROBABILITIES: Final = "answer is not a list of probabilities"
WRONG_LENGTH: Final = "answer does not have one probability per label"

_SUFFIX: Final = ".jsonl"
# <destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/<mm-ss-mmm>-<uuid>.jsonl
_HOUR: Final = re.compile(r"(?:^|/)(\d{4})/(\d\d)/(\d\d)/(\d\d)/[^/]+$")
_BUFFER_BYTES: Final = 256 * 1024
_WORKERS: Final = 4  # for the time that S3 takes to answer; decoding uses two cores at most
_PLACE_COLUMNS: Final = 3  # time, offset and length stand before the probabilities in a row

FEATURES: Final = ("brightness", "contrast", "colourfulness", "sharpness", "aspect_ratio", "bytes")
# Larger photos are reduced to a longer side of 64 to 127 pixels: enough for these numbers, and decoding less
# of a JPEG saves most of the time.
_SIDE: Final = 64
_MAX_PIXELS: Final = 25_000_000  # 75 MB once decoded; the workflow sends 256 pixels a side at most
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_LEVELS: Final = np.arange(256, dtype=np.float64)
# Pillow's filters clip to 0..255: half of the range for each sign, at half of the size.
_KERNEL_SIDE: Final = 3
_LAPLACIAN: Final = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=2, offset=128)


class DamagedRecordError(ValueError):
    """A record cannot be used; the message is one of the kinds above."""


@dataclass(frozen=True, slots=True)
class CaptureRecord:
    """What an endpoint was asked and what it answered."""

    time: float  # of the answer, seconds since 1970
    probabilities: tuple[float, ...]
    photo: bytes | None  # None if the endpoint captures answers only
    version: str  # of the photo's object, by which the results table knows it; empty if nobody said so


def parse_record(line: bytes, labels: int) -> CaptureRecord:
    """Read a line with `labels` probabilities; a DamagedRecordError tells the kind of damage."""
    if len(line) > MAX_LINE_BYTES:
        raise DamagedRecordError(TOO_LONG)
    with _damaged(NOT_JSON):
        record: Any = json.loads(line)
    match record:
        case {"captureData": {"endpointOutput": output, **sides}, "eventMetadata": dict(metadata)}:
            pass
        case dict():
            raise DamagedRecordError(INCOMPLETE)
        case _:
            raise DamagedRecordError(NOT_JSON)
    with _damaged(NO_TIME):
        time = datetime.fromisoformat(metadata["inferenceTime"])
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    if not FIRST_TIME <= seconds < LAST_TIME:
        raise DamagedRecordError(WRONG_TIME)
    probabilities, photo = _probabilities(output, labels), None
    if "endpointInput" in sides:
        text, encoding = _data(sides["endpointInput"])
        if encoding != "BASE64":
            raise DamagedRecordError(NOT_BASE64)
        with _damaged(NOT_BASE64):
            photo = base64.b64decode(text, validate=True)
    return CaptureRecord(seconds, probabilities, photo, str(metadata.get("inferenceId", "")))


def _probabilities(side: Any, labels: int) -> tuple[float, ...]:
    text, encoding = _data(side)
    with _damaged(NOT_PROBABILITIES):
        # Where the capture settings do not list application/json as JSON, answers are base64 as well.
        values: Any = json.loads(base64.b64decode(text, validate=True) if encoding == "BASE64" else text)
    fit = isinstance(values, list) and all(type(one) in {int, float} and 0 <= one <= 1 for one in values)
    if not (fit and values):  # NaN, which Python's JSON reader lets pass, fails the comparison
        raise DamagedRecordError(NOT_PROBABILITIES)
    if len(values) != labels:
        raise DamagedRecordError(WRONG_LENGTH)
    if not math.isclose(math.fsum(values), 1, rel_tol=0, abs_tol=SUM_TOLERANCE):
        raise DamagedRecordError(NOT_PROBABILITIES)
    return tuple(map(float, values))


@contextmanager
def _damaged(kind: str) -> Iterator[None]:
    try:
        yield
    # RecursionError comes from thousands of nested lists.
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DamagedRecordError(kind) from error


def _data(side: Any) -> tuple[str, str]:
    """Return what was captured of a request or an answer, and in which encoding."""
    if not isinstance(side, dict) or not isinstance(side.get("data"), str):
        raise DamagedRecordError(INCOMPLETE)
    return side["data"], str(side.get("encoding")).upper()


@dataclass(frozen=True)
class CaptureSource:
    """The `*.jsonl` files below a folder or, with boto3's client of S3, the objects under `s3://BUCKET/PREFIX`."""

    name: str
    client: Any = None

    def files(self) -> list[str]:
        """Return paths or keys in order; with SageMaker's names that is the order of time."""
        if self.client is None:
            paths = sorted(path for path in Path(self.name).rglob(f"*{_SUFFIX}") if path.is_file())
            return [path.relative_to(self.name).as_posix() for path in paths]
        bucket, prefix = split_uri(self.name)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        with named(self.name):
            return [key for key in filter(None, pages.search("Contents[].Key")) if key.endswith(_SUFFIX)]

    def open(self, file: str) -> BinaryIO:
        """Open a file for reading it line by line, without holding it in memory."""
        if self.client is None:
            return Path(self.name, file).open("rb", buffering=_BUFFER_BYTES)
        return io.BufferedReader(self._object(file), _BUFFER_BYTES)

    def read(self, file: str, offset: int, length: int) -> bytes:
        """Read a part of a file."""
        if self.client is not None:
            part: bytes = self._object(file, Range=f"bytes={offset}-{offset + length - 1}").read()
            return part
        with Path(self.name, file).open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)

    def _object(self, key: str, **part: str) -> Any:
        return self.client.get_object(Bucket=split_uri(self.name)[0], Key=key, **part)["Body"]


def capture_source(location: str, session: Any) -> CaptureSource:
    """Return the source that an existing folder or `s3://BUCKET/PREFIX` names."""
    if is_s3(location):
        split_uri(location)
        return CaptureSource(location, session.client("s3"))
    folder = Path(location).expanduser()
    if not location.strip() or not folder.is_dir():
        raise UsageError(f"{location!r}: there is no such folder; give one, or s3://BUCKET/PREFIX")
    return CaptureSource(str(folder))


def may_hold(file: str, since: datetime) -> bool:
    """Return whether a file can hold records from a time on, judged by the hour in its name."""
    if found := _HOUR.search(file):
        with suppress(ValueError):  # there is no such hour
            hour = datetime(*map(int, found.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]
            # A file is named for its first record and may go on into the next hour.
            return hour + timedelta(hours=2) > since
    return True


def photo_features(body: bytes) -> tuple[float, ...]:
    """Return the features of an encoded photo, in the order of FEATURES.

    Brightness and contrast are mean and standard deviation of the luma, 0 to 1; colourfulness is that of
    Hasler and Süsstrunk (2003, Measuring colourfulness in natural images) on 0 to 1; sharpness is the
    standard deviation of the Laplacian of the luma; the aspect ratio is width / height. All but the number of
    bytes are rounded to 4 decimals, so that a value is the same wherever it is stored. DamagedRecordError
    if they are no photo that can be decoded, or have more than 25 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # _MAX_PIXELS is stricter
            opened = Image.open(io.BytesIO(body), formats=_FORMATS)
            ratio, image = opened.width / opened.height, _reduced(opened)
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error, ... in Pillow
        raise DamagedRecordError(NOT_AN_IMAGE) from error
    luma, sharpness = image.convert("L"), 0.0
    brightness, contrast = _moments(luma)
    if min(luma.size) >= _KERNEL_SIDE:
        # Pillow leaves the pixels at the border as they were.
        inner = luma.filter(_LAPLACIAN).crop((1, 1, luma.width - 1, luma.height - 1))
        sharpness = 2 * _moments(inner)[1]
    red, green, blue = np.moveaxis(np.asarray(image, dtype=np.float32) / np.float32(255), 2, 0)
    opponents = red - green, (red + green) / 2 - blue
    spread = math.hypot(*(float(one.std()) for one in opponents))
    colourfulness = spread + 0.3 * math.hypot(*(float(one.mean()) for one in opponents))
    ordered = (brightness, contrast, colourfulness, sharpness, ratio)
    return (*(round(value, 4) for value in ordered), float(len(body)))


def _reduced(image: Image.Image) -> Image.Image:
    if image.width * image.height > _MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are too many")
    image.draft("RGB", (_SIDE, _SIDE))  # JPEG decoders skip detail that is thrown away below
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image.convert("RGB").reduce(max(1, max(image.size) // _SIDE))


def _moments(image: Image.Image) -> tuple[float, float]:
    """Return mean and standard deviation of a grey image, 0 to 1."""
    counts = np.array(image.histogram(), dtype=np.float64)
    total = counts.sum()
    mean = float(counts @ _LEVELS / total)
    variance = float(counts @ (_LEVELS - mean) ** 2 / total)
    return mean / 255, math.sqrt(variance) / 255


@dataclass
class Damage:
    """Records that could not be used, by what is wrong with them."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)  # `FILE line N` of the first few

    def add(self, kind: str, places: list[str], count: int = 1) -> None:
        """Count some, of which the first ones are at these places."""
        self.counts[kind] += count
        self.examples[kind] = [*self.examples.get(kind, []), *places][:MAX_EXAMPLES]


@dataclass(frozen=True)
class Window:
    """The usable records of a span of time, N of them in the order of time, for K labels."""

    source: CaptureSource
    labels: tuple[str, ...]
    times: Floats  # seconds since 1970, [N]
    probabilities: Floats  # [N, K]
    photos: Floats  # [N, 6] in the order of FEATURES; nan if the endpoint did not capture its input
    files: list[str]
    places: Ints  # number of the file, offset and length of each record's line, [N, 3]
    damage: Damage

    def __len__(self) -> int:
        """Return the number of usable records."""
        return len(self.times)

    @property
    def confidences(self) -> Floats:
        """The probability of each answer, [N]."""
        return np.asarray(self.probabilities.max(axis=1), np.float64)

    @property
    def answers(self) -> Ints:
        """The index of each answer's label, [N]."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    def features(self) -> dict[str, Floats]:
        """Return what is compared, [N] each, nan if not known; the last label follows from the others."""
        found = {"confidence": self.confidences.round(6)}
        for column, label in enumerate(self.labels[:-1]):
            found[f"probability of {label}"] = self.probabilities[:, column].round(6)
        return found | {name: self.photos[:, column] for column, name in enumerate(FEATURES)}

    def distinct(self, rows: Ints, count: int) -> list[int]:
        """Return the first rows whose photos look different; one photo may have been sent many times."""
        seen: dict[bytes, int] = {}
        for row in rows.tolist():
            if len(seen) == count:
                break
            looks = self.photos[row]
            # Without photos every record is one of its own.
            key = np.array([row]) if np.isnan(looks[0]) else looks
            seen.setdefault(key.tobytes(), row)
        return list(seen.values())

    def record(self, row: int) -> CaptureRecord:
        """Read a record again; DamagedRecordError if the file has changed since."""
        file, offset, length = self.places[row].tolist()
        return parse_record(self.source.read(self.files[file], offset, length), len(self.labels))


def read_window(
    source: CaptureSource,
    labels: tuple[str, ...],
    *,
    since: datetime | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Window:
    """Read capture files, a few at a time; `progress` gets the number of records found in each."""
    start = since.timestamp() if since else -math.inf
    files = [name for name in source.files() if since is None or may_hold(name, since)]
    width = _PLACE_COLUMNS + len(labels) + len(FEATURES)
    damage, tables = Damage(), [np.empty((0, width))]
    with ThreadPoolExecutor(_WORKERS) as pool:
        for rows, part in pool.map(lambda name: _read_file(source, name, len(labels), start), files):
            tables.append(np.array(rows, dtype=np.float64).reshape(-1, width))
            for kind, count in part.counts.items():
                damage.add(kind, part.examples[kind], count)
            progress(len(tables[-1]) + part.counts.total())
    table = np.concatenate(tables)
    order = np.argsort(table[:, 0], kind="stable")
    numbers = np.repeat(np.arange(len(files)), [len(part) for part in tables[1:]])[order]
    times, place, answers, photos = np.split(table[order], (1, _PLACE_COLUMNS, width - len(FEATURES)), axis=1)
    places = np.column_stack([numbers, place.astype(np.int64)])
    return Window(source, labels, times[:, 0], answers, photos, files, places, damage)


def _read_file(source: CaptureSource, name: str, labels: int, start: float) -> tuple["array[float]", Damage]:
    """Read a row of time, offset, length, probabilities and photo features for each record from a time on."""
    rows, damage, unknown = array("d"), Damage(), (math.nan,) * len(FEATURES)
    with source.open(name) as stream:
        for number, (offset, line) in enumerate(_lines(stream), 1):
            if not line.strip():
                continue
            try:
                record = parse_record(line, labels)
                if record.time >= start:
                    looks = unknown if record.photo is None else photo_features(record.photo)
                    rows.extend((record.time, offset, len(line), *record.probabilities, *looks))
            except DamagedRecordError as error:
                damage.add(str(error), [f"{name} line {number}"])
    return rows, damage


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield offset and content of each line; of one that is too long, more than a record can have."""
    offset = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        start, offset = offset, offset + len(line)
        yield start, line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES + 1)
            offset += len(line)
