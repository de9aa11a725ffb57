"""Data-capture files in SageMaker's layout, with photos made by code."""

import base64
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from operations.report.captures import CaptureSource, Window, read_window

START: Final = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
LABELS: Final = ("bicycle", "motorcycle")


def photo(level: int = 128, side: int = 32, seed: int = 0, kind: str = "PNG") -> bytes:
    """Return a noisy grey image of a mean brightness."""
    noise = np.random.default_rng(seed).normal(level, 20, (side, side, 3))
    buffer = io.BytesIO()
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def capture(
    answer: Sequence[float] | str = (0.9, 0.1), body: bytes | None = None, time: datetime = START
) -> dict[str, Any]:
    """Return one record as SageMaker writes it for an image endpoint; `answer` as text is taken as it is."""
    text = answer if isinstance(answer, str) else json.dumps(list(answer))
    data = base64.b64encode(photo() if body is None else body).decode()
    sent = {"observedContentType": "image/png", "mode": "INPUT", "data": data, "encoding": "BASE64"}
    received = {"observedContentType": "application/json", "mode": "OUTPUT", "data": text, "encoding": "JSON"}
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "captureData": {"endpointInput": sent, "endpointOutput": received},
        "eventMetadata": {"eventId": "1f3cb2c7-0d0d-4f1b-a3e5-0f6d3f6a2f10", "inferenceTime": moment},
        "eventVersion": "0",
    }


def key(number: int, time: datetime) -> str:
    """Return the name of a capture file below the endpoint's prefix."""
    return f"scones/AllTraffic/{time:%Y/%m/%d/%H/%M-%S}-000-{number:08d}.jsonl"


def content(records: Sequence[dict[str, Any] | str]) -> bytes:
    """Return the content of a capture file; texts are lines as they are."""
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    return "".join(line + "\n" for line in lines).encode()


def write_captures(
    folder: Path, records: Sequence[dict[str, Any] | str], *, a_file: int = 50, start: datetime = START
) -> Path:
    """Write records to a folder, `a_file` to each file and a file each ten minutes."""
    for number, first in enumerate(range(0, len(records), a_file)):
        path = folder / key(number, start + timedelta(minutes=10 * number))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(records[first : first + a_file]))
    return folder


def window_of(
    folder: Path, records: Sequence[dict[str, Any] | str], labels: tuple[str, ...] = LABELS
) -> Window:
    """Write records to a folder and read them."""
    return read_window(CaptureSource(str(write_captures(folder, records))), labels)


def exchanges(
    count: int, *, seed: int = 0, level: float = 128, start: datetime = START
) -> list[dict[str, Any]]:
    """Return records of photos whose brightness varies around a level, each minute one."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        confidence = 1 - 0.5 * random.beta(0.5, 4)
        bicycle = confidence if random.random() < 0.6 else 1 - confidence
        body = photo(int(random.normal(level, 25)), seed=seed + number)
        time = start + timedelta(minutes=number)
        found.append(capture((bicycle, 1 - bicycle), body, time))
    return found
