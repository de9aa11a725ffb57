"""Models and archives small enough for a test: the classes are colours, classified by the mean colour.

The network is serialized as ONNX here (https://onnx.ai/onnx/repo-docs/IR.html), because the environment of
these tests has neither PyTorch nor the onnx package.
"""

import io
import json
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 30),
    "blue": (30, 30, 220),
    "yellow": (220, 220, 30),
    "white": (235, 235, 235),
    "black": (20, 20, 20),
}
SHARPNESS = 40.0  # larger: the probability falls faster with the distance between colours


def write_model(
    folder: Path,
    labels: Sequence[str],
    others: Sequence[str] = (),
    prior: Sequence[float] = (),
    names: Sequence[str] = (),
) -> Path:
    """Write a model folder whose network classifies the nearest of the colours `labels + others`.

    The classes are called like their colours, or by `names`, which stand for `labels`.
    With `prior` (one log probability per label, and one for neither) the network has a second output with
    these constants.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(_nearest([*labels, *others], prior))
    manifest = {
        "format": 1,
        "labels": list(names or labels),
        "outputs": [*(names or labels), *others],
        "input_size": [32, 32],
        "normalisation": {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
        "temperature": 1.0,
        "views": [{"side": 32, "mirror": False}],
        "default_threshold": 0.8,
        "metrics": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def with_code(model: Path, code: str) -> Path:
    """Add an inference.py of its own to a model folder."""
    (model / "code").mkdir()
    (model / "code" / "inference.py").write_text(code, encoding="utf-8")
    return model


def write_experts(folder: Path, labels: Sequence[str], *, detector: bool = True) -> Path:
    """Add pretrained networks to a model folder, which classify images of more than 64 pixels.

    Their outputs are all of `COLOURS`, of which some mean the labels.
    """
    outputs = {label: [list(COLOURS).index(label)] for label in labels}
    experts: dict[str, object] = {"weight": 0.8, "floor": 1e-4}
    for role in ("classifier", *(["detector"] if detector else [])):
        (folder / f"{role}.onnx").write_bytes(_nearest(list(COLOURS)))
        norm = {"mean": 0.0, "std": 1.0}
        experts[role] = {"file": f"{role}.onnx", "side": 32, "normalisation": norm, "outputs": outputs}
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    views = [{**manifest["views"][0], "up_to": 64}, {"experts": experts}]
    text = json.dumps({**manifest, "format": 2, "views": views})
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return folder


def _nearest(colours: Sequence[str], prior: Sequence[float] = ()) -> bytes:
    """Return a network whose logits say how near an image's mean colour is to each of some colours."""
    centres = np.array([COLOURS[name] for name in colours], dtype=np.float32) / 255
    # The nearest centre c of x maximises 2 c.x - c.c, which is linear in x.
    weights = (SHARPNESS * 2 * centres.T).astype("<f4")
    bias = (-SHARPNESS * (centres**2).sum(axis=1)).astype("<f4")
    return _onnx(weights, bias, np.array(prior, "<f4"))


def picture(colour: str, seed: int = 0, side: int = 32) -> npt.NDArray[np.uint8]:
    """Return a noisy square of one colour, uint8 [side, side, 3]."""
    noise = np.random.default_rng(seed).normal(0, 10, (side, side, 3))
    return (np.array(COLOURS[colour]) + noise).clip(0, 255).astype(np.uint8)


def write_photo(path: Path, colour: str, seed: int = 0) -> Path:
    """Write an image file of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(colour, seed, side=64)).save(path)
    return path


def folder_of(path: Path, content: dict[str, tuple[str, int]]) -> Path:
    """Write photos, {folder: (colour, how many)}, with patterns, so that none are near-duplicates."""
    for number, (name, (colour, count)) in enumerate(content.items()):
        for index in range(count):
            random = np.random.default_rng([number, index])
            blocks = random.normal(0, 45, (12, 12, 3)).repeat(10, axis=0).repeat(10, axis=1)
            pixels = (np.array(COLOURS[colour]) + blocks).clip(0, 255).astype(np.uint8)
            target = path / name / f"{index:03d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target)
    return path


def cifar100_files(classes: Sequence[str], train: int, test: int) -> dict[str, object]:
    """Return the contents of an archive in CIFAR-100's layout, by member name."""
    return {
        "cifar-100-python/train": _batch(classes, train, 0, b"fine_labels", "{}_s_{:06d}.png"),
        "cifar-100-python/test": _batch(classes, test, 1000, b"fine_labels", "{}_s_{:06d}.png"),
        "cifar-100-python/meta": {b"fine_label_names": [name.encode() for name in classes]},
    }


def cifar10_files(classes: Sequence[str], train: int, test: int, suffix: str = "jpg") -> dict[str, object]:
    """Return the contents of an archive in CIFAR-10's layout, with two training batches."""
    batches = {"data_batch_1": (train, 0), "data_batch_2": (train, 500), "test_batch": (test, 1000)}
    files: dict[str, object] = {
        f"cifar-10-batches-py/{batch}": _batch(classes, count, seed, b"labels", "{}_{}." + suffix)
        for batch, (count, seed) in batches.items()
    }
    files["cifar-10-batches-py/batches.meta"] = {b"label_names": [name.encode() for name in classes]}
    return files


def _batch(classes: Sequence[str], count: int, seed: int, key: bytes, file: str) -> dict[bytes, object]:
    """Return `count` images of each class as CIFAR stores them: one row each, red plane first."""
    images = [picture(name, seed + i) for name in classes for i in range(count)]
    rows = np.array([image.transpose(2, 0, 1).ravel() for image in images], dtype=np.uint8)
    return {
        b"data": rows.reshape(-1, 3072),
        key: [label for label in range(len(classes)) for _ in range(count)],
        b"filenames": [file.format(name, i).encode() for name in classes for i in range(count)],
    }


def write_archive(path: Path, files: dict[str, object], protocol: int = 2) -> Path:
    """Write contents as a tar.gz: bytes as they are, everything else pickled."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            body = content if isinstance(content, bytes) else pickle.dumps(content, protocol=protocol)
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return path


# ----------------------------------------------------------------- ONNX serialization: protobuf's wire format


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    body = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _tensor(name: str, values: npt.NDArray[np.float32]) -> bytes:
    dims = b"".join(_field(1, size) for size in values.shape)
    return dims + _field(2, 1) + _field(8, name) + _field(9, values.tobytes())


def _value_info(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_field(1, _field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def _node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    return b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind)


def _onnx(
    weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], prior: npt.NDArray[np.float32]
) -> bytes:
    graph = (
        _field(1, _node("GlobalAveragePool", ["images"], "pooled"))
        + _field(1, _node("Flatten", ["pooled"], "features"))
        + _field(1, _node("Gemm", ["features", "weights", "bias"], "logits"))
        + _field(2, "nearest_colour")
        + _field(5, _tensor("weights", weights))
        + _field(5, _tensor("bias", bias))
        + _field(11, _value_info("images", ["count", 3, 32, 32]))
        + _field(12, _value_info("logits", ["count", len(bias)]))
    )
    if len(prior):
        graph += (
            _field(1, _node("Gemm", ["features", "no_weights", "said"], "prior"))
            + _field(5, _tensor("no_weights", np.zeros((3, len(prior)), "<f4")))
            + _field(5, _tensor("said", prior))
            + _field(12, _value_info("prior", ["count", len(prior)]))
        )
    graph += _field(12, _value_info("features", ["count", 3]))
    return _field(1, 8) + _field(8, _field(1, "") + _field(2, 13)) + _field(7, graph)
