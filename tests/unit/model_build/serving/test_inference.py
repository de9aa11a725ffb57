"""The four handlers that an endpoint calls: whatever bytes come, a fair answer or a clear refusal."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from model_build.archive.package import DEFAULT_MODEL
from model_build.data.samples import png_claiming
from model_build.serving import inference
from tests.support.tiny_model import COLOURS, picture, write_experts, write_model

LABELS = ["red", "blue"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> inference.Model:
    return inference.model_fn(str(write_model(tmp_path_factory.mktemp("model"), LABELS, ["green", "black"])))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def square(colour: str, side: int = 40) -> Image.Image:
    return Image.fromarray(picture(colour, side=side))


def answer(model: inference.Model, body: bytes, content_type: str | None = "image/png") -> list[float]:
    data = inference.input_fn(body, content_type)
    shares = json.loads(inference.output_fn(inference.predict_fn(data, model), "application/json"))
    assert isinstance(shares, list)
    return shares


def test_an_answer_is_one_share_per_label(model: inference.Model) -> None:
    shares = answer(model, encoded(square("blue")))
    assert shares[1] > 0.9
    assert sum(shares) == pytest.approx(1)


def test_what_is_no_label_is_even_odds(model: inference.Model) -> None:
    assert answer(model, encoded(square("green"))) == pytest.approx([0.5, 0.5], abs=0.05)


@pytest.mark.parametrize(
    "make",
    [
        lambda: encoded(square("red"), "JPEG"),
        lambda: encoded(square("red").convert("CMYK"), "JPEG"),
        lambda: encoded(square("red").convert("P")),
        lambda: encoded(square("red").convert("RGBA")),
        lambda: encoded(square("red"), "WEBP"),
        lambda: encoded(square("red"), "GIF", save_all=True, append_images=[square("blue")]),
        lambda: encoded(square("red", 1)),
    ],
    ids=["jpeg", "cmyk", "palette", "alpha", "webp", "animated", "one-pixel"],
)
def test_every_kind_of_image_is_read(model: inference.Model, make: Callable[[], bytes]) -> None:
    assert answer(model, make(), None)[0] > 0.9


@pytest.mark.parametrize("size", [(3000, 4), (4, 3000), (256, 171), (33, 32), (1, 1)])
def test_the_shipped_network_takes_any_shape(size: tuple[int, int]) -> None:
    shares = answer(inference.model_fn(str(DEFAULT_MODEL)), encoded(Image.new("RGB", size)))
    assert np.isfinite(shares).all()
    assert sum(shares) == pytest.approx(1)


def test_a_large_photo_is_made_small() -> None:
    assert max(inference.decode(encoded(Image.new("RGB", (3000, 2000)), "JPEG")).size) == 256


@pytest.mark.parametrize(
    ("body", "content_type", "status", "says"),
    [
        (b"", "image/png", 400, "no body"),
        (b"not an image", "image/png", 400, "not a readable image"),
        (encoded(Image.new("RGB", (64, 64), "red"), "JPEG")[:300], "image/jpeg", 400, "not a readable image"),
        (png_claiming(50_000, 50_000), "image/png", 400, "pixels"),
        (png_claiming(9_000, 9_000), "image/png", 400, "pixels"),
        (encoded(Image.new("RGB", (8, 8))), "text/plain", 415, "text/plain"),
    ],
    ids=["empty", "text", "cut-off", "bomb", "too-large", "content-type"],
)
def test_what_cannot_be_classified_is_the_callers_mistake(
    body: bytes, content_type: str, status: int, says: str
) -> None:
    with pytest.raises(inference.BadRequest, match=says) as caught:
        inference.input_fn(body, content_type)
    assert caught.value.status_code == status


def test_a_parameter_of_the_content_type_is_passed_over() -> None:
    assert inference.input_fn(encoded(square("red")), "Image/PNG; charset=binary").size == (40, 40)


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        inference.model_fn(str(tmp_path))
    folder = write_experts(write_model(tmp_path / "m", LABELS), LABELS)
    (folder / "detector.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no detector\.onnx"):
        inference.model_fn(str(folder))


def changed(folder: Path, **values: Any) -> inference.Model:
    """Load a model whose manifest has other values."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, **values}), encoding="utf-8")
    return inference.model_fn(str(folder))


def test_a_manifest_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"format 4, this inference\.py reads 1, 2, 3"):
        changed(write_model(tmp_path / "m", LABELS), format=4)


@pytest.mark.parametrize("size", [(32, 32), (256, 171), (171, 256), (256, 20), (5, 3)])
def test_a_view_keeps_the_shape_and_the_area(size: tuple[int, int]) -> None:
    height, width, _ = inference.view(Image.new("RGB", size), 160).shape
    assert height % inference.MULTIPLE == 0
    assert width % inference.MULTIPLE == 0
    assert 0.8 < height * width / 160**2 < 1.2
    shape = min(max(size[0] / size[1], 1 / inference.LONGEST), inference.LONGEST)
    assert width / height == pytest.approx(shape, rel=0.2)


