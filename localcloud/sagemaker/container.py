"""One deployed model version: its archive, its process, and the requests in flight through it."""

import contextlib
import http.client
import logging
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.aws import client

_log = logging.getLogger(__name__)
_WORKER = Path(__file__).with_name("worker.py")
_PING_TIMEOUT_S = 60
_DRAIN_TIMEOUT_S = 60
INVOCATION_TIMEOUT_S = 60
"""SageMaker's own limit for one answer of a container."""


class StartError(Exception):
    """The version cannot serve; the text is what DescribeEndpoint shows as FailureReason."""


@dataclass(frozen=True)
class Answer:
    """What the container said: HTTP status, content type, body, and what it says of itself."""

    status: int
    content_type: str
    body: bytes
    custom_attributes: str = ""


class Container:
    """A process that runs the inference.py of one model.tar.gz.

    Args:
        model_url: `s3://bucket/key` of the archive.
        environment: The model's own environment variables.
        variant: Name of the production variant, for messages.
        folder: Where to unpack it; removed when it stops.
        log_file: Where the process writes; kept.
        startup_timeout_s: How long the model may load.
    """

    def __init__(  # noqa: PLR0913  # one value per fact of a deployment
        self,
        *,
        model_url: str,
        environment: dict[str, str],
        variant: str,
        folder: Path,
        log_file: Path,
        startup_timeout_s: float | None = None,
    ) -> None:
        self.log_file = log_file
        self._model_url = model_url
        self._environment = environment
        self._variant = variant
        self._folder = folder
        self._startup_timeout_s = startup_timeout_s or _PING_TIMEOUT_S
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._in_flight = 0
        self._idle = threading.Condition()

    def start(self) -> None:
        """Fetch, unpack and start the model; return when it answers the health check.

        Raises:
            StartError: In SageMaker's words.
        """
        try:
            self._unpack(self._download())
            self._spawn()
            self._wait_until_healthy()
        except Exception:
            self.stop()
            raise

    def invoke(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Send one request to the model.

        Args:
            body: The payload.
            headers: `Content-Type` and `Accept`, as the client sent them.

        Raises:
            OSError: The process died or did not answer in time.
            http.client.HTTPException: The process died while it answered.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=INVOCATION_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request("POST", "/invocations", body=body, headers=headers)
            response = connection.getresponse()
            return Answer(
                response.status,
                response.headers.get("Content-Type", ""),
                response.read(),
                response.headers.get("X-Amzn-SageMaker-Custom-Attributes", ""),
            )

    @contextlib.contextmanager
    def lease(self) -> Iterator["Container"]:
        """Hold the process while a request is in flight: `drain` waits for it."""
        with self._idle:
            self._in_flight += 1
        try:
            yield self
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def drain(self) -> None:
        """Stop once the requests in flight have their answers."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=_DRAIN_TIMEOUT_S)
        self.stop()

    def stop(self) -> None:
        """End the process now and remove what was unpacked."""
        if self._process is not None:
            if self._process.stdin:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _download(self) -> Path:
        bucket, _, key = self._model_url.removeprefix("s3://").partition("/")
        self._folder.mkdir(parents=True)
        archive = self._folder / "model.tar.gz"
        try:
            client("s3").download_file(bucket, key, str(archive))
        except (ClientError, BotoCoreError) as error:
            _log.warning("%s: %s", self._model_url, error)
            raise StartError(
                f'Failed to download model data for container "primary" from URL: "{self._model_url}". '
                "Please ensure that there is an object located at the URL and that the role passed to "
                "CreateModel has permissions to download the model."
            ) from error
        return archive

    def _unpack(self, archive: Path) -> None:
        model = self._folder / "model"
        model.mkdir()
        try:
            with tarfile.open(archive, "r:gz") as tar:
                tar.extractall(model, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            _log.warning("%s: %s", self._model_url, error)
            raise StartError(
                'Failed to extract model data archive for container "primary" from URL '
                f'"{self._model_url}". Please ensure that the object located at the URL is a valid tar.gz '
                "archive."
            ) from error

    def _spawn(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port = listener.getsockname()[1]
        with contextlib.closing(listener), self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER), str(self._folder / "model"), str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                cwd=self._folder / "model",
                env=self._process_environment(),
            )

    def _process_environment(self) -> dict[str, str]:
        # A container knows nothing of the host; one thread a process, since several share the cores.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        return {**kept, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **self._environment}

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + self._startup_timeout_s
        while (left := deadline - time.monotonic()) > 0 and self._process and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                # One patient request: answered when the model is loaded, or reset when the process ends.
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=left)
                with contextlib.closing(connection):
                    connection.request("GET", "/ping")
                    if connection.getresponse().status == http.HTTPStatus.OK:
                        return
            time.sleep(0.05)
        raise StartError(
            f"The primary container for production variant {self._variant} did not pass the ping health "
            "check. Please check CloudWatch logs for this endpoint."
        )


class LogShipper:
    """Copies what a container wrote to CloudWatch Logs, where SageMaker's users look for it.

    Args:
        group: Name of the log group, such as /aws/sagemaker/Endpoints/<name>.
        stream: Name of the log stream.
        log_file: The file to copy from.
    """

    def __init__(self, group: str, stream: str, log_file: Path) -> None:
        self.group = group
        self.stream = stream
        self._file = log_file
        self._offset = 0
        self._lock = threading.Lock()
        self._created = False

    def ship(self) -> None:
        """Send what is new. A failure costs the copy, never the request."""
        with self._lock, contextlib.suppress(OSError, ClientError, BotoCoreError):
            with self._file.open("rb") as log:
                log.seek(self._offset)
                new = log.read()
            self._offset += len(new)
            now = int(time.time() * 1000)
            lines = [line for line in new.decode(errors="replace").splitlines() if line.strip()]
            if lines:
                self._put([{"timestamp": now, "message": line} for line in lines])

    def _put(self, events: list[Any]) -> None:
        logs = client("logs")
        if not self._created:
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(logGroupName=self.group)
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_stream(logGroupName=self.group, logStreamName=self.stream)
            self._created = True
        logs.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=events)
