"""A window of captured exchanges: what an endpoint answered in a span of time, one row each.

Photos stay in their files; a row keeps where its photo lies. 20,000 records take about 3 MB.
"""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from operations.report.captures import (
    NOT_AN_IMAGE,
    TOO_LONG,
    CaptureRecord,
    CaptureSource,
    DamagedRecordError,
    may_hold,
    parse_record,
)
from operations.report.photo_features import FEATURES, UnreadablePhotoError, photo_features

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# A request's body has at most 6,291,456 bytes, in base64 a third more; the rest of a record is small.
MAX_LINE_BYTES: Final = 12 * 1024 * 1024
MAX_EXAMPLES: Final = 3
_WORKERS: Final = 4  # for the time that S3 takes to answer; decoding uses two cores at most
_PLACE_COLUMNS: Final = 3  # time, offset and length stand before the probabilities in a row


@dataclass
class Damage:
    """Records that could not be used, by what is wrong with them."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)  # `FILE line N` of the first few

    @property
    def total(self) -> int:
        """The number of records that could not be used."""
        return self.counts.total()

    def add(self, kind: str, place: str) -> None:
        """Count one."""
        self.counts[kind] += 1
        shown = self.examples.setdefault(kind, [])
        if len(shown) < MAX_EXAMPLES:
            shown.append(place)

    def merge(self, other: "Damage") -> None:
        """Count another file's."""
        self.counts.update(other.counts)
        for kind, places in other.examples.items():
            shown = self.examples.setdefault(kind, [])
            shown += places[: MAX_EXAMPLES - len(shown)]


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
        found: Floats = self.probabilities.max(axis=1)
        return found

    @property
    def answers(self) -> Ints:
        """The index of each answer's label, [N]."""
        found: Ints = self.probabilities.argmax(axis=1)
        return found

    def features(self) -> dict[str, Floats]:
        """Return what is compared with a baseline, [N] each, nan where it is not known.

        The probability of the last label is left out: it follows from the others.
        """
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

    def photo(self, row: int) -> bytes | None:
        """Read the photo of a record again; None if the endpoint did not capture its input."""
        return self.record(row).photo

    def record(self, row: int) -> CaptureRecord:
        """Read a record again.

        Raises:
            DamagedRecordError: the file has changed since.
        """
        file, offset, length = self.places[row].tolist()
        line = self.source.read(self.files[file], offset, length)
        return parse_record(line, len(self.labels))


def read_window(
    source: CaptureSource,
    labels: tuple[str, ...],
    *,
    since: datetime | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Window:
    """Read capture files, a few at a time; `progress` gets the number of records of each file."""
    start = since.timestamp() if since else -math.inf
    files = [name for name in source.files() if since is None or may_hold(name, since)]
    parts = []
    with ThreadPoolExecutor(_WORKERS) as pool:
        for part in pool.map(lambda name: _read_file(source, name, len(labels), start), files):
            parts.append(part)
            progress(part.records)
    return _join(source, labels, files, parts)


@dataclass
class _Part:
    """The records of one file: rows of time, offset, length, probabilities and photo features."""

    rows: "array[float]" = field(default_factory=lambda: array("d"))
    records: int = 0
    damage: Damage = field(default_factory=Damage)


def _read_file(source: CaptureSource, name: str, labels: int, start: float) -> _Part:
    part = _Part()
    with source.open(name) as stream:
        for number, (offset, line) in enumerate(_lines(stream), 1):
            if not line.strip():
                continue
            part.records += 1
            try:
                row = _row(line, offset, labels, start)
            except DamagedRecordError as error:
                part.damage.add(str(error), f"{name} line {number}")
            else:
                part.rows.extend(row)
    return part


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield offset and content of each line; of one that is too long, more than a record can have."""
    offset = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        start, offset = offset, offset + len(line)
        yield start, line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES + 1)
            offset += len(line)


def _row(line: bytes, offset: int, labels: int, start: float) -> tuple[float, ...]:
    if len(line) > MAX_LINE_BYTES:
        raise DamagedRecordError(TOO_LONG)
    record = parse_record(line, labels)
    if record.time < start:
        return ()
    return (record.time, float(offset), float(len(line)), *record.probabilities, *_looks(record))


def _looks(record: CaptureRecord) -> tuple[float, ...]:
    if record.photo is None:
        return (math.nan,) * len(FEATURES)
    try:
        return photo_features(record.photo)
    except UnreadablePhotoError as error:
        raise DamagedRecordError(NOT_AN_IMAGE) from error


def _join(source: CaptureSource, labels: tuple[str, ...], files: list[str], parts: list[_Part]) -> Window:
    width = _PLACE_COLUMNS + len(labels) + len(FEATURES)
    tables = [np.array(part.rows, dtype=np.float64).reshape(-1, width) for part in parts]
    rows = np.concatenate([np.empty((0, width)), *tables])
    numbers = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    order = np.argsort(rows[:, 0], kind="stable")
    rows, numbers = rows[order], numbers[order]
    damage = Damage()
    for part in parts:
        damage.merge(part.damage)
    return Window(
        source=source,
        labels=labels,
        times=rows[:, 0],
        probabilities=rows[:, _PLACE_COLUMNS : _PLACE_COLUMNS + len(labels)],
        photos=rows[:, _PLACE_COLUMNS + len(labels) :],
        files=files,
        places=np.column_stack([numbers, rows[:, 1].astype(np.int64), rows[:, 2].astype(np.int64)]),
        damage=damage,
    )
