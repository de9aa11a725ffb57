"""The network, its small file, and what augmentation and folding promise."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from torch import nn

from model_build.augment import Augmentation, augment
from model_build.compact import compact
from model_build.cross_validate import best_temperature
from model_build.network import STAGES, Network, pretrained_weights
from model_build.train import Recipe, blend, export
from model_build.training_data import folds

OUTPUTS = 3


@pytest.fixture(scope="module")
def network() -> Network:
    torch.set_num_threads(1)
    network = Network(OUTPUTS, Recipe().frozen)
    network.load_pretrained(pretrained_weights())
    with torch.no_grad():
        network.head.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    return network


def test_folded_norms_do_what_the_norms_did() -> None:
    weights = pretrained_weights()
    network = Network(OUTPUTS, 12)
    network.load_pretrained(weights)
    convolution = nn.Conv2d(3, STAGES[0].channels_in, 3, 2, bias=False)
    norm = nn.BatchNorm2d(STAGES[0].channels_in, eps=1e-3).eval()
    convolution.load_state_dict({"weight": weights["_conv_stem.weight"]})
    norm.load_state_dict(
        {name.removeprefix("_bn0."): value for name, value in weights.items() if name.startswith("_bn0.")}
    )
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = norm(convolution(nn.functional.pad(images, (0, 1, 0, 1)))).clamp(0, 6)
    torch.testing.assert_close(network.front[0](images), expected, atol=1e-4, rtol=1e-4)


def test_the_small_file_says_nearly_the_same(network: Network, tmp_path: Path) -> None:
    export(network, tmp_path / "model.onnx")
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    said = session.run(None, {"images": images.numpy()})[0]
    with torch.no_grad():
        expected = network.to(memory_format=torch.contiguous_format)(images).numpy()
    assert np.abs(said - expected).max() < 0.25 * np.abs(expected).max()  # noise is the hardest to keep
    assert (tmp_path / "model.onnx").stat().st_size < 4_000_000


def test_compacting_leaves_small_weights_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    torch.onnx.export(nn.Linear(4, 2), (torch.zeros(1, 4),), str(path), dynamo=False)
    before = onnx.load(path).SerializeToString()
    compact(path)
    assert onnx.load(path).SerializeToString() == before


def test_blending_goes_back_to_the_pretrained_weights() -> None:
    pretrained = Network(OUTPUTS, 12)
    pretrained.load_pretrained(pretrained_weights())
    network = Network(OUTPUTS, 12)
    network.load_pretrained(pretrained_weights())
    start = next(pretrained.tail.parameters())
    with torch.no_grad():
        next(network.tail.parameters()).add_(1.0)
    blend(network, 0.75)
    torch.testing.assert_close(next(network.tail.parameters()), start + 0.25)


def test_augmentation_keeps_pixels_in_range_and_is_repeatable() -> None:
    chance = torch.Generator().manual_seed(0)
    images, others = torch.rand(2, 16, 3, 64, 64, generator=chance)
    first, again, another = (
        augment(images, others, 96, Augmentation(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (16, 3, 96, 96)
    assert 0 <= float(first.min()) < float(first.max()) <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, another)


def test_folds_hold_every_image_once_and_every_class_alike() -> None:
    targets = torch.arange(60) % 3
    parts = folds(targets, 5)
    assert sorted(torch.cat(parts).tolist()) == list(range(60))
    assert all(targets[part].bincount().tolist() == [4, 4, 4] for part in parts)


def test_the_temperature_undoes_exaggeration() -> None:
    generator = np.random.default_rng(0)
    honest = generator.normal(0, 1, 4000)  # log-odds of the second label
    truth = (generator.random(4000) < 1 / (1 + np.exp(-honest))).astype(np.int64)
    logits = np.stack([np.zeros(4000), 2.0 * honest], axis=1)
    assert best_temperature(logits, truth, 2) == pytest.approx(2.0, rel=0.15)
