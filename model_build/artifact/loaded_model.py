"""A model as an endpoint serves it: the handlers of the `inference.py` that belongs to it."""

import importlib.util
import itertools
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model_build.artifact.package import SERVING
from model_build.errors import ModelBuildError

IMAGE_CONTENT_TYPE: Final = "application/x-image"  # the handlers find out themselves which format it is
SUM_TOLERANCE: Final = 1e-3
_numbers = itertools.count()


class PhotoError(ModelBuildError):
    """The model's handlers do not take these bytes for an image; the message is theirs."""


class ServedModel:
    """The four handlers of one model.

    Args:
        folder: an unpacked model: `model.onnx`, `manifest.json` and perhaps `code/`.
        name: what messages call it.

    Raises:
        ModelBuildError: the folder is no model, or its handlers cannot load it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.manifest = _read_manifest(folder, name)
        self.labels: tuple[str, ...] = tuple(self.manifest["labels"])
        own = folder / "code" / "inference.py"
        self._handlers = _load_handlers(own if own.is_file() else SERVING / "inference.py", name)
        try:
            self._model = self._handlers.model_fn(str(folder))
        except Exception as exc:  # whatever it is, an endpoint with this model would not start
            raise ModelBuildError(f"{name}: model_fn failed: {type(exc).__name__}: {exc}") from exc

    @property
    def default_threshold(self) -> float:
        """The confidence from which an answer is accepted, as training chose it."""
        return float(self.manifest["default_threshold"])

    def classify(self, body: bytes) -> npt.NDArray[np.float64]:
        """Probabilities of one encoded image.

        Args:
            body: the bytes of a PNG, JPEG or other image file.

        Returns:
            float64 [len(labels)], in label order, summing to 1.

        Raises:
            PhotoError: the bytes are no image that the handlers take.
            ModelBuildError: the answer is not one probability per label.
        """
        try:
            data = self._handlers.input_fn(body, IMAGE_CONTENT_TYPE)
        except self._handlers.BadRequest as exc:
            raise PhotoError(str(exc)) from exc
        answer = self._handlers.output_fn(self._handlers.predict_fn(data, self._model), "application/json")
        probabilities = np.asarray(json.loads(answer), dtype=np.float64)
        if probabilities.shape != (len(self.labels),) or not abs(probabilities.sum() - 1) < SUM_TOLERANCE:
            raise ModelBuildError(
                f"{self.name}: the answer {answer} is not a probability per label ({', '.join(self.labels)})"
            )
        return probabilities


@contextmanager
def open_model(path: Path) -> Iterator[ServedModel]:
    """Load a model from a folder or a model.tar.gz.

    Args:
        path: what `model_build train` or `model_build package` wrote.

    Yields:
        The model; good until the block ends.

    Raises:
        ModelBuildError: there is no model at this path, or it cannot be loaded.
    """
    if path.is_dir():
        yield ServedModel(path, str(path))
        return
    if not path.is_file():
        raise ModelBuildError(f"{path}: there is no such model; give a model folder or a model.tar.gz")
    with tempfile.TemporaryDirectory(prefix="model-") as scratch:
        try:
            with tarfile.open(path, "r:*") as tar:
                tar.extractall(scratch, filter="data")
        except (tarfile.TarError, EOFError, OSError) as exc:
            raise ModelBuildError(f"{path} is not a readable model.tar.gz: {exc}") from exc
        yield ServedModel(Path(scratch), str(path))


def _read_manifest(folder: Path, name: str) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if not manifest["labels"] or not 0 <= float(manifest["default_threshold"]) <= 1:
            raise ModelBuildError(f"{name}: manifest.json needs labels and a default_threshold from 0 to 1")
    except FileNotFoundError as exc:
        raise ModelBuildError(
            f"{name} has no manifest.json: give a folder made by `model_build train`, or a model.tar.gz"
        ) from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise ModelBuildError(f"{name}: manifest.json cannot be used: {exc!r}") from exc
    return dict(manifest)


def _load_handlers(path: Path, name: str) -> ModuleType:
    """Import an inference.py as a module of its own, since two models may each bring one.

    Its folder is on the import path meanwhile, as in SageMaker's containers, for helpers beside it.
    """
    spec = importlib.util.spec_from_file_location(f"served_model_{next(_numbers)}", path)
    if spec is None or spec.loader is None:
        raise ModelBuildError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up here
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as exc:
        raise ModelBuildError(f"{name}: {path.name} cannot be imported: {type(exc).__name__}: {exc}") from exc
    finally:
        sys.path.remove(str(path.parent))
    return module
