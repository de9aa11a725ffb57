"""The HTTP server: dispatches to control plane, runtime and auto scaling in AWS's JSON protocols."""

import argparse
import contextlib
import http.client
import json
import logging
import os
import re
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from localcloud.access_guard import refusal
from localcloud.faults import PLACES, Switches
from localcloud.sagemaker.autoscaling import AutoScaling
from localcloud.sagemaker.capture import Exchange
from localcloud.sagemaker.container import Answer
from localcloud.sagemaker.control_plane import ControlPlane
from localcloud.sagemaker.endpoints import Version
from localcloud.sagemaker.resources import ACCOUNT, REGION, ApiError
from localcloud.sagemaker.validation import check_request, service_model
from localcloud.service import end_with_parent

_log = logging.getLogger(__name__)
_INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")
_MAX_REQUEST = 64 * 1024 * 1024
HEALTH_PATH = "/health"
REALTIME_BODY_LIMIT = 6_291_456
SERVERLESS_BODY_LIMIT = 4 * 1024 * 1024
"""Bytes that an endpoint takes."""

_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_FAULTY_ANSWERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "wrong-length": lambda body: json.dumps([*json.loads(body), 0.0]).encode(),
    "not-a-number": lambda body: json.dumps([float("nan") for _ in json.loads(body)]).encode(),
    "not-json": lambda _: b"<html>502</html>",
    "empty": lambda _: b"",
}


class SageMakerEmulator(ThreadingHTTPServer):
    """The server, of requests that are signed with a key; the health check repeats the name `instance`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], folder: Path, instance: str = "", *, access_key: str
    ) -> None:
        self.instance, self.access_key = instance, access_key
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
        """Refuse somebody else's request, and return whether it is one."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, query = self.path.partition("?")
        reason = refusal(headers, path, query, self.server.access_key, self.client_address[:2])
        if reason:
            self.close_connection = True  # the body was not read
            self._answer_error(ApiError("AccessDeniedException", reason, status=403))
        return reason is not None

    def _call(self, target: str, body: bytes) -> dict[str, Any]:
        prefix, _, operation = target.partition(".")
        plane = self.server.control_plane
        services = {
            "SageMaker": ("sagemaker", plane.operations),
            "AnyScaleFrontendService": ("application-autoscaling", self.server.auto_scaling.operations),
        }
        service, operations = services.get(prefix, ("", {}))
        if operation not in operations:
            raise ApiError(
                "UnknownOperationException", f"this emulator does not support {target or self.path}"
            )
        try:
            params = json.loads(body or b"{}")
        except ValueError as error:
            raise ApiError("SerializationException", f"the request is not JSON: {error}") from error
        check_request(service, operation, params)
        with plane.lock:
            return operations[operation](params)

    def _invoke(self, name: str, body: bytes) -> None:
        answer, variant = _invoke(self.server.control_plane, name, self.headers, body)
        headers = {"Content-Type": answer.content_type, "x-Amzn-Invoked-Production-Variant": variant}
        if answer.custom_attributes:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = answer.custom_attributes
        self._answer(200, headers, answer.body)

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


def _invoke(plane: ControlPlane, name: str, headers: Message, body: bytes) -> tuple[Answer, str]:
    """Return the answer to one InvokeEndpoint request and the variant that gave it; ApiError as AWS has it.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
    """
    endpoint = plane.endpoint(name)
    if endpoint is None:
        raise _not_found(name)
    with endpoint.serving() as version:
        if version is None:
            raise _not_found(name)
        limit = SERVERLESS_BODY_LIMIT if version.config.serverless else REALTIME_BODY_LIMIT
        if len(body) > limit:
            raise ApiError("", f"Request Entity Too Large: {len(body)} bytes, at most {limit}", status=413)
        answer = asked(plane.faults, lambda: _ask(version, headers, body))
        if answer.status != HTTPStatus.OK:
            version.logs.ship()
            raise _model_error(version, answer.status, answer.body.decode(errors="replace"))
        if version.capture:
            version.capture.add(
                Exchange(
                    request_type=headers.get("Content-Type") or "",
                    request=body,
                    answer_type=answer.content_type,
                    answer=answer.body,
                    inference_id=headers.get("X-Amzn-SageMaker-Inference-Id") or "",
                    custom_attributes=headers.get("X-Amzn-SageMaker-Custom-Attributes") or "",
                )
            )
        return answer, version.config.variant["VariantName"]


def asked(switches: Switches, ask: Callable[[], Answer]) -> Answer:
    """Return the endpoint's answer, or what a fault makes of it; raise SageMaker's error as an ApiError."""
    fault = switches.pick("sagemaker", "InvokeEndpoint")
    if fault is None:
        return ask()
    if fault.name in {"slow", "timeout"}:
        time.sleep(fault.seconds)
    if error := PLACES["sagemaker"].error(fault.name):
        status, code, message = error
        raise ApiError(code, message, status=status)
    answer = ask()
    return replace(answer, body=_FAULTY_ANSWERS.get(fault.name, bytes)(answer.body))


def _ask(version: Version, headers: Message, body: bytes) -> Answer:
    passed = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
    forwarded = {key: value for key in passed if (value := headers.get(key))}
    slot = version.capacity.slot() if version.capacity else contextlib.nullcontext()
    try:
        with slot:
            return version.container.invoke(body, forwarded)
    except TimeoutError as error:
        raise _model_error(version, 0, _TIMED_OUT) from error
    except (OSError, http.client.HTTPException) as error:
        version.logs.ship()
        raise _model_error(version, 500, f"container died: {error}") from error


def _not_found(name: str) -> ApiError:
    return ApiError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")


def _model_error(version: Version, status: int, text: str) -> ApiError:
    client_fault = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    who = "client" if client_fault else "server"
    console = f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}"
    message = (
        f'Received {who} error ({status}) from primary with message "{text}". See '
        f"{console}#logEventViewer:group={version.logs.group} in account {ACCOUNT} for more information."
    )
    extra = {
        "OriginalStatusCode": status,
        "OriginalMessage": text,
        "LogStreamArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{version.logs.group}",
        "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if client_fault else "INTERNAL_FAILURE_FROM_MODEL",
    }
    return ApiError("ModelError", message, status=424, extra=extra)


def main() -> None:
    """Serve until a signal or the end of the parent."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.sagemaker.server", description=__doc__)
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4567, help="port to listen on (default: %(default)s)")
    parser.add_argument("--folder", type=Path, required=True, help="where endpoints keep files and logs")
    parser.add_argument("--instance", default="", help="a name that the answer to GET /health repeats")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    end_with_parent()
    service_model("sagemaker")  # half a second now instead of in the first request
    address, key = (arguments.bind, arguments.port), os.environ["AWS_ACCESS_KEY_ID"]
    with SageMakerEmulator(address, arguments.folder, arguments.instance, access_key=key) as server:
        _log.info("listening on %s port %s", *server.server_address[:2])
        server.serve_forever()


if __name__ == "__main__":
    main()
