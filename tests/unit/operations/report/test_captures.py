"""Capture files: what is read of lines, damaged ones, windows, folders, S3; what photos look like."""

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from PIL import Image, ImageFilter

from localcloud.sagemaker.capture import Exchange, record
from model_build.data.samples import png_claiming
from operations.report import captures
from operations.report.captures import FEATURES, photo_features
from tests.support.captures import (
    LABELS,
    START,
    capture,
    content,
    exchanges,
    key,
    photo,
    window_of,
    write_captures,
)
from tests.support.photo_files import encode


def changed(path: str, value: object) -> bytes:
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
    return json.dumps(document).encode()


INPUT, OUTPUT = "captureData.endpointInput", "captureData.endpointOutput"
TIME = "eventMetadata.inferenceTime"
DAMAGED: dict[str, tuple[object, ...]] = {
    captures.NOT_JSON: (b'{"captureData": {"endpointInp', b"\xff\xfe\x00", b"[" * 100_000, b"[1, 2]"),
    captures.INCOMPLETE: (
        *(b"{}", (OUTPUT, None), (INPUT, "text"), (f"{INPUT}.data", None), (f"{OUTPUT}.data", [0.9, 0.1])),
        ("eventMetadata", None),
    ),
    captures.NO_TIME: ((TIME, None), (TIME, "yesterday"), (TIME, 1700000000)),
    captures.WRONG_TIME: (
        *((TIME, "9999-12-31T23:59:59Z"), (TIME, "0001-01-01T00:00:00+14:00"), (TIME, "1970-01-01T00:00:00")),
        *((TIME, "1999-12-31T23:59:59Z"), (TIME, "2100-01-01T00:00:00Z")),
    ),
    captures.NOT_BASE64: (
        (f"{INPUT}.data", "%%%"),
        (f"{INPUT}.data", "Ünicode"),
        (f"{INPUT}.encoding", "CSV"),
    ),
    captures.NOT_PROBABILITIES: tuple(
        (f"{OUTPUT}.data", text)
        for text in (
            *("<html>busy</html>", '{"bicycle": 1}', "[]", "[NaN, 0.5]", "[1.5, -0.5]", "[true, false]"),
            *("[0.9, 0.9]", '["0.9", "0.1"]'),
        )
    ),
    captures.WRONG_LENGTH: ((f"{OUTPUT}.data", "[0.2, 0.3, 0.5]"), (f"{OUTPUT}.data", "[1.0]")),
}


@pytest.mark.parametrize(("kind", "damage"), [(kind, one) for kind, some in DAMAGED.items() for one in some])
def test_damage_is_told_by_its_kind(kind: str, damage: Any) -> None:
    with pytest.raises(captures.DamagedRecordError) as caught:
        captures.parse_record(damage if isinstance(damage, bytes) else changed(*damage), 2)
    assert str(caught.value) == kind


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (TIME, "2026-11-02T08:00:00"),  # without a zone it is UTC
        *((TIME, text) for text in ("2026-11-02T09:00:00+01:00", "2026-11-02T08:00:00.000Z")),
        (OUTPUT, {"data": base64.b64encode(b"[0.9, 0.1]").decode(), "encoding": "BASE64"}),
    ],
)
def test_a_good_record_is_read(path: str, value: object) -> None:
    assert captures.parse_record(changed(path, value), 2) == captures.CaptureRecord(
        START.timestamp(), (0.9, 0.1), photo(), ""
    )


def test_what_the_stand_in_captures_is_read() -> None:
    exchange = Exchange("image/png", photo(), "application/json; charset=utf-8", b"[0.4, 0.6]")
    settings: dict[str, Any] = {"CaptureOptions": [{"CaptureMode": one} for one in ("Input", "Output")]}
    settings["CaptureContentTypeHeader"] = {"JsonContentTypes": ["application/json"]}
    now = datetime.fromisoformat("2026-11-02T08:00:00Z")
    found = captures.parse_record(json.dumps(record(exchange, settings, now)).encode(), 2)
    assert (found.time, found.probabilities, found.photo) == (now.timestamp(), (0.4, 0.6), photo())


