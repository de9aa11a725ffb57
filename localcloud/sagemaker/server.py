"""The HTTP server: dispatches to control plane, runtime and auto scaling in AWS's JSON protocols."""

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
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from localcloud.access_guard import refusal
from localcloud.faults import PLACES, FaultFile, of_this_process
from localcloud.sagemaker.autoscaling import AutoScaling
from localcloud.sagemaker.capture import Exchange
from localcloud.sagemaker.container import Answer, Version
from localcloud.sagemaker.control_plane import ControlPlane
from localcloud.sagemaker.resources import ACCOUNT, REGION, ApiError, Json
from localcloud.sagemaker.validation import check_request, service_model
from localcloud.service import end_with_parent

_log = logging.getLogger(__name__)
_INVOCATIONS: Final = re.compile(r"/endpoints/([^/]+)/invocations")
_MOST_BYTES: Final = 64 * 1024 * 1024  # of any request
_REALTIME_BYTES: Final = 6_291_456
_SERVERLESS_BYTES: Final = 4 * 1024 * 1024
_JSON: Final = "application/x-amz-json-1.1"

_TIMED_OUT: Final = (
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

    def __init__(self, address: tuple[str, int], folder: Path, instance: str, access_key: str) -> None:
        self.instance, self.access_key = instance, access_key
        self.faults = of_this_process()
        self.control_plane = ControlPlane(folder)
        scaling = AutoScaling(self.control_plane.endpoints)
        self.services = {
            "SageMaker": ("sagemaker", self.control_plane.operations),
            "AnyScaleFrontendService": ("application-autoscaling", scaling.operations),
        }
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
        if not self._refused():
            known = self.path == "/health"
            body = {"status": "ok", "instance": self.server.instance} if known else {}
            self._answer(200 if known else 404, {"Content-Type": "application/json"}, json.dumps(body))

    def do_POST(self) -> None:
        """Answer one API request."""
        if self._refused():
            return
        length = int(self.headers.get("Content-Length", "0"))
        if length > _MOST_BYTES:
            self.close_connection = True
            self._answer_error(ApiError("", "Request Entity Too Large", status=413))
            return
        body, target = self.rfile.read(length), self.headers.get("X-Amz-Target", "")
        try:
            if path := _INVOCATIONS.fullmatch(self.path):
                self._invoke(unquote(path[1]), body)
            else:
                self._answer(200, {"Content-Type": _JSON}, json.dumps(self._call(target, body)))
        except ApiError as error:
            self._answer_error(error)
        except Exception as error:  # noqa: BLE001  # every request must get an answer
            _log.exception("%s %s", self.path, target)
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

    def _call(self, target: str, body: bytes) -> Json:
        prefix, _, operation = target.partition(".")
        service, operations = self.server.services.get(prefix, ("", {}))
        if operation not in operations:
            unknown = f"this emulator does not support {target or self.path}"
            raise ApiError("UnknownOperationException", unknown)
        try:
            params = json.loads(body or b"{}")
        except ValueError as error:
            raise ApiError("SerializationException", f"the request is not JSON: {error}") from error
        check_request(service, operation, params)
        with self.server.control_plane.lock:
            return operations[operation](params)

    def _invoke(self, name: str, body: bytes) -> None:
        """Answer one InvokeEndpoint request; ApiError as AWS has it.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
        """
        endpoint = self.server.control_plane.endpoints.get(name)
        with endpoint.serving() if endpoint else contextlib.nullcontext() as version:
            if version is None:
                raise ApiError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
            if len(body) > (_SERVERLESS_BYTES if version.config.serverless else _REALTIME_BYTES):
                raise ApiError("", f"Request Entity Too Large: {len(body)} bytes", status=413)
            answer = asked(self.server.faults, lambda: self._ask(version, body))
            if answer.status != HTTPStatus.OK:
                raise _model_error(version, answer.status, answer.body.decode(errors="replace"))
            if version.capture:
                version.capture.add(
                    Exchange(
                        request_type=self.headers.get("Content-Type", ""),
                        request=body,
                        answer_type=answer.content_type,
                        answer=answer.body,
                        inference_id=self.headers.get("X-Amzn-SageMaker-Inference-Id", ""),
                        custom_attributes=self.headers.get("X-Amzn-SageMaker-Custom-Attributes", ""),
                    )
                )
            variant = version.config.variant["VariantName"]
        headers = {"Content-Type": answer.content_type, "x-Amzn-Invoked-Production-Variant": variant}
        if answer.custom_attributes:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = answer.custom_attributes
        self._answer(200, headers, answer.body)

    def _ask(self, version: Version, body: bytes) -> Answer:
        passed = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
        forwarded = {key: value for key in passed if (value := self.headers.get(key))}
        try:
            with version.capacity.slot() if version.capacity else contextlib.nullcontext():
                return version.invoke(body, forwarded)
        except TimeoutError as error:
            raise _model_error(version, 0, _TIMED_OUT) from error
        except (OSError, http.client.HTTPException) as error:
            raise _model_error(version, 500, f"container died: {error}") from error

    def _answer_error(self, error: ApiError) -> None:
        # The message stands under both spellings that AWS's protocols use.
        body = {"message": error.message, "Message": error.message, **error.extra}
        if error.code:
            body["__type"] = error.code
        headers = {"Content-Type": _JSON, **({"x-amzn-ErrorType": error.code} if error.code else {})}
        self._answer(error.status, headers, json.dumps(body))

    def _answer(self, status: int, headers: dict[str, str], body: bytes | str) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {**headers, "x-amzn-RequestId": str(uuid.uuid4())}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it
        """Send access lines to this program's log."""
        _log.info("%s %s", self.headers.get("X-Amz-Target", "") if self.headers else "", format % args)


def asked(faults: FaultFile, ask: Callable[[], Answer]) -> Answer:
    """Return the endpoint's answer, or what a fault makes of it; raise SageMaker's error as an ApiError."""
    fault = faults.pick("sagemaker", "InvokeEndpoint")
    if fault is None:
        return ask()
    if fault.name in {"slow", "timeout"}:
        time.sleep(fault.seconds)
    if error := PLACES["sagemaker"].error(fault.name):
        status, code, message = error
        raise ApiError(code, message, status=status)
    answer = ask()
    return replace(answer, body=_FAULTY_ANSWERS.get(fault.name, bytes)(answer.body))


def _model_error(version: Version, status: int, text: str) -> ApiError:
    version.logs.ship()
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
    """Serve until a signal or the end of the parent; arguments are address, port, folder and instance."""
    address, port, folder, instance = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    end_with_parent()
    service_model("sagemaker")  # half a second now instead of in the first request
    key = os.environ["AWS_ACCESS_KEY_ID"]
    with SageMakerEmulator((address, int(port)), Path(folder), instance, key) as server:
        _log.info("listening on %s port %s", *server.server_address[:2])
        server.serve_forever()


if __name__ == "__main__":
    main()
