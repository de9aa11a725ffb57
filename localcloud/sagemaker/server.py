"""The HTTP server: dispatches to control plane, runtime and auto scaling in AWS's JSON protocols."""

import json
import logging
import re
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from localcloud.access_guard import refusal
from localcloud.sagemaker.autoscaling import AutoScaling
from localcloud.sagemaker.control_plane import ControlPlane
from localcloud.sagemaker.resources import ApiError, unknown_operation
from localcloud.sagemaker.runtime import invoke
from localcloud.sagemaker.validation import check_request

_log = logging.getLogger(__name__)
_INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")
_MAX_REQUEST = 64 * 1024 * 1024
HEALTH_PATH = "/health"


class SageMakerEmulator(ThreadingHTTPServer):
    """The server.

    Args:
        address: address and port to listen on; port 0 takes a free one.
        folder: where endpoints unpack their versions and keep their logs.
        instance: a name that the answer to the health check repeats.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], folder: Path, instance: str = "") -> None:
        self.instance = instance
        self.control_plane = ControlPlane(folder)
        self.auto_scaling = AutoScaling(lambda name: self.control_plane.endpoint(name) is not None)
        super().__init__(address, _Handler)

    def server_close(self) -> None:
        """Close the socket and stop all endpoints."""
        super().server_close()
        self.control_plane.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: SageMakerEmulator

    def do_GET(self) -> None:
        """Answer the launcher's health check."""
        if self._refused():
            return
        known = self.path == HEALTH_PATH
        body = {"status": "ok", "instance": self.server.instance} if known else {}
        self._answer(200 if known else 404, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def do_POST(self) -> None:
        """Answer one API request."""
        if self._refused():
            return
        length = int(self.headers.get("Content-Length", "0"))
        if length > _MAX_REQUEST:
            self.close_connection = True
            self._answer_error(ApiError("", "Request Entity Too Large", status=413))
            return
        body = self.rfile.read(length)
        try:
            if path := _INVOCATIONS.fullmatch(self.path):
                self._invoke(unquote(path[1]), body)
            else:
                answer = self._call(self.headers.get("X-Amz-Target", ""), body)
                self._answer(200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode())
        except ApiError as error:
            self._answer_error(error)
        except Exception as error:  # noqa: BLE001  # every request must get an answer
            _log.exception("%s %s", self.path, self.headers.get("X-Amz-Target", ""))
            self._answer_error(ApiError("InternalFailure", f"{type(error).__name__}: {error}", status=500))

    def _refused(self) -> bool:
        """Answer a web page's request, and return whether it is one."""
        reason = refusal({name.lower(): value for name, value in self.headers.items()})
        if reason:
            self.close_connection = True  # the body was not read
            self._answer_error(ApiError("AccessDeniedException", reason, status=403))
        return reason is not None

    def _call(self, target: str, body: bytes) -> dict[str, Any]:
        prefix, _, operation = target.partition(".")
        services: dict[str, tuple[str, ControlPlane | AutoScaling]] = {
            "SageMaker": ("sagemaker", self.server.control_plane),
            "AnyScaleFrontendService": ("application-autoscaling", self.server.auto_scaling),
        }
        if prefix not in services:
            raise unknown_operation(target or self.path)
        service, backend = services[prefix]
        try:
            params = json.loads(body or b"{}")
        except ValueError as error:
            raise ApiError("SerializationException", f"the request is not JSON: {error}") from error
        check_request(service, operation, params)
        return backend.call(operation, params)

    def _invoke(self, name: str, body: bytes) -> None:
        invoked = invoke(self.server.control_plane, name, self.headers, body)
        headers = {
            "Content-Type": invoked.answer.content_type,
            "x-Amzn-Invoked-Production-Variant": invoked.variant,
        }
        if invoked.answer.custom_attributes:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = invoked.answer.custom_attributes
        self._answer(200, headers, invoked.answer.body)

    def _answer_error(self, error: ApiError) -> None:
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        if error.code:
            headers["x-amzn-ErrorType"] = error.code
        self._answer(error.status, headers, json.dumps(error.body()).encode())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "x-amzn-RequestId": str(uuid.uuid4())}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it
        """Send access lines to this program's log."""
        _log.info("%s %s", self.headers.get("X-Amz-Target", "") if self.headers else "", format % args)
