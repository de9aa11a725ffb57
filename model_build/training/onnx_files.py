"""Write networks as ONNX files that are small and fast.

`quantize` stores every large weight as `Mul(Cast(int8), scale)` with one scale per output channel, a fifth of
the size; inference computes in float32. A fine-tuned weight is stored as its difference to the pretrained
weight, which needs few levels and compresses well. The runtime folds all of this when it loads the model.

`fuse_padding` makes inference a tenth faster: PyTorch's exporter writes asymmetric padding as a node of its
own, with a dozen nodes that compute its size, and the runtime converts its blocked feature maps to and fro
for each. A convolution can pad each side itself (https://onnx.ai/onnx/operators/onnx__Conv.html).
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from model_build.training.network import STRIDE

Floats = npt.NDArray[np.float32]

OPSET: Final = 17
MIN_SIZE: Final = 8_000  # smaller weights stay exact: they save little and matter most
SIDE: Final = 64  # pixels of the image that the padding is computed with; the padding does not depend on it
# Quantization levels from 0 to the largest weight of a channel. On photos, more levels change no answer.
LEVELS: Final = 127
LEVELS_OF_ORIGINS: Final = 63
LEVELS_OF_DIFFERENCES: Final = 5
LEVELS_OF_COARSE: Final = 7


def export(
    network: nn.Module,
    path: Path,
    outputs: Sequence[str],
    fine_tuned: Mapping[str, str] | None = None,
    coarse: str | None = None,
) -> None:
    """Write a network as ONNX, small and fast: normalised `images` to the outputs and `features`.

    The network maps images [N, 3, H, W] to tensors [N, ...]; `fine_tuned` names weights, each with the
    pretrained one that it was before, `coarse` the weight that needs the fewest levels.
    """
    write_onnx(network, path, outputs)
    model = onnx.load(path)
    quantize(model, fine_tuned, coarse)
    fuse_padding(model)
    expose_features(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def quantize(
    model: ModelProto, fine_tuned: Mapping[str, str] | None = None, coarse: str | None = None
) -> None:
    """Quantize the float32 weights of a model; see `export`."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    # The exporter writes equal weights once, so one of a pair is missing where fine-tuning changed nothing.
    pairs = (fine_tuned or {}).items()
    origins = {name: origin for name, origin in pairs if {name, origin} <= weights.keys()}
    kept, nodes, restored = list[TensorProto](), list[NodeProto](), dict[str, Floats]()

    def store(name: str, values: Floats, levels: int) -> None:
        scale = np.abs(values).reshape(len(values), -1).max(axis=1) / levels
        scale = np.maximum(scale, 1e-12).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
        small = np.rint(values / scale).astype(np.int8)
        kept.append(numpy_helper.from_array(small, f"{name}.int8"))
        kept.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes.append(helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]))
        restored[name] = small.astype(np.float32) * scale

    for name in sorted(weights, key=lambda name: name in origins):  # origins first
        values = numpy_helper.to_array(weights[name])
        if values.dtype != np.float32 or values.ndim < 2 or values.size < MIN_SIZE:  # noqa: PLR2004 - biases
            kept.append(weights[name])
        elif name in origins:
            origin, difference = origins[name], f"{name}.difference"
            store(difference, values - restored[origin], LEVELS_OF_DIFFERENCES)
            nodes.append(helper.make_node("Add", [origin, difference], [name]))
        elif name in origins.values():
            store(name, values, LEVELS_OF_ORIGINS)
        else:
            store(name, values, LEVELS_OF_COARSE if name == coarse else LEVELS)
    whole = [*nodes, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(whole)


def fuse_padding(model: ModelProto) -> None:
    """Let the convolutions of a model pad by themselves."""
    graph = model.graph
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    pairs = [
        (node, readers[node.output[0]][0])
        for node in graph.node
        if node.op_type == "Pad" and [reader.op_type for reader in readers[node.output[0]]] == ["Conv"]
    ]
    amounts = _values(model, [pad.input[1] for pad, _ in pairs]) if pairs else []
    for (pad, convolution), amount in zip(pairs, amounts, strict=True):
        before, after = amount.reshape(2, -1)[:, 2:]  # of height and width; batch and channels are not padded
        pads = next(one for one in convolution.attribute if one.name == "pads")
        pads.ints[:] = (np.array(pads.ints) + np.concatenate([before, after])).tolist()
        convolution.input[0] = pad.input[0]
        graph.node.remove(pad)
    while True:  # remove what computed the padding
        read = {name for node in graph.node for name in node.input} | {one.name for one in graph.output}
        unused = [node for node in graph.node if not read.intersection(node.output)]
        if not unused:
            return
        for node in unused:
            graph.node.remove(node)


def _values(model: ModelProto, names: list[str]) -> list[npt.NDArray[np.int64]]:
    """Return the values of some of a model's tensors."""
    asked = ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.output.extend(helper.make_tensor_value_info(one, TensorProto.INT64, None) for one in names)
    session = onnxruntime.InferenceSession(asked.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.zeros((1, 3, SIDE, SIDE), np.float32)
    return [np.asarray(one) for one in session.run(None, {model.graph.input[0].name: image})]


def expose_features(model: ModelProto) -> None:
    """Add the output `features`: what the last linear layer of a model reads, and heads learn from."""
    tensor = [node for node in model.graph.node if node.op_type == "Gemm"][-1].input[0]
    for node in model.graph.node:
        node.input[:] = ["features" if name == tensor else name for name in node.input]
        node.output[:] = ["features" if name == tensor else name for name in node.output]
    shape = ["batch", "features"]
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, shape))


def write_onnx(network: nn.Module, path: Path, outputs: Sequence[str]) -> None:
    """Write a network as ONNX, with images of any number and size as its input `images`."""
    batch = {name: {0: "batch"} for name in outputs}
    with warnings.catch_warnings():
        # The TorchScript-based exporter needs no further package; it warns about its deprecation and about
        # what it does not fold.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval().to(memory_format=torch.contiguous_format),
            (torch.zeros(1, 3, STRIDE * 4, STRIDE * 4),),
            str(path),
            input_names=["images"],
            output_names=list(outputs),
            dynamic_axes={"images": {0: "batch", 2: "height", 3: "width"}, **batch},
            opset_version=OPSET,
            dynamo=False,
        )
