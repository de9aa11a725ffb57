"""The network, its small file, and what augmentation and folding promise."""

import copy
import gzip
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from PIL import Image
from torch import nn

from model_build.serving import inference
from model_build.train import VIEWS, Recipe, blend, export
from model_build.training.augmentation import Augmentation, augment
from model_build.training.cross_validation import Measured, Said, best_temperature, figures, look
from model_build.training.dataset import folds
from model_build.training.fuse_padding import join_padding
from model_build.training.network import CLASSES, PIXEL_MEAN, PIXEL_STD, STAGES, Network, pretrained_weights
from model_build.training.pretrained_head import Prior, WithPrior, fit_relation
from model_build.training.quantize import compact

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
    learned = copy.deepcopy(network)
    chance = torch.Generator().manual_seed(0)
    relation = torch.rand(CLASSES, 3, generator=chance).softmax(1)
    with torch.no_grad():
        for weight in learned.tail.parameters():  # as far from its start as fine-tuning goes
            weight.add_(torch.randn(weight.shape, generator=chance) * weight.std(correction=0) / 30)
    served = WithPrior(learned, Prior(Recipe().frozen, relation))
    export(served, tmp_path / "model.onnx")
    images = torch.rand(2, 3, 96, 128, generator=chance) * 2 - 1
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    said = session.run(["logits", "prior"], {"images": images.numpy()})
    with torch.no_grad():
        expected = served.to(memory_format=torch.contiguous_format)(images)
    for one, other in zip(said, expected, strict=True):
        assert np.abs(one - other.numpy()).max() < 0.25 * np.abs(other).max()  # noise is the hardest to keep
    assert "Pad" not in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert len(gzip.compress((tmp_path / "model.onnx").read_bytes())) < 5_000_000


def test_the_prior_is_what_the_pretrained_classes_stand_for(network: Network) -> None:
    """Each class stands for one group: the prior is what the pretrained network gives to its classes."""
    groups = torch.arange(CLASSES) % 3
    prior = Prior(len(network.front), nn.functional.one_hot(groups).float())
    features = network.front(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        shares, said = prior.classes(features), prior(features).exp()
    torch.testing.assert_close(said.sum(1), torch.ones(2))
    torch.testing.assert_close(said[:, 1], shares[:, groups == 1].sum(1))


def test_a_class_is_related_to_the_labels_that_it_came_with() -> None:
    """Classes 0 and 1 show label 0, 2 shows label 1 and others alike, 3 only others, 4 nothing."""
    shown = torch.tensor([0, 1, 2, 2, 3] * 40)
    groups = torch.tensor([0, 0, 1, 2, 2] * 40)
    shares = 0.9 * nn.functional.one_hot(shown, 5).float() + 0.1 / 4 * (torch.arange(5) < 4)
    relation = fit_relation(shares, groups, torch.ones(len(groups)))
    torch.testing.assert_close(relation.sum(1), torch.ones(5))
    assert relation[:2, 0].min() > 0.9
    assert relation[2, 1:].tolist() == pytest.approx([0.5, 0.5], abs=0.1)
    assert relation[3:, 2].min() > 0.9


def test_weights_count_as_images_do() -> None:
    shares, groups = torch.ones(4, 1), torch.tensor([0, 1, 1, 2])
    relation = fit_relation(shares, groups, torch.tensor([200.0, 50.0, 50.0, 100.0]))
    assert relation[0].tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.01)


def test_padding_goes_into_the_convolutions_and_nothing_else_changes(tmp_path: Path) -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(nn.functional.pad(x, (0, 1, 2, 3)))
            x = self.second(nn.functional.pad(x, (1, 0, 0, 0))).relu()
            return nn.functional.pad(x, (1, 1, 0, 0)).mean((2, 3))  # before no convolution: stays

    path, network = tmp_path / "m.onnx", Padded()
    axes = {"x": {0: "batch", 2: "height", 3: "width"}}
    torch.onnx.export(
        network, (torch.zeros(1, 3, 64, 64),), str(path), input_names=["x"], dynamic_axes=axes, dynamo=False
    )
    join_padding(path)
    assert [node.op_type for node in onnx.load(path).graph.node].count("Pad") == 1
    images = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    said = session.run(None, {"x": images.numpy()})[0]
    np.testing.assert_allclose(said, network(images).detach().numpy(), atol=1e-5)


def test_compacting_leaves_small_weights_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    torch.onnx.export(nn.Linear(4, 2), (torch.zeros(1, 4),), str(path), dynamo=False)
    before = onnx.load(path).SerializeToString()
    compact(path)
    assert onnx.load(path).SerializeToString() == before