def photos_of(window: captures.Window) -> list[bytes | None]:
    return [window.record(row).photo for row in range(len(window))]


def test_every_record_is_a_row_in_the_order_of_time(tmp_path: Path) -> None:
    records = exchanges(130)
    write_captures(tmp_path, records[::-1], a_file=20)
    found = captures.read_window(captures.CaptureSource(str(tmp_path)), LABELS)
    assert len(found.files) == 7
    assert found.damage.counts == {}
    assert np.diff(found.times).tolist() == [60.0] * 129
    answers = [json.loads(record["captureData"]["endpointOutput"]["data"]) for record in records]
    assert found.probabilities.tolist() == answers
    assert found.confidences.tolist() == [max(answer) for answer in answers]
    assert photos_of(found) == [photo_of(record) for record in records]


def test_features_are_the_answers_and_what_photos_look_like(tmp_path: Path) -> None:
    body = photo(200)
    features = window_of(tmp_path, [capture((0.3, 0.7), body)]).features()
    assert list(features) == ["confidence", "probability of bicycle", *FEATURES]
    assert [values[0] for values in features.values()] == [0.7, 0.3, *photo_features(body)]


def test_damaged_records_are_counted_with_their_places(tmp_path: Path) -> None:
    good = capture()
    cut_off = json.dumps(good)[:300]
    bad = capture(body=b"no image"), capture((0.2, 0.3, 0.5))
    write_captures(tmp_path, [good, cut_off, "", *bad, *([cut_off] * 4), good])
    (tmp_path / "more.jsonl").write_text("{\n")
    found = captures.read_window(captures.CaptureSource(str(tmp_path)), LABELS)
    assert len(found) == 2
    assert found.damage.counts == {captures.NOT_JSON: 6, captures.NOT_AN_IMAGE: 1, captures.WRONG_LENGTH: 1}
    places = ["more.jsonl line 1", *(f"{key(0, START)} line {line}" for line in (2, 6))]
    assert found.damage.examples[captures.NOT_JSON] == places, "the first three of all files"


def test_a_line_that_is_too_long_is_skipped_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = capture()
    size = len(json.dumps(good)) + 1
    monkeypatch.setattr(captures, "MAX_LINE_BYTES", size)
    found = window_of(tmp_path, [good, "x" * (3 * size), good])
    assert found.damage.counts == {captures.TOO_LONG: 1}
    assert photos_of(found) == [photo(), photo()]


def test_an_endpoint_that_captures_answers_only_has_no_photos(tmp_path: Path) -> None:
    record = capture()
    del record["captureData"]["endpointInput"]
    found = window_of(tmp_path, [record, record])
    assert np.isnan(found.photos).all()
    assert photos_of(found) == [None, None]
    assert found.distinct(np.array([1, 0]), 5) == [1, 0]


def test_a_photo_that_was_sent_again_is_shown_once(tmp_path: Path) -> None:
    bodies = [photo(seed=1), photo(seed=1), photo(seed=2), photo(seed=1), photo(seed=3)]
    assert window_of(tmp_path, [capture(body=body) for body in bodies]).distinct(np.arange(5), 2) == [0, 2]


def test_since_leaves_out_older_files_and_records(tmp_path: Path) -> None:
    write_captures(tmp_path, exchanges(300), a_file=60)
    old = tmp_path / key(9, START - timedelta(days=3))
    old.parent.mkdir(parents=True)
    old.write_bytes(b"not even JSON\n")
    found = captures.read_window(
        captures.CaptureSource(str(tmp_path)), LABELS, since=START + timedelta(minutes=100)
    )
    assert (len(found), found.damage.counts) == (200, {})


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("scones/AllTraffic/2026/11/02/10/59-59-000-a.jsonl", True),
        ("scones/AllTraffic/2026/11/02/09/59-59-000-a.jsonl", True),  # goes on into the next hour
        ("scones/AllTraffic/2026/11/02/07/00-00-000-a.jsonl", False),
        ("2026/11/01/23/00-00-000-a.jsonl", False),
        *((file, True) for file in ("2026/99/99/99/00-00-000-a.jsonl", "anything.jsonl")),
    ],
)
def test_a_files_hour_tells_whether_it_is_read(file: str, *, expected: bool) -> None:
    assert captures.may_hold(file, START + timedelta(hours=2)) is expected