@pytest.mark.parametrize("size", [(32, 32), (20, 40), (1, 1)])
def test_a_margin_shows_the_image_smaller_and_mirrored_around(size: tuple[int, int]) -> None:
    ramp = np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(size[1], size[0], 3)
    image = Image.fromarray(ramp)
    margins = [round(0.25 * length) for length in size]
    framed = inference.view(image, 160, margin=0.25)
    around = Image.fromarray(np.pad(ramp, [(margins[1],) * 2, (margins[0],) * 2, (0, 0)], mode="symmetric"))
    assert around.size == (size[0] + 2 * margins[0], size[1] + 2 * margins[1])
    np.testing.assert_array_equal(framed, inference.view(around, 160))


def neither(prediction: inference.Prediction) -> float:
    name, _, value = prediction.custom_attributes.partition("=")
    assert name == "neither"
    return float(value)


def test_small_images_have_a_view_of_their_own() -> None:
    views = [{"up_to": 64, "side": 128}, {"side": 160}]
    assert inference.view_for(Image.new("RGB", (200, 64)), views)["side"] == 128
    assert inference.view_for(Image.new("RGB", (200, 65)), views)["side"] == 160
    assert inference.view_for(Image.new("RGB", (200, 65)), views[:1])["side"] == 128


def test_the_share_of_others_goes_to_the_labels_in_equal_parts() -> None:
    scores = np.log(np.array([0.5, 0.1, 0.3, 0.1]))
    assert inference.label_probabilities(scores, 2) == pytest.approx([0.7, 0.3])


def test_the_prior_multiplies_the_odds_of_labels_and_of_none_of_them() -> None:
    scores, prior = np.log(np.array([0.5, 0.2, 0.2, 0.1])), np.log(np.array([0.1, 1.0, 0.5]))
    odds = np.array([0.05, 0.2, 0.15])
    shares = odds / odds.sum()
    assert inference.label_probabilities(scores, 2, prior) == pytest.approx(shares[:2] + shares[2] / 2)
    assert inference.label_probabilities(scores, 2, 0 * prior) == pytest.approx(
        inference.label_probabilities(scores, 2)
    )


def test_a_model_of_negatives_gives_the_probability_of_none_of_the_labels(tmp_path: Path) -> None:
    model = inference.model_fn(str(write_model(tmp_path / "m", LABELS, ["green", "black"])))
    answers = {colour: inference.predict_fn(square(colour), model) for colour in ("red", "green", "black")}
    assert [round(neither(answer), 3) for answer in answers.values()] == [0, 1, 1]
    assert answers["green"] == pytest.approx([0.5, 0.5], abs=1e-3)
    alone = inference.model_fn(str(write_model(tmp_path / "alone", LABELS)))
    assert inference.predict_fn(square("green"), alone).custom_attributes == "", "it has learned none"


@pytest.mark.parametrize("others", [["green"], []], ids=["others", "no-others"])
def test_a_second_output_has_the_weight_of_the_view(tmp_path: Path, others: list[str]) -> None:
    folder = write_model(tmp_path / "m", LABELS, others, prior=[np.log(0.01), 0.0, 0.0])
    image = Image.blend(square("red"), square("blue"), 0.5)

    def odds_of_red(**view: float) -> float:
        views = [{"side": 32, "mirror": True, **view}]
        red, blue = inference.predict_fn(image, changed(folder, views=views))
        return float(red / blue)

    assert odds_of_red(prior_weight=0.0) == pytest.approx(odds_of_red())
    assert odds_of_red(prior_weight=1.0) < odds_of_red(prior_weight=0.5) < odds_of_red()
    if not others:
        assert odds_of_red(prior_weight=0.5) == pytest.approx(0.1 * odds_of_red(), rel=1e-3)


