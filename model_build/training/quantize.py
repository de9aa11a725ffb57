"""Quantize the weights of an ONNX file to int8, a fifth of the size; inference still computes in float32.

Every large weight becomes `Mul(Cast(int8), scale)` with one scale per output channel. A fine-tuned weight is
stored as its difference to the pretrained one: fine-tuning changes weights so little that a few levels are
enough, and few levels compress well in the archive. The runtime folds all of this into plain weights when it
loads the model, so inference takes as long as before.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

Floats = npt.NDArray[np.float32]
Stored = tuple[list[TensorProto], list[NodeProto], Floats]

MIN_SIZE: Final = 8_000  # smaller weights stay exact: they save little and matter most
# Quantization levels from 0 to the largest weight of a channel. On photos, more levels change no answer.
LEVELS: Final = 127
LEVELS_OF_ORIGINS: Final = 63
LEVELS_OF_DIFFERENCES: Final = 5
LEVELS_OF_COARSE: Final = 7


def quantize(
    path: Path,
    fine_tuned: Mapping[str, str] | None = None,
    coarse: Collection[str] = (),
    min_size: int = MIN_SIZE,
) -> None:
    """Quantize the weights of an ONNX file in place.

    Args:
        path: a model with float32 weights.
    """
    model = onnx.load(path)
    weights = {weight.name: weight for weight in model.graph.initializer}
    # The exporter writes equal weights once, so one of a pair is missing where fine-tuning changed nothing.
    origins = {
        name: origin for name, origin in (fine_tuned or {}).items() if {name, origin} <= weights.keys()
    }
    kept, nodes, restored = [], [], dict[str, Floats]()
    for name in sorted(weights, key=lambda name: name in origins):  # origins first
        values = numpy_helper.to_array(weights[name])
        if values.dtype != np.float32 or values.ndim < 2 or values.size < min_size:  # noqa: PLR2004 - biases
            kept.append(weights[name])
        elif name in origins:
            origin = origins[name]
            difference = f"{name}.difference"
            stored, made, _ = _store(difference, values - restored[origin], LEVELS_OF_DIFFERENCES)
            kept += stored
            nodes += [*made, helper.make_node("Add", [origin, difference], [name])]
        else:
            levels = LEVELS_OF_COARSE if name in coarse else LEVELS
            levels = LEVELS_OF_ORIGINS if name in origins.values() else levels
            stored, made, restored[name] = _store(name, values, levels)
            kept += stored
            nodes += made
    whole = [*nodes, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(whole)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _store(name: str, values: Floats, levels: int) -> Stored:
    """Return the tensors that store a weight, the nodes that restore it, and the restored values."""
    scale = np.abs(values).reshape(len(values), -1).max(axis=1) / levels
    scale = np.maximum(scale, 1e-12).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    small = np.rint(values / scale).astype(np.int8)
    stored = [
        numpy_helper.from_array(small, f"{name}.int8"),
        numpy_helper.from_array(scale, f"{name}.scale"),
    ]
    nodes = [
        helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]),
    ]
    return stored, nodes, small.astype(np.float32) * scale
