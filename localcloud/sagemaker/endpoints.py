"""Endpoints: which version serves, which one is coming up, and what happens if it does not.

An update starts the new version beside the old one, which serves until the new one passes its health check;
if it never does, the old one goes on serving. That is SageMaker's blue/green deployment with all traffic at
once, see https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-all-at-once.html.
"""

import contextlib
import logging
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from localcloud.sagemaker.capture import Capture
from localcloud.sagemaker.container import INVOCATION_TIMEOUT_S, Container, ContainerError, LogShipper
from localcloud.sagemaker.resources import ApiError, Resource, invalid

COLD_START_VARIABLE: Final = "SCONES_LOCAL_COLD_START_SECONDS"
_log = logging.getLogger(__name__)


def serving_note(folder: Path, endpoint_name: str) -> Path:
    """Return the file with the URL of the archive that an endpoint served last."""
    return folder / "serving" / endpoint_name


@dataclass
class Config(Resource):
    """An endpoint configuration, with the model that it names as it was when the configuration was made."""

    model: dict[str, Any] = field(default_factory=dict)

    @property
    def variant(self) -> dict[str, Any]:
        """Its one production variant."""
        variant: dict[str, Any] = self.request["ProductionVariants"][0]
        return variant

    @property
    def serverless(self) -> bool:
        """Whether the variant runs on demand instead of on an instance."""
        return "ServerlessConfig" in self.variant

    @property
    def capture(self) -> dict[str, Any] | None:
        """The data capture settings, if it captures."""
        settings: dict[str, Any] | None = self.request.get("DataCaptureConfig")
        return settings if settings and settings.get("EnableCapture", True) else None


class Capacity:
    """How many requests a serverless endpoint takes at a time, and how long it needs for the first.

    SageMaker throttles requests beyond the endpoint's MaxConcurrency, and starts a container when the first
    request arrives: https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html. The emulator's
    containers are always warm; `COLD_START_VARIABLE` in the model's environment makes an endpoint start cold.
    """

    def __init__(self, max_concurrency: int, cold_start_s: float = 0) -> None:
        self._limit = max_concurrency
        self._cold_start_s = cold_start_s
        self._warm_at: float | None = None
        self._in_flight = 0
        self._lock = threading.Lock()

    @classmethod
    def of_variant(cls, variant: Mapping[str, Any], environment: Mapping[str, str]) -> "Capacity":
        """Read MaxConcurrency of a serverless variant, and the cold start from the model's environment."""
        cold_start_s = float(environment.get(COLD_START_VARIABLE, "0"))
        return cls(variant["ServerlessConfig"]["MaxConcurrency"], cold_start_s)

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the endpoint's slots, from when it is warm.

        Raises:
            ApiError: ThrottlingException where all slots are taken.
            TimeoutError: the cold start takes longer than SageMaker waits for an answer.
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


@dataclass
class Version:
    """A configuration that serves: its process, its log, what it captures, its serverless capacity."""

    config: Config
    container: Container
    logs: LogShipper
    capture: Capture | None = None
    capacity: Capacity | None = None

    def retire(self) -> None:
        """Let the requests in flight finish, then stop everything."""
        self.container.drain()
        if self.capture:
            self.capture.close()
        self.logs.ship()


