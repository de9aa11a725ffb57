"""One deployed model version: its archive, its process, and the requests in flight through it."""

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from commandline.polling import PollingTimeoutError, Rhythm, poll
from localcloud.sagemaker.resources import bucket_and_key, client
from model_build.archive.trusted_code import TRUSTED_VARIABLE, ForeignCodeError, require_own_code
from model_build.data.digests import digest
from model_build.data.extract import ExtractionError, extract

_WORKER = Path(__file__).with_name("worker.py")
_PING_TIMEOUT_S = 60
_DRAIN_TIMEOUT_S = 60
INVOCATION_TIMEOUT_S = 60
"""SageMaker's own limit for one answer of a container."""


class ContainerError(Exception):
    """The version cannot serve; the message is what DescribeEndpoint shows as FailureReason."""


@dataclass(frozen=True)
class Answer:
    """The container's answer: HTTP status, content type, body, and the custom attributes of its headers."""

    status: int
    content_type: str
    body: bytes
    custom_attributes: str = ""


@dataclass
class Container:
    """A process that runs the inference.py of one model.tar.gz.

    Attributes:
        model_url: `s3://bucket/key` of the archive.
        environment: the model's own variables.
        variant: name of the production variant, for messages.
        folder: where the archive is extracted; removed when the container stops.
        log_file: where the process writes; kept.
        startup_timeout_s: how long loading the model may take.
    """

    model_url: str
    environment: Mapping[str, str]
    variant: str
    folder: Path
    log_file: Path
    startup_timeout_s: float = _PING_TIMEOUT_S

    def __post_init__(self) -> None:
        """Begin without a process."""
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._starting = threading.Lock()
        self._in_flight = 0
        self._idle = threading.Condition()

    def start(self) -> None:
        """Download, extract and start the model; return when it answers the health check.

        Raises:
            ContainerError: it cannot serve. The message is SageMaker's; the container's log has the cause.
        """
        try:
            self._unpack(self._download())
            self._spawn()
            self._wait_until_healthy()
        except ContainerError as error:
            if error.__cause__:
                self._log(f"{type(error.__cause__).__name__}: {error.__cause__}")
            self.stop()
            raise
        except Exception as error:
            self._log(traceback.format_exc())
            self.stop()
            raise ContainerError("Unable to provision requested ML compute capacity.") from error

    def invoke(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Send one request to the model, whose process is started again if it has ended, as SageMaker does.

        Raises:
            OSError, http.client.HTTPException: the process died, or did not answer in time.
        """
        self._start_if_ended()
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
        """Keep the process alive while a request is in flight: `drain` waits for it."""
        with self._idle:
            self._in_flight += 1
        try:
            yield self
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def drain(self) -> None:
        """Stop when the requests in flight have their answers."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=_DRAIN_TIMEOUT_S)
        self.stop()

    def stop(self) -> None:
        """End the process now and remove what was extracted."""
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
        shutil.rmtree(self.folder, ignore_errors=True)

    def _download(self) -> Path:
        bucket, key = bucket_and_key(self.model_url)
        self.folder.mkdir(parents=True)
        archive = self.folder / "model.tar.gz"
        try:
            client("s3").download_file(bucket, key, str(archive))
        except (ClientError, BotoCoreError) as error:
            raise ContainerError(
                f'Failed to download model data for container "primary" from URL: "{self.model_url}". '
                "Please ensure that there is an object located at the URL and that the role passed to "
                "CreateModel has permissions to download the model."
            ) from error
        return archive

    def _unpack(self, archive: Path) -> None:
        """Extract the archive, whose code runs here with the user's rights: foreign code must be trusted."""
        model = self.folder / "model"
        try:
            trusted = self.environment.get(TRUSTED_VARIABLE) == digest(archive)
            require_own_code(archive, trusted=trusted, name=self.model_url)
            extract(archive, model)
        except ForeignCodeError as error:
            raise ContainerError(f"This emulator does not run it: {error}") from error
        except ExtractionError as error:
            raise ContainerError(
                'Failed to extract model data archive for container "primary" from URL '
                f'"{self.model_url}". Please ensure that the object located at the URL is a valid '
                "tar.gz archive."
            ) from error

    def _spawn(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port = listener.getsockname()[1]
        with contextlib.closing(listener), self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER), str(self.folder / "model"), str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                cwd=self.folder / "model",
                env=self._process_environment(),
            )

    def _start_if_ended(self) -> None:
        with self._starting:
            if self._process is None or self._process.poll() is None:
                return
            self._log(f"the container ended with status {self._process.returncode} and is started again")
            try:
                self._spawn()
                self._wait_until_healthy()
            except ContainerError as error:
                raise ConnectionRefusedError(str(error)) from error

    def _process_environment(self) -> dict[str, str]:
        # A container sees nothing of the host; one thread for each process, since several share the cores.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        usual = {"OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
        return {**kept, **usual, **self.environment}

    def _wait_until_healthy(self) -> None:
        def healthy() -> bool:
            if self._process is None or self._process.poll() is not None:
                raise failed
            return self._answers_ping()

        failed = ContainerError(
            f"The primary container for production variant {self.variant} did not pass the ping health "
            "check. Please check CloudWatch logs for this endpoint."
        )
        rhythm = Rhythm(shortest_pause=0.05, longest_pause=0.5)
        try:
            poll(healthy, until=bool, timeout_seconds=self.startup_timeout_s, rhythm=rhythm)
        except PollingTimeoutError:
            raise failed from None

    def _answers_ping(self) -> bool:
        # The socket listens before the model is loaded: this waits for the answer, or for the process to end.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self.startup_timeout_s)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ping")
            return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def _log(self, text: str) -> None:
        """Write to the container's log, where whoever looks for the reason of a failure finds it."""
        with self.log_file.open("a", encoding="utf-8") as log:
            log.write(text + "\n")


class LogShipper:
    """Copies what a container wrote to CloudWatch Logs, where SageMaker's users look for it."""

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