def test_only_jsonl_files_are_read_and_none_are_needed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    found = captures.read_window(captures.CaptureSource(str(tmp_path)), LABELS)
    assert (len(found), found.files, found.probabilities.shape) == (0, [], (0, 2))


@pytest.mark.usefixtures("aws")
def test_a_prefix_in_s3_is_read_page_by_page_and_photos_by_range() -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="models")
    records = exchanges(40)
    files = {f"capture/{key(n, START)}": content(records[10 * n : 10 * n + 10]) for n in range(4)}
    files |= {"capture/other.txt": b"x", f"elsewhere/{key(0, START)}": content(records)}
    for name, body in files.items():
        s3.put_object(Bucket="models", Key=name, Body=body)
    found = captures.read_window(captures.capture_source("s3://models/capture/", boto3.Session()), LABELS)
    assert found.source.name == "s3://models/capture/"
    assert photos_of(found) == [photo_of(record) for record in records]


def photo_of(record: dict[str, dict[str, dict[str, str]]]) -> bytes:
    return base64.b64decode(record["captureData"]["endpointInput"]["data"])


def features(image: Image.Image, kind: str = "PNG") -> dict[str, float]:
    return dict(zip(FEATURES, photo_features(encode(image, kind)), strict=True))


def noise(size: tuple[int, int] = (48, 32)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


NOTHING = dict.fromkeys(("contrast", "colourfulness", "sharpness"), 0.0)
HALVES = Image.new("L", (40, 40))
HALVES.paste(255, (0, 0, 20, 40))
CHECKS = Image.fromarray((np.indices((32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (60, 30), (51, 51, 51)), {"brightness": 0.2, "aspect_ratio": 2.0, **NOTHING}),
        (Image.new("RGB", (1, 1), "white"), {"brightness": 1.0, "aspect_ratio": 1.0, **NOTHING}),
        (HALVES, {"brightness": 0.5, "contrast": 0.5}),  # the standard deviation
        # Hasler and Süsstrunk: rg = 1, yb = 0.5, no spread: 0.3 * sqrt(1 + 0.25).
        (Image.new("RGB", (8, 8), (255, 0, 0)), {"colourfulness": 0.3354}),
        # Both signs of the Laplacian of a full checkerboard: ±4 · 255, clipped by Pillow's 8 bits to ±1.
        (CHECKS, {"sharpness": pytest.approx(1.0, abs=0.01)}),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 0)), {"brightness": 1.0}),  # what is transparent is white
    ],
)
def test_each_number_is_what_it_is_named_for(image: Image.Image, expected: dict[str, float]) -> None:
    found = features(image)
    assert {name: found[name] for name in expected} == expected
    assert found["bytes"] == len(encode(image, "PNG"))


def test_blur_makes_it_less_sharp() -> None:
    sharp = noise()
    assert features(sharp.filter(ImageFilter.GaussianBlur(1)))["sharpness"] < features(sharp)["sharpness"] / 3


def test_a_large_photo_looks_like_the_same_photo_in_small() -> None:
    large = noise((64, 48)).resize((1024, 768), Image.Resampling.BICUBIC)
    small = large.resize((64, 48), Image.Resampling.BOX)
    one, other = features(large, "JPEG"), features(small)
    for name in ("brightness", "contrast", "colourfulness", "sharpness"):
        assert one[name] == pytest.approx(other[name], rel=0.15), name


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16", "CMYK"])
def test_every_mode_of_an_image_is_read(mode: str) -> None:
    image = noise().convert("L") if mode == "I;16" else noise()
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert 0.3 < features(image.convert(mode), kind)["brightness"] < 0.7


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"GIF89a", b"not an image", encode(noise(), "PNG")[:200]),
        *(png_claiming(5001, 5000), png_claiming(60_000, 60_000)),
    ],
)
def test_what_cannot_be_decoded_is_refused(body: bytes) -> None:
    with pytest.raises(captures.DamagedRecordError):
        photo_features(body)