class Endpoint(Resource):
    """One endpoint, from CreateEndpoint on; its versions are unpacked in `folder`, and their logs kept."""

    def __init__(self, name: str, arn: str, request: dict[str, Any], config: Config, folder: Path) -> None:
        super().__init__(name, arn, request)
        self.status = "Creating"
        self.failure_reason = ""
        self.modified = self.created
        self.config = config
        self._folder = folder
        self._version: Version | None = None
        self._lock = threading.Lock()
        self._in_background(self._create)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Version | None]:
        """Yield the version that answers now, kept alive until the block ends; None if none does."""
        with contextlib.ExitStack() as leased:
            with self._lock:
                if version := self._version:
                    leased.enter_context(version.container.lease())
            yield version

    def update(self, config: Config) -> None:
        """Move to another configuration.

        Raises:
            ApiError: the endpoint is changing already, has failed, or cannot change to this configuration.
        """
        with self._lock:
            self._refuse_while_changing()
            if self.status != "InService":
                raise invalid(
                    f'Cannot update endpoint "{self.arn}" in status {self.status}: DeleteEndpoint is the '
                    "only operation that can be performed on a failed endpoint."
                )
            if config.serverless and not self.config.serverless:
                raise invalid(
                    f'Cannot update endpoint "{self.arn}": an endpoint on instances cannot be updated to a '
                    "serverless endpoint configuration."
                )
            self._change_to("Updating")
        self._in_background(self._update, config)

    def delete(self) -> threading.Thread:
        """Stop serving; the thread returned ends when the endpoint is gone.

        Raises:
            ApiError: the endpoint is being created or updated.
        """
        with self._lock:
            self._refuse_while_changing()
            self._change_to("Deleting")
        return self._in_background(self._retire)

    def close(self) -> None:
        """Stop at once, whatever the status: the whole emulator stops."""
        with self._lock:
            version, self._version = self._version, None
        if version:
            version.container.stop()
            if version.capture:
                version.capture.close()

    def describe(self) -> dict[str, Any]:
        """Return the answer of DescribeEndpoint."""
        with self._lock:
            answer: dict[str, Any] = {
                "EndpointName": self.name,
                "EndpointArn": self.arn,
                "EndpointConfigName": self.config.name,
                "EndpointStatus": self.status,
                "CreationTime": self.created,
                "LastModifiedTime": self.modified,
            }
            if self.failure_reason:
                answer["FailureReason"] = self.failure_reason
            if self._version:
                answer["ProductionVariants"] = [_variant_summary(self.config)]
                answer |= _capture_summary(self.config)
            return answer

    def _create(self) -> None:
        try:
            version = self._start(self.config)
        except ContainerError as error:
            with self._lock:
                self.failure_reason = str(error)
                self._change_to("Failed")
            return
        with self._lock:
            self._version = version
            self._note()
            self._change_to("InService")

    def _update(self, config: Config) -> None:
        try:
            version = self._start(config)
        except ContainerError as error:
            with self._lock:
                self.failure_reason = str(error)
                self._change_to("RollingBack")
            with self._lock:
                self._change_to("InService")
            return
        with self._lock:
            old, self._version = self._version, version
            self.config, self.failure_reason = config, ""
            self._note()
            self._change_to("InService")
        if old:
            old.retire()

    def _note(self) -> None:
        """Write down which archive serves: the emulator itself forgets its endpoints when it stops."""
        note = serving_note(self._folder, self.name)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(self.config.model["ModelDataUrl"], encoding="utf-8")

    def _retire(self) -> None:
        with self._lock:
            version, self._version = self._version, None
        if version:
            version.retire()

    def _start(self, config: Config) -> Version:
        number = uuid.uuid4().hex[:8]
        label = f"{re.sub('[^A-Za-z0-9-]', '-', self.name)}-{number}"
        log_file = self._folder / "logs" / f"endpoint-{label}.log"
        variant = config.variant
        container = Container(
            model_url=config.model["ModelDataUrl"],
            environment=config.model.get("Environment", {}),
            variant=variant["VariantName"],
            folder=self._folder / "versions" / label,
            log_file=log_file,
        )
        if patience := variant.get("ContainerStartupHealthCheckTimeoutInSeconds"):
            container.startup_timeout_s = patience
        group = f"/aws/sagemaker/Endpoints/{self.name}"
        logs = LogShipper(group, f"{variant['VariantName']}/i-{number}", log_file)
        try:
            container.start()
        finally:
            logs.ship()
        capture = Capture(config.capture, self.name, variant["VariantName"]) if config.capture else None
        capacity = Capacity.of_variant(variant, container.environment) if config.serverless else None
        return Version(config, container, logs, capture, capacity)

    def _refuse_while_changing(self) -> None:
        if self.status in {"Creating", "Updating", "RollingBack", "Deleting"}:
            raise invalid(f'Cannot update in-progress endpoint "{self.arn}".')

    def _change_to(self, status: str) -> None:
        self.status = status
        self.modified = time.time()
        _log.info("endpoint %s: %s %s", self.name, status, self.failure_reason)

    @staticmethod
    def _in_background(work: Any, *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread


def _variant_summary(config: Config) -> dict[str, Any]:
    variant = config.variant
    weight = variant.get("InitialVariantWeight", 1.0)
    summary = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": config.model["Image"], "ResolvedImage": config.model["Image"]}],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
    }
    if config.serverless:
        return summary | {"CurrentServerlessConfig": variant["ServerlessConfig"]}
    count = variant["InitialInstanceCount"]
    return summary | {"CurrentInstanceCount": count, "DesiredInstanceCount": count}


def _capture_summary(config: Config) -> dict[str, Any]:
    settings = config.request.get("DataCaptureConfig")
    if not settings:
        return {}
    enabled = config.capture is not None
    return {
        "DataCaptureConfig": {
            "EnableCapture": enabled,
            "CaptureStatus": "Started" if enabled else "Stopped",
            "CurrentSamplingPercentage": settings["InitialSamplingPercentage"],
            "DestinationS3Uri": settings["DestinationS3Uri"],
            "KmsKeyId": settings.get("KmsKeyId", ""),
        }
    }
