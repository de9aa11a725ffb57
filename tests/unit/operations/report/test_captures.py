"""Lines of capture files: what is read of good ones, and what is said of bad ones."""

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from localcloud.sagemaker.capture import Exchange, record
from operations.report import captures as kinds
from operations.report.captures import DamagedRecordError, parse_record
from tests.support.captures import START, capture, photo


def line(document: object) -> bytes:
    return json.dumps(document).encode()


def changed(path: str, value: object) -> dict[str, Any]:
    """Return a good record with one member replaced, or removed if the value is None."""
    document = capture()
    *parents, name = path.split(".")
    place: Any = document
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[name]
    else:
        place[name] = value
    return document


OUTPUT = "captureData.endpointOutput.data"
DAMAGED = [
    (b'{"captureData": {"endpointInp', kinds.NOT_JSON),
    (b"\xff\xfe\x00", kinds.NOT_JSON),
    (b"[" * 100_000, kinds.NOT_JSON),
    (b"[1, 2]", kinds.NOT_JSON),
    (b"{}", kinds.INCOMPLETE),
    (line(changed("captureData.endpointOutput", None)), kinds.INCOMPLETE),
    (line(changed("captureData.endpointInput", "text")), kinds.INCOMPLETE),
    (line(changed("captureData.endpointInput.data", None)), kinds.INCOMPLETE),
    (line(changed("captureData.endpointOutput.data", [0.9, 0.1])), kinds.INCOMPLETE),
    (line(changed("eventMetadata", None)), kinds.INCOMPLETE),
    (line(changed("eventMetadata.inferenceTime", None)), kinds.NO_TIME),
    (line(changed("eventMetadata.inferenceTime", "yesterday")), kinds.NO_TIME),
    (line(changed("eventMetadata.inferenceTime", 1700000000)), kinds.NO_TIME),
    *(
        (line(changed("eventMetadata.inferenceTime", text)), kinds.WRONG_TIME)
        for text in (
            *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "1999-12-31T23:59:59Z"),
            *("2100-01-01T00:00:00Z", "1970-01-01T00:00:00"),
        )
    ),
    (line(changed("captureData.endpointInput.data", "%%%")), kinds.NOT_BASE64),
    (line(changed("captureData.endpointInput.data", "Ünicode")), kinds.NOT_BASE64),
    (line(changed("captureData.endpointInput.encoding", "CSV")), kinds.NOT_BASE64),
    *(
        (line(changed(OUTPUT, text)), kinds.NOT_PROBABILITIES)
        for text in (
            *("<html>busy</html>", '{"bicycle": 1}', "[]", "[NaN, 0.5]", "[1.5, -0.5]", "[true, false]"),
            *("[0.9, 0.9]", '["0.9", "0.1"]'),
        )
    ),
    (line(changed(OUTPUT, "[0.2, 0.3, 0.5]")), kinds.WRONG_LENGTH),
    (line(changed(OUTPUT, "[1.0]")), kinds.WRONG_LENGTH),
]


@pytest.mark.parametrize(("damaged", "kind"), DAMAGED)
def test_damage_is_told_by_its_kind(damaged: bytes, kind: str) -> None:
    with pytest.raises(DamagedRecordError) as caught:
        parse_record(damaged, 2)
    assert str(caught.value) == kind


def test_a_good_record_is_read() -> None:
    body = photo(90)
    found = parse_record(line(capture((0.25, 0.75), body)), 2)
    assert (found.time, found.probabilities, found.photo) == (START.timestamp(), (0.25, 0.75), body)


def test_a_time_without_a_zone_is_utc_and_others_are_converted() -> None:
    for text in ("2026-11-02T08:00:00", "2026-11-02T09:00:00+01:00", "2026-11-02T08:00:00.000Z"):
        assert parse_record(line(changed("eventMetadata.inferenceTime", text)), 2).time == START.timestamp()


def test_an_endpoint_may_capture_answers_only() -> None:
    assert parse_record(line(changed("captureData.endpointInput", None)), 2).photo is None


def test_an_answer_may_be_base64() -> None:
    document = changed(OUTPUT, base64.b64encode(b"[0.9, 0.1]").decode())
    document["captureData"]["endpointOutput"]["encoding"] = "BASE64"
    assert parse_record(line(document), 2).probabilities == (0.9, 0.1)


def test_what_the_stand_in_captures_is_read() -> None:
    exchange = Exchange("image/png", photo(), "application/json; charset=utf-8", b"[0.4, 0.6]")
    settings = {
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    now = datetime.fromisoformat("2026-11-02T08:00:00Z")

    found = parse_record(line(record(exchange, settings, now)), 2)

    assert (found.time, found.probabilities, found.photo) == (now.timestamp(), (0.4, 0.6), photo())
