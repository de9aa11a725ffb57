"""Cross-validation: folds, the same view as inference, like compared with like, and the temperature."""

from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from PIL import Image

from model_build.serving import inference
from model_build.training.cross_validation import (
    HeldOut,
    Outputs,
    best_temperature,
    cross_validate,
    figures,
    folds,
    predict,
)
from model_build.training.dataset import TrainingSet
from model_build.training.images import DataError
from model_build.training.network import CLASSES, PIXEL_MEAN, PIXEL_STD, Network
from model_build.training.onnx_files import write_onnx
from model_build.training.pretrained_head import PretrainedHead, ServedNetwork
from model_build.training.recipe import THUMBNAIL, Recipe


def test_folds_are_stratified_and_hold_every_image_once() -> None:
    targets = torch.arange(60) % 3
    parts = folds(targets, 5)
    assert sorted(torch.cat(parts).tolist()) == list(range(60))
    assert all(targets[part].bincount().tolist() == [4, 4, 4] for part in parts)


def test_images_are_presented_as_inference_presents_them(network: Network, tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    served = ServedNetwork(
        network, PretrainedHead(Recipe().frozen, torch.rand(CLASSES, 3, generator=random).softmax(1))
    )
    write_onnx(served, tmp_path / "model.onnx", ["logits", "prior"])
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=random)
    outputs = predict(served, images)
    manifest = {
        "labels": ["a", "b"],
        "normalisation": {"mean": PIXEL_MEAN, "std": PIXEL_STD},
        "temperature": 1.0,
    }
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    plain = THUMBNAIL.model_copy(update={"prior_weight": 1.0}).model_dump(exclude_none=True)
    model = inference.Model({**manifest, "views": [plain]}, {"model.onnx": session})
    for index, image in enumerate(images):
        thumbnail = Image.fromarray(image.permute(1, 2, 0).numpy())
        logits, prior = inference.logits_and_prior(model, thumbnail, plain)
        np.testing.assert_allclose(outputs.logits[index], logits, atol=1e-3)
        np.testing.assert_allclose(outputs.priors[index], prior, atol=1e-3)


def test_negatives_are_compared_with_compressed_images() -> None:
    """The outputs of this network depend only on whether an image was compressed."""
    plain = Outputs(np.tile([[9.0, 0.0, 0.0]], (4, 1)), np.zeros((4, 3)))
    compressed = Outputs(np.tile([[0.0, 0.0, 9.0]], (9, 1)), np.zeros((9, 3)))
    targets = np.array([0, 0, 0, 0, 2, 2, 2, 2, 2])
    unseen = np.array([False] * 6 + [True] * 3)
    shown = figures(HeldOut(targets, unseen, plain, compressed), Recipe())
    assert (shown["images"], shown["other_images"], shown["unseen_images"]) == (4, 2, 3)
    assert shown["accuracy"] == 1.0
    assert shown["other_auroc"] == shown["unseen_auroc"] == 0.5


def test_the_best_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(0)
    log_odds = generator.normal(0, 1, 4000)
    truth = (generator.random(4000) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    logits = np.stack([np.zeros(4000), 2.0 * log_odds], axis=1)
    outputs = Outputs(logits, np.zeros((4000, 3)))
    assert best_temperature(outputs, truth) == pytest.approx(2.0, rel=0.15)


def test_a_label_with_fewer_images_than_folds_is_named() -> None:
    targets = torch.tensor([0] * 5 + [1] * 3)
    images = torch.zeros(8, 3, 64, 64, dtype=torch.uint8)
    data = TrainingSet(
        ["many", "few"], ["many", "few"], images, images, targets, torch.ones(8, dtype=torch.bool)
    )
    with pytest.raises(DataError, match="--folds 4: few has only 3 training images"):
        cross_validate(data, Recipe(), 4)
