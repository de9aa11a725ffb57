"""A model as an endpoint serves it: the handlers of the `inference.py` in its archive."""

import importlib.util
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np
import numpy.typing as npt

from model_build.artifact.extract import extract
from model_build.artifact.manifest import Manifest
from model_build.artifact.package import HANDLERS, SERVING
from model_build.errors import ModelBuildError, UsageError

IMAGE_CONTENT_TYPE: Final = "application/x-image"  # the handlers detect the format themselves
SUM_TOLERANCE: Final = 1e-3
_numbers = itertools.count()


class UnreadableImageError(ModelBuildError):
    """The model's handlers refuse these bytes as an image; the message is theirs."""


class LoadedModel:
    """The four handlers of one model.

    Args:
        folder: an extracted model: `model.onnx`, `manifest.json` and perhaps `code/`.
        name: what messages call it.

    Raises:
        ModelBuildError: the folder is not a model, or its handlers cannot load it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.manifest = Manifest.read(folder, name)
        own = folder / HANDLERS
        self._handlers = _load_handlers(own if own.is_file() else SERVING / "inference.py", name)
        try:
            self._model = self._handlers.model_fn(str(folder))
        except Exception as error:  # whatever it is, an endpoint with this model would not start
            raise ModelBuildError(f"{name}: model_fn failed: {type(error).__name__}: {error}") from error

    @property
    def labels(self) -> tuple[str, ...]:
        """Class labels in the order of the answer."""
        return self.manifest.labels

    def classify(self, body: bytes) -> npt.NDArray[np.float64]:
        """Return the class probabilities of one encoded image.

        Args:
            body: the bytes of a PNG, JPEG or other image file.

        Returns:
            float64 [len(labels)], in label order, summing to 1.

        Raises:
            UnreadableImageError: the handlers do not accept the bytes as an image.
            ModelBuildError: the answer is not one probability per label.
        """
        try:
            data = self._handlers.input_fn(body, IMAGE_CONTENT_TYPE)
        except self._handlers.BadRequest as error:
            raise UnreadableImageError(str(error)) from error
        answer = self._handlers.output_fn(self._handlers.predict_fn(data, self._model), "application/json")
        probabilities = np.asarray(json.loads(answer), dtype=np.float64)
        if probabilities.shape != (len(self.labels),) or not abs(probabilities.sum() - 1) < SUM_TOLERANCE:
            raise ModelBuildError(
                f"{self.name}: the answer {answer} is not one probability per label "
                f"({', '.join(self.labels)})"
            )
        return probabilities


@contextmanager
def open_model(path: Path) -> Iterator[LoadedModel]:
    """Load a model from a folder or a model.tar.gz.

    Args:
        path: what `model_build train` or `model_build package` wrote.

    Yields:
        The model; usable until the block ends.

    Raises:
        UsageError: there is nothing at this path.
        ModelBuildError: it is not a model, or it cannot be loaded.
    """
    if path.is_dir():
        yield LoadedModel(path, str(path))
        return
    if not path.is_file():
        raise UsageError(f"{path}: no such model; give a model folder or a model.tar.gz")
    with tempfile.TemporaryDirectory(prefix="model-") as scratch:
        extract(path, Path(scratch))
        yield LoadedModel(Path(scratch), str(path))


def _load_handlers(path: Path, name: str) -> ModuleType:
    """Import an inference.py as a module of its own, since two models may each bring one.

    Its folder is on the import path meanwhile, as in SageMaker's containers, for modules beside it.
    """
    spec = importlib.util.spec_from_file_location(f"loaded_model_{next(_numbers)}", path)
    if spec is None or spec.loader is None:
        raise ModelBuildError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up here
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ModelBuildError(
            f"{name}: {path.name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.remove(str(path.parent))
    return module
