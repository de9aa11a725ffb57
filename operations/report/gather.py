"""From what a user names (a stack, captures, a baseline) to a report."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from commandline.errors import CommandError, UsageError
from commandline.terminal import plural
from model_build.archive.manifest import Manifest
from model_build.archive.package import DEFAULT_MODEL
from operations.report.captures import DamagedRecordError, Window, capture_source, read_window
from operations.report.drift import Drift, Statistics, detect_drift, from_json, sampled, statistics_of
from operations.report.figures import Report
from operations.report.history import History, read_history
from operations.results import Record, ResultsTable
from operations.s3 import is_s3, read
from operations.stack import Stack

_FILE_SUFFIX = ".json"


@dataclass(frozen=True)
class ReportRequest:
    """What a report is wanted of."""

    stack: Stack | None  # whose results table to read
    captures: str | None  # a folder or s3://BUCKET/PREFIX; None for what the stack's endpoint captures
    since: datetime | None
    baseline: str | None  # a baseline file, or captures
    threshold: float | None  # None for the newest record's
    labels: tuple[str, ...] | None  # None for the stack's, or the shipped model's
    session: Any  # boto3's; used only where S3 or a stack is named
    command: tuple[str, ...]  # asks for this again, without a baseline


def make_report(request: ReportRequest, progress: Callable[[int], object]) -> Report:
    """Read everything that a report needs; `progress` gets the number of captured records of each file."""
    labels = request.labels or _labels(request.stack)
    baseline = None if request.baseline is None else _baseline(request, request.baseline, labels, progress)
    window = _window(request, labels, progress)
    history, keys = None, dict[str, str]()
    report = Report(window, None, _drift(baseline, window), 0, labels, request.command)
    versions = _versions(window, report.shown()) if window else {}
    if request.stack is not None:
        records = ResultsTable(request.stack).find(since=request.since)
        history = read_history(_noted(records, {*versions.values()}, keys), labels)
    _require_records(window, history, baseline)
    return replace(
        report,
        history=history,
        threshold=_threshold(request.threshold, history),
        keys={row: keys[version] for row, version in versions.items() if version in keys},
    )


def _versions(window: Window, rows: Iterable[int]) -> dict[int, str]:
    """Return the versions of the photos of some records."""
    found = {}
    for row in rows:
        with suppress(DamagedRecordError, OSError):  # the file has changed since it was read
            found[row] = window.record(row).version
    return found


def _noted(records: Iterable[Record], versions: set[str], keys: dict[str, str]) -> Iterator[Record]:
    """Yield the records; note the keys of those with one of the versions."""
    for record in records:
        if record.object_version in versions:
            keys[record.object_version] = record.key
        yield record


def _labels(stack: Stack | None) -> tuple[str, ...]:
    if stack is not None and "ClassLabels" in stack.outputs:
        return tuple(stack.outputs["ClassLabels"].split(","))
    return tuple(Manifest.read(DEFAULT_MODEL).labels)


def _threshold(asked: float | None, history: History | None) -> float:
    if asked is not None:
        return asked
    if history is not None and history.threshold is not None:
        return history.threshold
    return Manifest.read(DEFAULT_MODEL).default_threshold


def _window(
    request: ReportRequest, labels: tuple[str, ...], progress: Callable[[int], object]
) -> Window | None:
    location = request.captures
    if location is None and request.stack is not None:
        location = captured_by(request.stack)
    if location is None:
        return None
    source = capture_source(location, request.session)
    return read_window(source, labels, since=request.since, progress=progress)


def captured_by(stack: Stack) -> str | None:
    """Return where the endpoint of a stack captures its data, s3://BUCKET/PREFIX; None if it does not."""
    config = stack.endpoint().get("DataCaptureConfig") or {}
    destination = str(config.get("DestinationS3Uri", "")).rstrip("/")
    return f"{destination}/{stack.output('EndpointName')}/" if destination else None


def _baseline(
    request: ReportRequest, location: str, labels: tuple[str, ...], progress: Callable[[int], object]
) -> Statistics:
    path = Path(location).expanduser()
    if not is_s3(location) and (not location.strip() or not path.exists()):
        raise UsageError(
            f"--baseline {location}: there is no such file or folder; `scones report --write-baseline` "
            "writes a file"
        )
    if location.endswith(_FILE_SUFFIX) or (not is_s3(location) and path.is_file()):
        try:
            return from_json(read(location, request.session).decode(), location)
        except UnicodeDecodeError as error:
            raise UsageError(f"--baseline {location}: the file is not text") from error
    return statistics_of(read_window(capture_source(location, request.session), labels, progress=progress))


def _drift(baseline: Statistics | None, window: Window | None) -> Drift | None:
    if baseline is None or window is None:
        return None
    return detect_drift(baseline, window.labels, sampled(window))


def _require_records(window: Window | None, history: History | None, baseline: Statistics | None) -> None:
    captured = window is not None and len(window) > 0
    if captured or (history is not None and len(history) and baseline is None):
        return
    window = required(window)
    raise CommandError(
        f"{window.source.name}: no usable records in {plural(len(window.files), 'file')}"
        + (f"; {_damage(window)}" if window.damage.total else "; give a folder or prefix with *.jsonl files")
    )


def required(window: Window | None) -> Window:
    """Return the window; CommandError if there is none."""
    if window is None:
        raise CommandError(
            "nothing is captured: deploy the endpoint with `scones model deploy --capture`, or "
            "name captures with --captures"
        )
    return window


def _damage(window: Window) -> str:
    return ", ".join(f"{count:,} x {kind}" for kind, count in window.damage.counts.items())
