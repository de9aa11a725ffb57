"""Capture files: what is read of good lines and what bad ones are counted as; windows, folders and S3."""

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from localcloud.sagemaker.capture import Exchange, record
from operations.report import captures as kinds
from operations.report.captures import (
    CaptureSource,
    DamagedRecordError,
    Window,
    capture_source,
    may_hold,
    parse_record,
    read_window,
)
from operations.report.photo_features import FEATURES, photo_features
from tests.support.captures import START, capture, content, exchanges, key, photo, write_captures

LABELS = ("bicycle", "motorcycle")


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


def read(folder: Path) -> Window:
    return read_window(CaptureSource(str(folder)), LABELS)


def test_every_record_is_a_row_in_the_order_of_time(tmp_path: Path) -> None:
    records = exchanges(130)
    write_captures(tmp_path, records[::-1], a_file=20)

    found = read(tmp_path)

    assert len(found) == 130
    assert len(found.files) == 7
    assert found.damage.total == 0
    assert np.diff(found.times).tolist() == [60.0] * 129
    answers = [json.loads(record["captureData"]["endpointOutput"]["data"]) for record in records]
    assert found.probabilities.tolist() == answers
    assert found.confidences.tolist() == [max(answer) for answer in answers]


def test_features_are_the_answers_and_what_photos_look_like(tmp_path: Path) -> None:
    body = photo(200)
    write_captures(tmp_path, [capture((0.3, 0.7), body)])

    features = read(tmp_path).features()

    assert list(features) == ["confidence", "probability of bicycle", *FEATURES]
    assert [values[0] for values in features.values()] == [0.7, 0.3, *photo_features(body)]


def test_photos_are_read_again_from_their_place(tmp_path: Path) -> None:
    bodies = [photo(seed=number) for number in range(30)]
    write_captures(
        tmp_path,
        [capture(body=body, time=START + timedelta(minutes=n)) for n, body in enumerate(bodies)],
        a_file=7,
    )
    found = read(tmp_path)
    assert [found.photo(row) for row in range(30)] == bodies


def test_damaged_records_are_counted_with_their_places(tmp_path: Path) -> None:
    good = capture()
    cut_off = json.dumps(good)[:300]
    write_captures(
        tmp_path,
        [good, cut_off, "", capture(body=b"no image"), capture((0.2, 0.3, 0.5)), *([cut_off] * 4), good],
    )

    found = read(tmp_path)

    assert len(found) == 2
    assert found.damage.counts == {kinds.NOT_JSON: 5, kinds.NOT_AN_IMAGE: 1, kinds.WRONG_LENGTH: 1}
    assert found.damage.total == 7
    file = key(0, START)
    assert found.damage.examples[kinds.NOT_JSON] == [f"{file} line {line}" for line in (2, 6, 7)]


def test_examples_of_damage_are_few_over_many_files(tmp_path: Path) -> None:
    write_captures(tmp_path, ["{"] * 20, a_file=2)
    damage = read(tmp_path).damage
    assert damage.counts == {kinds.NOT_JSON: 20}
    assert len(damage.examples[kinds.NOT_JSON]) == 3


def test_a_line_that_is_too_long_is_skipped_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = capture()
    size = len(json.dumps(good)) + 1
    monkeypatch.setattr(kinds, "MAX_LINE_BYTES", size)
    write_captures(tmp_path, [good, "x" * (3 * size), good])

    found = read(tmp_path)

    assert found.damage.counts == {kinds.TOO_LONG: 1}
    assert [found.photo(row) for row in range(len(found))] == [photo(), photo()]


def test_an_endpoint_that_captures_answers_only_has_no_photos(tmp_path: Path) -> None:
    record = capture()
    del record["captureData"]["endpointInput"]
    write_captures(tmp_path, [record, record])

    found = read(tmp_path)

    assert np.isnan(found.photos).all()
    assert found.photo(0) is None
    assert found.distinct(np.array([1, 0]), 5) == [1, 0]


def test_a_photo_that_was_sent_again_is_shown_once(tmp_path: Path) -> None:
    bodies = [photo(seed=1), photo(seed=1), photo(seed=2), photo(seed=1), photo(seed=3)]
    write_captures(tmp_path, [capture(body=body) for body in bodies])
    assert read(tmp_path).distinct(np.arange(5), 2) == [0, 2]


def test_since_leaves_out_older_files_and_records(tmp_path: Path) -> None:
    write_captures(tmp_path, exchanges(300), a_file=60)
    old = tmp_path / key(9, START - timedelta(days=3))
    old.parent.mkdir(parents=True)
    old.write_bytes(b"not even JSON\n")

    found = read_window(CaptureSource(str(tmp_path)), LABELS, since=START + timedelta(minutes=100))

    assert len(found) == 200
    assert found.damage.total == 0


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("scones/AllTraffic/2026/11/02/10/59-59-000-a.jsonl", True),
        ("scones/AllTraffic/2026/11/02/09/59-59-000-a.jsonl", True),  # goes on into the next hour
        ("scones/AllTraffic/2026/11/02/07/00-00-000-a.jsonl", False),
        ("2026/11/01/23/00-00-000-a.jsonl", False),
        ("2026/99/99/99/00-00-000-a.jsonl", True),
        ("anything.jsonl", True),
    ],
)
def test_a_files_hour_tells_whether_it_is_read(file: str, *, expected: bool) -> None:
    assert may_hold(file, START + timedelta(hours=2)) is expected


def test_only_jsonl_files_are_read_and_none_are_needed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    found = read(tmp_path)
    assert (len(found), found.files, found.probabilities.shape) == (0, [], (0, 2))


@pytest.mark.usefixtures("aws")
def test_a_prefix_in_s3_is_read_page_by_page_and_photos_by_range() -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="models")
    records = exchanges(40)
    for number in range(4):
        part = records[10 * number : 10 * number + 10]
        s3.put_object(Bucket="models", Key=f"capture/{key(number, START)}", Body=content(part))
    s3.put_object(Bucket="models", Key="capture/other.txt", Body=b"x")
    s3.put_object(Bucket="models", Key=f"elsewhere/{key(0, START)}", Body=content(records))

    found = read_window(capture_source("s3://models/capture/", boto3.Session()), LABELS)

    assert len(found) == 40
    assert found.source.name == "s3://models/capture/"
    assert [found.photo(row) for row in (0, 25)] == [photo_of(records[0]), photo_of(records[25])]


def photo_of(record: dict[str, dict[str, dict[str, str]]]) -> bytes:
    return base64.b64decode(record["captureData"]["endpointInput"]["data"])
