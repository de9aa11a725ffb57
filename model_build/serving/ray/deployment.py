"""Serve `inference.py` with Ray Serve: the four handlers, and HTTP status codes for errors.

SageMaker's Ray Serve image looks for this file at the root of `model.tar.gz`; contract:
https://aws.github.io/deep-learning-containers/ray/deployment/sagemaker/. Its adapter passes status codes on,
so that a caller can tell a bad image (4xx) from a broken model (5xx), and since v1.2.0 (June 2026) also the
headers `X-Amzn-SageMaker-*`; older ones drop them.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from ray import serve  # type: ignore[import-not-found]  # comes with the image
from starlette.requests import Request  # noqa: TC002 - Ray reads the annotation
from starlette.responses import Response  # type: ignore[import-not-found]

MODEL_DIR = Path(__file__).resolve().parent
CUSTOM_ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"


class Classifier:
    """One loaded model; each request runs on a thread, so that health checks are answered under load."""

    def __init__(self) -> None:
        """Load the model; a broken one fails here, before it receives traffic."""
        # Imported here and not above: Ray sends this class to another process, which must find the module.
        sys.path.insert(0, str(MODEL_DIR / "code"))
        importlib.import_module("bundled_packages").use_bundled_packages(MODEL_DIR / "code")
        self.inference = importlib.import_module("inference")
        self.model = self.inference.model_fn(str(MODEL_DIR))
        # A model's own inference.py need not define these, nor its predictions have attributes.
        describe = getattr(self.inference, "custom_attributes", None)
        self.attributes = describe(self.model) if describe else ""
        self.bad_request: type[Exception] | tuple[()] = getattr(self.inference, "BadRequest", ())
        self.log = logging.getLogger("ray.serve")

    async def __call__(self, request: Request) -> Response:
        """Answer one invocation."""
        body = await request.body()
        content_type = request.headers.get("content-type", "application/x-image")
        accept = request.headers.get("accept", "application/json")
        return await asyncio.to_thread(self.answer, body, content_type, accept)

    def answer(self, body: bytes, content_type: str, accept: str) -> Response:
        """Run the handlers on one request."""
        try:
            data = self.inference.input_fn(body, content_type)
            prediction = self.inference.predict_fn(data, self.model)
            content = self.inference.output_fn(prediction, accept)
            both = self.attributes, getattr(prediction, "custom_attributes", "")
            headers = {CUSTOM_ATTRIBUTES_HEADER: ";".join(filter(None, both))} if any(both) else {}
            return Response(content, media_type="application/json", headers=headers)
        except self.bad_request as error:
            return _error(str(error), getattr(error, "status_code", 400))
        except Exception as error:
            # The log gets the traceback, but never the body: photos are personal data.
            self.log.exception("inference failed")
            return _error(f"{type(error).__name__}: {error}", 500)


def _error(message: str, status_code: int) -> Response:
    return Response(json.dumps({"error": message}), status_code=status_code, media_type="application/json")


def app(_: dict[str, Any]) -> Any:
    """Return the application that config.yaml names; Ray calls this once, before anything is served.

    The model is loaded here first: Ray reports itself healthy as soon as it knows the application's route,
    whether or not a replica has started. A model that cannot be loaded must fail before that, or SageMaker
    would send it traffic.
    """
    Classifier()
    return serve.deployment(Classifier).bind()
