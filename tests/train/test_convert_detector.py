"""The conversion of a TensorFlow.js graph to ONNX, on a small graph that torch computes too."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from torch.nn import functional

from model_build.errors import ModelBuildError
from model_build.training import convert_detector
from model_build.training.convert_detector import IDS, INPUT, PREDICTORS, convert, read_graph, read_package

CHANNELS, ANCHORS = 4, 2
RANDOM = np.random.default_rng(0)
WEIGHTS: dict[str, Any] = {
    "kernel": RANDOM.normal(size=(3, 3, 3, CHANNELS)).astype("f4"),
    **{name: RANDOM.uniform(0.5, 2, CHANNELS).astype("f4") for name in ("gamma", "beta", "mean", "variance")},
    "depth": RANDOM.normal(size=(3, 3, CHANNELS, 1)).astype("f4"),
    "scale": RANDOM.uniform(0.5, 2, (1, 1, 1, CHANNELS)).astype("f4"),
    "bias": RANDOM.normal(size=CHANNELS).astype("f4"),
    "head": RANDOM.normal(size=(1, 1, CHANNELS, ANCHORS * IDS)).astype("f4"),
    "shift": RANDOM.normal(size=ANCHORS * IDS).astype("f4"),
}


def node(name: str, operator: str, *inputs: str) -> dict[str, Any]:
    ones = {"list": {"i": ["1"] * 4}}
    attributes: dict[str, Any] = {"strides": ones, "dilations": ones, "padding": {"s": list(b"SAME")}}
    attributes["epsilon"] = {"f": 1e-3}
    return {"name": name, "op": operator, "input": list(inputs), "attr": attributes}


def graph() -> dict[str, dict[str, Any]]:
    """Return a convolution with a batch norm, a scaled depthwise one with a bias, and six predictors."""
    nodes = [
        *(node(name, "Const") for name in WEIGHTS),
        node("c", "Conv2D", INPUT, "kernel"),
        node("n", "FusedBatchNorm", "c", "gamma", "beta", "mean", "variance"),
        node("r", "Relu6", "n"),
        node("d", "DepthwiseConv2dNative", "r", "depth"),
        node("m", "Mul", "d", "scale"),
        node("s_Leaf_1_add", "Add", "m", "bias"),
        node("s", "AddN", "s_Leaf_1_add", "r"),
    ]
    for predictor in PREDICTORS:
        nodes += [node(f"{predictor}/c", "Conv2D", "s", "head")]
        nodes += [node(predictor, "BiasAdd", f"{predictor}/c", "shift")]
    return {one["name"]: one for one in nodes}


def in_torch(images: torch.Tensor) -> torch.Tensor:
    w = {name: torch.from_numpy(values) for name, values in WEIGHTS.items()}
    x = functional.conv2d(images, w["kernel"].permute(3, 2, 0, 1), padding=1)
    x = functional.batch_norm(x, w["mean"], w["variance"], w["gamma"], w["beta"], eps=1e-3)
    x = functional.relu6(x)
    y = functional.conv2d(x, w["depth"].permute(2, 3, 0, 1), padding=1, groups=CHANNELS)
    y = y * w["scale"].reshape(-1, 1, 1) + w["bias"].reshape(-1, 1, 1) + x
    z = functional.conv2d(y, w["head"].permute(3, 2, 0, 1), w["shift"])
    return z.reshape(len(images), ANCHORS, IDS, -1).amax((1, 3))


def test_the_converted_graph_computes_the_same() -> None:
    images = torch.rand(2, 3, 9, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    model = convert(graph(), WEIGHTS).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    actual = session.run(["objects"], {"images": images.numpy()})[0]
    np.testing.assert_allclose(actual, in_torch(images).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "change"), [("r", "Tanh"), ("c", "Conv3D"), ("m", "Div")])
def test_an_operator_without_a_conversion_is_named(name: str, change: str) -> None:
    nodes = graph()
    nodes[name]["op"] = change
    with pytest.raises((ModelBuildError, StopIteration)):
        convert(nodes, WEIGHTS)


def test_weights_are_read_from_several_files() -> None:
    a, b = np.arange(6, dtype="f4").reshape(2, 3), np.array([7], "i4")
    content = a.tobytes() + b.tobytes()
    entries = [
        {"name": "a", "shape": [2, 3], "dtype": "float32"},
        {"name": "b", "shape": [], "dtype": "int32"},
    ]
    manifest = [{"paths": ["1of2", "2of2"], "weights": entries}]
    model = {"weightsManifest": manifest, "modelTopology": {"node": [{"name": "x"}]}}
    nodes, weights = read_graph(model, {"m/1of2": content[:10], "m/2of2": content[10:]}, "m")
    assert nodes == {"x": {"name": "x"}}
    np.testing.assert_array_equal(weights["a"], a)
    assert weights["b"] == 7


def test_another_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.tgz").write_text(json.dumps({}))
    with pytest.raises(ModelBuildError, match=r"other\.tgz is not the package whose SHA-256 is 4c93ff1d"):
        read_package(tmp_path / "other.tgz")
    assert len(convert_detector.PACKAGE_SHA256) == len(hashlib.sha256(b"").hexdigest())
