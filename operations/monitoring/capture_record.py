"""One line of a data-capture file of SageMaker, read and checked.

The layout is SageMaker's own
(https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html): `captureData` with
`endpointInput` and `endpointOutput`, each with `data` and `encoding`, and `eventMetadata.inferenceTime`.
"""

import base64
import binascii
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

SUM_TOLERANCE: Final = 1e-3
FIRST_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
LAST_TIME: Final = datetime(
    2100, 1, 1, tzinfo=UTC
).timestamp()  # charts and dates of Python end at the year 9999

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


class DamagedRecordError(ValueError):
    """A record cannot be used; the message is one of the kinds above."""


@dataclass(frozen=True, slots=True)
class CaptureRecord:
    """What an endpoint was asked and what it answered.

    Attributes:
        time: when it answered, seconds since 1970.
        probabilities: one per label, summing to 1.
        photo: the request's body; None if the endpoint captures answers only.
    """

    time: float
    probabilities: tuple[float, ...]
    photo: bytes | None


def parse_record(line: bytes, labels: int) -> CaptureRecord:
    """Read one line.

    Args:
        line: the line, with or without its line break.
        labels: how many probabilities an answer must have.

    Raises:
        DamagedRecordError: the line is not a usable record; the message is the kind of damage.
    """
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:  # the latter from thousands of nested lists
        raise DamagedRecordError(NOT_JSON) from error
    if not isinstance(record, dict):
        raise DamagedRecordError(NOT_JSON)
    captured = _member(record, "captureData")
    output = _member(captured, "endpointOutput")
    time = _time(_member(record, "eventMetadata"))
    probabilities = _probabilities(output, labels)
    photo = _photo(_member(captured, "endpointInput")) if "endpointInput" in captured else None
    return CaptureRecord(time, probabilities, photo)


def _member(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise DamagedRecordError(INCOMPLETE)
    return value


def _text(side: dict[str, Any]) -> str:
    data = side.get("data")
    if not isinstance(data, str):
        raise DamagedRecordError(INCOMPLETE)
    return data


def _time(metadata: dict[str, Any]) -> float:
    try:
        time = datetime.fromisoformat(metadata["inferenceTime"])
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DamagedRecordError(NO_TIME) from error
    if not FIRST_TIME <= seconds < LAST_TIME:
        raise DamagedRecordError(WRONG_TIME)
    return seconds


def _photo(side: dict[str, Any]) -> bytes:
    text = _text(side)
    if str(side.get("encoding")).upper() != "BASE64":
        raise DamagedRecordError(NOT_BASE64)
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:  # ValueError: not ASCII
        raise DamagedRecordError(NOT_BASE64) from error


def _probabilities(side: dict[str, Any], labels: int) -> tuple[float, ...]:
    text: str | bytes = _text(side)
    try:
        # Where the capture settings do not list application/json as JSON, answers are base64 as well.
        if str(side.get("encoding")).upper() == "BASE64":
            text = base64.b64decode(text, validate=True)
        values: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedRecordError(NOT_PROBABILITIES) from error
    if not isinstance(values, list) or not values or not all(map(_is_probability, values)):
        raise DamagedRecordError(NOT_PROBABILITIES)
    if len(values) != labels:
        raise DamagedRecordError(WRONG_LENGTH)
    if not math.isclose(math.fsum(values), 1, rel_tol=0, abs_tol=SUM_TOLERANCE):
        raise DamagedRecordError(NOT_PROBABILITIES)
    return tuple(map(float, values))


def _is_probability(value: object) -> bool:
    # bool is an int in Python; NaN, which Python's JSON reader lets pass, fails the comparison.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
