"""The server of this project's serving image: SageMaker's contract over the model's own `code/inference.py`.

Contract (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html): the model is
in /opt/ml/model, `GET /ping` answers 200 once it is loaded, `POST /invocations` answers a request; port 8080,
or SAGEMAKER_BIND_TO_PORT. The server writes to standard output and error only.

A request that the model refuses (`inference.BadRequest`) gets the status that the error names, any other
failure 500. The log gets the traceback, never the body: photos are personal data.
"""

import importlib
import json
import os
import sys
import traceback
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MODEL_DIR = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
PORT = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
MAX_BODY_BYTES = 6_291_456  # of a request to a real-time endpoint
CUSTOM_ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"


class Service:
    """A loaded model and its handlers."""

    def __init__(self, handlers: ModuleType, model_dir: Path) -> None:
        self.handlers = handlers
        self.model = handlers.model_fn(str(model_dir))
        # A model with code of its own need not have these two, nor its predictions attributes.
        self.bad_request: type[Exception] | tuple[()] = getattr(handlers, "BadRequest", ())
        describe = getattr(handlers, "custom_attributes", None)
        self.attributes: str = describe(self.model) if describe else ""

    async def ping(self, _: Request) -> Response:
        """Answer SageMaker's health check."""
        return Response()

    async def invocations(self, request: Request) -> Response:
        """Answer one request; the model runs on a thread, so that health checks are answered under load."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return _error(f"more than {MAX_BODY_BYTES} bytes", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        content_type = request.headers.get("content-type", "application/x-image")
        accept = request.headers.get("accept", "application/json")
        return await anyio.to_thread.run_sync(self._answer, bytes(body), content_type, accept)

    def _answer(self, body: bytes, content_type: str, accept: str) -> Response:
        try:
            data = self.handlers.input_fn(body, content_type)
            prediction = self.handlers.predict_fn(data, self.model)
            answer: Any = self.handlers.output_fn(prediction, accept)
        except self.bad_request as error:
            return _error(str(error), getattr(error, "status_code", HTTPStatus.BAD_REQUEST))
        except Exception as error:  # noqa: BLE001 - whatever the model's code raises is this request's answer
            traceback.print_exc()
            return _error(f"{type(error).__name__}: {error}", HTTPStatus.INTERNAL_SERVER_ERROR)
        # The toolkits let output_fn name its content type by returning a pair.
        content, media_type = answer if isinstance(answer, tuple) else (answer, "application/json")
        both = self.attributes, getattr(prediction, "custom_attributes", "")
        headers = {CUSTOM_ATTRIBUTES_HEADER: ";".join(filter(None, both))} if any(both) else {}
        return Response(content, media_type=media_type, headers=headers)


def _error(message: str, status: int) -> JSONResponse:
    return JSONResponse({"error": message}, status)


def application(model_dir: Path = MODEL_DIR) -> Starlette:
    """Load the model and return the application.

    Raises:
        ModuleNotFoundError: the archive has no code/inference.py.
    """
    sys.path.insert(0, str(model_dir / "code"))
    service = Service(importlib.import_module("inference"), model_dir)
    return Starlette(
        routes=[
            Route("/ping", service.ping),
            Route("/invocations", service.invocations, methods=["POST"]),
        ]
    )


def main() -> None:
    """Load the model, then serve until the container is stopped; a model that can't be loaded ends here."""
    # `docker run IMAGE serve`: SageMaker gives an argument, which says nothing.
    app = application()
    print(json.dumps({"event": "model loaded", "port": PORT}), flush=True)
    uvicorn.run(app, host="0.0.0.0", port=PORT, log_level="warning", access_log=False)  # noqa: S104 - a container


if __name__ == "__main__":
    main()
