"""One deployed version of a model: its archive, its process, and the requests in flight through it."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from commandline.polling import PollingTimeoutError, Rhythm, poll
from localcloud.sagemaker.capture import Capture
from localcloud.sagemaker.resources import ApiError, Config, client
from model_build.archive.trusted_code import TRUSTED_VARIABLE, ForeignCodeError, require_own_code
from model_build.data.extract import ExtractionError, digest, extract
from operations.s3 import split_uri

COLD_START_VARIABLE: Final = "SCONES_LOCAL_COLD_START_SECONDS"
INVOCATION_TIMEOUT_S: Final = 60
"""SageMaker's own limit for one answer of a container."""
_WORKER: Final = Path(__file__).with_name("worker.py")
_PING_TIMEOUT_S: Final = 60
_DRAIN_TIMEOUT_S: Final = 60
_OFTEN: Final = Rhythm(shortest_pause=0.05, longest_pause=0.5)


class ContainerError(Exception):
    """The version cannot serve; the message is what DescribeEndpoint shows as FailureReason."""


@dataclass(frozen=True)
class Answer:
    """The container's answer: HTTP status, content type, body, and the custom attributes of its headers."""

    status: int
    content_type: str
    body: bytes
    custom_attributes: str = ""


class Capacity:
    """How many requests a serverless endpoint takes at a time, and how long it needs for the first.

    SageMaker throttles requests beyond the endpoint's MaxConcurrency, and starts a container when the first
    request arrives: https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html. The emulator's
    containers are always warm; `COLD_START_VARIABLE` in the model's environment makes an endpoint start cold.
    """

    def __init__(self, variant: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._limit = variant["ServerlessConfig"]["MaxConcurrency"]
        self._cold_start_s = float(environment.get(COLD_START_VARIABLE, "0"))
        self._warm_at: float | None = None
        self._in_flight = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the endpoint's slots, from when it is warm; ThrottlingException if all are taken.

        TimeoutError if the cold start takes longer than SageMaker waits for an answer.
        """
        with self._lock:
            if self._in_flight >= self._limit:
                raise ApiError("ThrottlingException", "Rate exceeded")
            self._in_flight += 1
            if self._warm_at is None:
                self._warm_at = time.monotonic() + self._cold_start_s
            wait_s = self._warm_at - time.monotonic()
        try:
            time.sleep(min(max(wait_s, 0), INVOCATION_TIMEOUT_S))
            if wait_s > INVOCATION_TIMEOUT_S:
                raise TimeoutError
            yield
        finally:
            with self._lock:
                self._in_flight -= 1


class LogShipper:
    """Copies what a container wrote to CloudWatch Logs, where SageMaker's users look for it."""

    def __init__(self, group: str, stream: str, log_file: Path) -> None:
        self.group = group
        self._stream = stream
        self._file = log_file
        self._offset = 0
        self._lock = threading.Lock()

    def ship(self) -> None:
        """Send what is new. A failure costs the copy, never the request."""
        with self._lock, contextlib.suppress(OSError, ClientError, BotoCoreError):
            with self._file.open("rb") as log:
                log.seek(self._offset)
                new = log.read()
            now = int(time.time() * 1000)
            lines = [line for line in new.decode(errors="replace").splitlines() if line.strip()]
            if lines:
                group, logs = {"logGroupName": self.group}, client("logs")
                place = {**group, "logStreamName": self._stream}
                if not self._offset:
                    for create, name in ((logs.create_log_group, group), (logs.create_log_stream, place)):
                        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                            create(**name)
                self._offset += len(new)
                logs.put_log_events(**place, logEvents=[{"timestamp": now, "message": one} for one in lines])


class Version:
    """A configuration that serves an endpoint: the process of its model, and what it captures.

    The archive is extracted in `folder` until the process is stopped; its log is kept there, and copied to
    CloudWatch Logs.
    """

    def __init__(self, config: Config, endpoint: str, folder: Path) -> None:
        number = uuid.uuid4().hex[:8]
        label = f"{re.sub('[^A-Za-z0-9-]', '-', endpoint)}-{number}"
        self.config = config
        self._variant = config.variant["VariantName"]
        self._folder = folder / "versions" / label
        self._log_file = folder / "logs" / f"endpoint-{label}.log"
        group, stream = f"/aws/sagemaker/Endpoints/{endpoint}", f"{self._variant}/i-{number}"
        self.logs = LogShipper(group, stream, self._log_file)
        self._url = config.model["ModelDataUrl"]
        self._environment = config.model.get("Environment", {})
        self.capacity = Capacity(config.variant, self._environment) if config.serverless else None
        self.capture: Capture | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._starting = threading.Lock()
        self._in_flight = 0
        self._idle = threading.Condition()
        self._start()
        if config.capture:
            self.capture = Capture(config.capture, f"{endpoint}/{self._variant}")

    def invoke(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Send one request to the model, whose process is started again if it has ended, as SageMaker does.

        OSError or HTTPException if the process died, or did not answer in time.
        """
        with self._starting:
            if self._process and self._process.poll() is not None:
                self._log(f"the container ended with status {self._process.returncode} and is started again")
                try:
                    self._spawn()
                except ContainerError as error:
                    raise ConnectionRefusedError(str(error)) from error
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
    def lease(self) -> Iterator[None]:
        """Keep the process alive while a request is in flight: `retire` waits for it."""
        with self._idle:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def retire(self) -> None:
        """Stop when the requests in flight have their answers."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=_DRAIN_TIMEOUT_S)
        self.stop()
        self.logs.ship()

    def stop(self) -> None:
        """End the process now, remove what was extracted, and write what was captured."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.communicate(timeout=5)  # which closes its stdin, too
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self.capture:
            self.capture.close()

    def _start(self) -> None:
        """Download, extract and start the model; return when it answers the health check.

        The message of a ContainerError is SageMaker's; the container's log has the cause.
        """
        try:
            self._provide_model()
            self._spawn()
        except ContainerError as error:
            if error.__cause__:
                self._log(f"{type(error.__cause__).__name__}: {error.__cause__}")
            self.stop()
            raise
        except Exception as error:
            self._log(traceback.format_exc())
            self.stop()
            raise ContainerError("Unable to provision requested ML compute capacity.") from error
        finally:
            self.logs.ship()

    def _provide_model(self) -> None:
        """Download and extract the archive, whose code runs here with the user's rights, if it may."""
        bucket, key = split_uri(self._url)
        self._folder.mkdir(parents=True)
        archive = self._folder / "model.tar.gz"
        try:
            client("s3").download_file(bucket, key, str(archive))
            trusted = self._environment.get(TRUSTED_VARIABLE) == digest(archive)
            require_own_code(archive, trusted=trusted, name=self._url)
            extract(archive, self._folder / "model")
        except (ClientError, BotoCoreError) as error:
            raise ContainerError(
                f'Failed to download model data for container "primary" from URL: "{self._url}". '
                "Please ensure that there is an object located at the URL and that the role passed to "
                "CreateModel has permissions to download the model."
            ) from error
        except ForeignCodeError as error:
            raise ContainerError(f"This emulator does not run it: {error}") from error
        except ExtractionError as error:
            raise ContainerError(
                'Failed to extract model data archive for container "primary" from URL '
                f'"{self._url}". Please ensure that the object located at the URL is a valid '
                "tar.gz archive."
            ) from error

    def _spawn(self) -> None:
        """Start the process, and return when it answers the health check."""
        # A container sees nothing of the host; one thread for each process, since several share the cores.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        usual = {"OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port = listener.getsockname()[1]
        with contextlib.closing(listener), self._log_file.open("ab") as log:
            process = self._process = subprocess.Popen(
                [sys.executable, str(_WORKER), str(self._folder / "model"), str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                cwd=self._folder / "model",
                env={**kept, **usual, **self._environment},
            )
        patience = self.config.variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _PING_TIMEOUT_S)
        failed = ContainerError(
            f"The primary container for production variant {self._variant} did not pass the ping health "
            "check. Please check CloudWatch logs for this endpoint."
        )

        def healthy() -> bool:
            """Wait for the answer, or for the end: the socket listens before the model is loaded."""
            if process.poll() is not None:
                raise failed
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=patience)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/ping")
                return connection.getresponse().status == http.HTTPStatus.OK
            return False

        try:
            poll(healthy, until=bool, timeout_seconds=patience, rhythm=_OFTEN)
        except PollingTimeoutError:
            raise failed from None

    def _log(self, text: str) -> None:
        """Write to the container's log, where whoever looks for the reason of a failure finds it."""
        with self._log_file.open("a", encoding="utf-8") as log:
            log.write(text + "\n")
