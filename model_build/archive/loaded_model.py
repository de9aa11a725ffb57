"""A model as an endpoint serves it: the handlers of the `inference.py` in its archive."""

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

from model_build.archive.manifest import Manifest
from model_build.archive.package import HANDLERS, SERVING
from model_build.archive.trusted_code import require_own_code
from model_build.data.extract import extract
from model_build.errors import ModelBuildError, UsageError

IMAGE_CONTENT_TYPE: Final = "application/x-image"  # the handlers detect the format themselves
SUM_TOLERANCE: Final = 1e-3
_numbers = itertools.count()


class UnreadableImageError(ModelBuildError):
    """The model's handlers refuse these bytes as an image; the message is theirs."""


class LoadedModel:
    """The four handlers of one model; a ModelBuildError if they cannot load it, or are not trusted."""

    def __init__(self, folder: Path, name: str, *, trust_code: bool = False) -> None:
        self.name = name
        self.manifest = Manifest.read(folder, name)
        require_own_code(folder, trusted=trust_code, name=name)
        own = folder / HANDLERS
        file = own if own.is_file() else SERVING / "inference.py"
        self._handlers = _load_handlers(file, name, trust_code=trust_code)
        try:
            self._model = self._handlers.model_fn(str(folder))
        except Exception as error:  # whatever it is, an endpoint with this model would not start
            raise ModelBuildError(f"{name}: model_fn failed: {type(error).__name__}: {error}") from error

    @property
    def labels(self) -> tuple[str, ...]:
        """Class labels in the order of the answer."""
        return self.manifest.labels

    def classify(self, body: bytes) -> npt.NDArray[np.float64]:
        """Return the class probabilities of one encoded image, in label order, summing to 1.

        An UnreadableImageError if the handlers do not take the bytes for an image, a ModelBuildError if the
        answer is not one probability per label.
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
def open_model(path: Path, *, trust_code: bool = False) -> Iterator[LoadedModel]:
    """Load a model from a folder or a model.tar.gz; a ModelBuildError if it cannot be loaded."""
    if path.is_dir():
        yield LoadedModel(path, str(path), trust_code=trust_code)
        return
    if not path.is_file():
        raise UsageError(f"{path}: no such model; give a model folder or a model.tar.gz")
    with tempfile.TemporaryDirectory(prefix="model-") as scratch:
        require_own_code(path, trusted=trust_code)
        extract(path, Path(scratch))
        yield LoadedModel(Path(scratch), str(path), trust_code=trust_code)


def _load_handlers(path: Path, name: str, *, trust_code: bool) -> ModuleType:
    """Run an inference.py as a module of its own, since two models may each bring one."""
    module = ModuleType(f"loaded_model_{next(_numbers)}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up here
    # As in SageMaker's containers, for modules beside it; our own needs none.
    beside = [str(path.parent)] if trust_code else []
    sys.path[:0] = beside
    try:
        # The source as it stands: a `.pyc` beside it, whose digest nobody compares, may hold other code.
        exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), vars(module))  # noqa: S102
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelBuildError(f"{name}: {path.name} cannot be imported: {reason}") from error
    finally:
        for folder in beside:
            sys.path.remove(folder)
    return module