def test_temperature_and_softness_make_answers_less_or_more_sure(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", LABELS)
    image = Image.blend(square("red"), square("blue"), 0.45)

    def sure(temperature: float, softness: float) -> float:
        views = [{"side": 32, "mirror": True, "softness": softness}]
        return max(inference.predict_fn(image, changed(folder, temperature=temperature, views=views)))

    assert sure(4, 1) < sure(1, 1) < sure(1, 0.5)
    assert sure(2, 0.5) == pytest.approx(sure(1, 1))


def test_thumbnails_are_classified_by_the_trained_network_photos_by_the_experts(tmp_path: Path) -> None:
    """The trained network answers as before; `yellow` is a class that only the expert has."""
    alone = inference.model_fn(str(write_model(tmp_path / "alone", LABELS, ["green", "black"])))
    folder = write_model(tmp_path / "both", LABELS, ["green", "black"])
    both = inference.model_fn(str(write_experts(folder, LABELS, detector=False)))
    for colour in COLOURS:
        thumbnail = square(colour, 64)
        assert inference.predict_fn(thumbnail, both) == inference.predict_fn(thumbnail, alone)
    assert inference.predict_fn(square("blue", 65), both)[1] > 0.99
    assert max(inference.predict_fn(square("yellow", 64), both)) > 0.7
    assert inference.predict_fn(square("yellow", 65), both) == pytest.approx([0.5, 0.5], abs=0.01)


@pytest.mark.parametrize("detector", [True, False], ids=["both", "classifier-alone"])
def test_the_odds_of_the_experts_are_multiplied(tmp_path: Path, detector: bool) -> None:
    folder = write_experts(write_model(tmp_path / "m", LABELS), LABELS, detector=detector)
    model = inference.model_fn(str(folder))
    image = Image.blend(Image.blend(square("red", 80), square("blue", 80), 0.45), square("black", 80), 0.2)
    network = model.networks["classifier.onnx"]
    batch = inference.network_input(image, 32, {"mean": 0.0, "std": 1.0})
    logits = network.run(None, {"images": batch})[0][0].astype(float)
    share = dict(zip(COLOURS, np.exp(logits) / np.exp(logits).sum(), strict=True))
    box = dict(zip(COLOURS, logits, strict=True))

    none = 1 - share["red"] - share["blue"]
    by_chance = 1 / (len(COLOURS) - 2)  # the odds of one class of six against the four that are no label
    odds = np.array([share[label] / none / by_chance for label in LABELS])
    if detector:
        odds *= np.exp([np.clip(box[label], -np.log(9999), np.log(9999)) for label in LABELS])
    weighted = np.array([*odds**0.8, 1.0])
    shares = weighted / weighted.sum()

    answer = inference.predict_fn(image, model)
    assert answer == pytest.approx(shares[:2] + shares[2] / 2)
    assert neither(answer) == pytest.approx(shares[2], abs=1e-6)


def test_a_classifier_that_knows_nothing_says_nothing() -> None:
    assert inference.class_log_odds(np.zeros(1000), [[1, 2], [3], [7, 8, 9]], 1e-4) == pytest.approx([0] * 3)


def test_no_expert_alone_can_rule_a_label_out_or_in() -> None:
    logits = np.zeros(10)
    logits[0] = 1e4
    odds = inference.class_log_odds(logits, [[0], [1]], 1e-4)
    assert np.isfinite(odds).all()
    assert odds == pytest.approx([np.log(1e4) + np.log(8), np.log(8)])


@pytest.mark.parametrize(
    ("red", "yellow", "box", "confused"),
    [(0.1, 0.5, 0.9, True), (0.1, 0.3, 0.9, False), (0.1, 0.5, 1.1, False)],
    ids=["yellow-instead", "not-much-more", "the-detector-is-sure"],
)
def test_an_answer_is_doubted_if_its_label_is_confused(
    red: float, yellow: float, box: float, *, confused: bool
) -> None:
    outputs = {"red": [0], "blue": [1]}
    experts = {role: {"file": role, "outputs": outputs} for role in ("classifier", "detector")}
    seen = {
        "classifier": np.log([red, 0.05, yellow, 1 - red - yellow - 0.05]),
        "detector": np.array([[box], [9.0]]),
    }

    def ask(network: dict[str, Any]) -> dict[str, Any]:
        return {"logits": seen[network["file"]]}

    found = inference.confusion(LABELS, {**experts, "confusable": [2]}, ask)
    assert found.tolist() == [confused, False]
    assert not inference.confusion(LABELS, experts, ask).any(), "nothing is known to be confusable"
    left = [0.16, 0.02, 0.82] if confused else [0.8, 0.1, 0.1]
    logits = inference.doubted(np.log([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]), found)
    assert inference.label_shares(logits, 2) == pytest.approx(np.array([left, [0.1, 0.8, 0.1]]))


def attributes(text: str) -> dict[str, list[str]]:
    """Decode custom attributes as a caller does."""
    fields = dict(field.split("=", 1) for field in text.split(";") if field)
    return {name: [unquote(value) for value in values.split(",")] for name, values in fields.items()}


def named(model: inference.Model, labels: list[str]) -> inference.Model:
    return replace(model, manifest={**model.manifest, "labels": labels})


def test_custom_attributes_are_labels_and_version_if_it_is_known(
    model: inference.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_VERSION", "scones-20261125-101500-042")
    assert inference.custom_attributes(model) == "labels=red,blue;model_version=scones-20261125-101500-042"
    monkeypatch.delenv("MODEL_VERSION")
    assert inference.custom_attributes(model) == "labels=red,blue"


@pytest.mark.parametrize("labels", [["a,b", "c;d=e"], ["100 %", "straße", "\n"], ["x" * 400, "y" * 400]])
def test_any_label_survives_the_header(
    model: inference.Model, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_VERSION", "v;1,2")

    text = inference.custom_attributes(named(model, labels))

    assert text.isascii()
    assert text.isprintable()
    assert attributes(text) == {"labels": labels, "model_version": ["v;1,2"]}


def test_more_labels_than_a_header_holds_are_absent(
    model: inference.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_VERSION", "v")
    longest = 1024 - len("labels=;model_version=v;neither=0.123456")

    assert inference.custom_attributes(named(model, ["x" * longest])).startswith("labels=x")
    assert inference.custom_attributes(named(model, ["x" * (longest + 1)])) == "model_version=v"
