"""Serve `inference.py` with TorchServe, whose toolkit answers 500 to every exception but its own.

The deployment names this file as the container's program (`SAGEMAKER_PROGRAM`).
"""

from __future__ import annotations

import importlib
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bundled_packages import use_bundled_packages  # type: ignore[import-not-found]  # beside this file

use_bundled_packages(Path(__file__).parent)

inference = importlib.import_module("inference")
predict_fn = inference.predict_fn

try:
    from sagemaker_inference.errors import BaseInferenceToolkitError  # type: ignore[import-not-found]
except ModuleNotFoundError:  # not TorchServe: a server that reads an exception's status code

    class BaseInferenceToolkitError(Exception):  # type: ignore[no-redef]
        """An error with the toolkit's attributes."""

        def __init__(self, status_code: int, message: str, phrase: str) -> None:
            super().__init__(message)
            self.status_code, self.message, self.phrase = status_code, message, phrase


__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]

# A model's own inference.py need not define the class.
_BAD_REQUEST: type[Exception] | tuple[()] = getattr(inference, "BadRequest", ())
custom_attributes = getattr(inference, "custom_attributes", None)
_loaded: dict[str, str] = {}  # headers of every answer; known once the model is loaded


def model_fn(model_dir: str, context: object | None = None) -> Any:  # noqa: ARG001
    """Load the model, and remember what its answers say of it."""
    model = inference.model_fn(model_dir)
    if custom_attributes is not None:
        _loaded[inference.CUSTOM_ATTRIBUTES_HEADER] = custom_attributes(model)
    return model


def output_fn(prediction: Any, accept: str | None = None, context: Any = None) -> Any:
    """Encode the answer and set its headers."""
    for name, value in _loaded.items():
        if hasattr(context, "set_response_header"):
            context.set_response_header(0, name, value)
    return inference.output_fn(prediction, accept)


def input_fn(body: bytes, content_type: str | None = None, context: object | None = None) -> Any:  # noqa: ARG001
    """Decode an image, and report the caller's errors with their own status code.

    Args:
        body: the encoded image.
        content_type: the request's Content-Type.
        context: passed by newer containers; unused.

    Raises:
        BaseInferenceToolkitError: the toolkit's error with the status code to answer with.
    """
    try:
        return inference.input_fn(body, content_type)
    except _BAD_REQUEST as error:
        status = HTTPStatus(getattr(error, "status_code", HTTPStatus.BAD_REQUEST))
        raise BaseInferenceToolkitError(int(status), str(error), status.phrase) from error