def test_a_weight_is_stored_as_the_difference_to_its_origin(tmp_path: Path) -> None:
    path, chance = tmp_path / "m.onnx", torch.Generator().manual_seed(0)
    origin, learned = nn.Linear(100, 100), nn.Linear(100, 100)
    with torch.no_grad():
        origin.weight.normal_(generator=chance)
        learned.weight.copy_(origin.weight + 0.02 * torch.randn(100, 100, generator=chance))
    both = nn.Sequential(learned, origin)
    image = torch.randn(1, 100, generator=chance)
    expected, errors = both(image).detach().numpy(), []
    for started_from in ({}, {"0.weight": "1.weight"}):
        torch.onnx.export(both, (image,), str(path), input_names=["x"], dynamo=False)
        compact(path, started_from)
        differences = [one.name for one in onnx.load(path).graph.initializer if "difference" in one.name]
        assert bool(differences) == bool(started_from)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        errors.append(np.abs(session.run(None, {"x": image.numpy()})[0] - expected).max())
    assert max(errors) < 0.1 * np.abs(expected).max()


def test_weights_that_learned_nothing_are_stored_once(tmp_path: Path) -> None:
    path, layer = tmp_path / "m.onnx", nn.Linear(100, 100)
    both = nn.Sequential(layer, copy.deepcopy(layer))
    image = torch.randn(1, 100, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(both, (image,), str(path), input_names=["x"], dynamo=False)
    compact(path, {"0.weight": "1.weight"})
    said = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, {"x": image.numpy()}
    )
    np.testing.assert_allclose(said[0], both(image).detach().numpy(), atol=0.05)
    assert path.stat().st_size < 2 * layer.weight.numel()


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


def test_cross_validation_looks_at_images_as_inference_does(network: Network, tmp_path: Path) -> None:
    chance = torch.Generator().manual_seed(0)
    served = WithPrior(network, Prior(Recipe().frozen, torch.rand(CLASSES, 3, generator=chance).softmax(1)))
    torch.onnx.export(
        served.eval().to(memory_format=torch.contiguous_format),
        (torch.zeros(1, 3, 64, 64),),
        str(tmp_path / "model.onnx"),
        input_names=["images"],
        dynamic_axes={"images": {0: "batch", 2: "height", 3: "width"}},
        dynamo=False,
    )
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=chance)
    said = look(served, images)
    manifest = {
        "labels": ["a", "b"],
        "normalisation": {"mean": PIXEL_MEAN, "std": PIXEL_STD},
        "temperature": 1.0,
    }
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for number, chosen in enumerate(VIEWS):
        plain = {**chosen, "up_to": 64, "softness": 1.0, "prior_weight": 1.0}
        model = inference.Model(session=session, manifest={**manifest, "views": [plain]})
        for index, image in enumerate(images):
            logits, prior = inference.opinions(model, Image.fromarray(image.permute(1, 2, 0).numpy()))
            np.testing.assert_allclose(said.logits[index, number], logits, atol=1e-3)
            np.testing.assert_allclose(said.priors[index, number], prior, atol=1e-3)


def test_cross_validation_compares_like_with_like_where_jpeg_could_give_others_away() -> None:
    """What this network says depends on nothing but whether an image has been through JPEG."""
    plain = Said(np.tile([[[9.0, 0.0, 0.0]]], (4, len(VIEWS), 1)), np.zeros((4, len(VIEWS), 3)))
    squeezed = Said(np.tile([[[0.0, 0.0, 9.0]]], (4, len(VIEWS), 1)), np.zeros((4, len(VIEWS), 3)))
    said = figures(Measured(plain, squeezed, np.zeros(4, np.int64), squeezed, squeezed), 0, Recipe())
    assert said["accuracy"] == 1.0
    assert said["other_auroc"] == said["unseen_auroc"] == 0.5


def test_the_temperature_undoes_exaggeration() -> None:
    generator = np.random.default_rng(0)
    honest = generator.normal(0, 1, 4000)  # log-odds of the second label
    truth = (generator.random(4000) < 1 / (1 + np.exp(-honest))).astype(np.int64)
    logits = np.stack([np.zeros(4000), 2.0 * honest], axis=1)
    said = Said(logits[:, None], np.zeros((4000, 1, 3)))
    assert best_temperature(said, truth, 0, 1.0) == pytest.approx(2.0, rel=0.15)
