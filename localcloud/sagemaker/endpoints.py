"""Endpoints: which version serves, which one is coming up, and what happens if it does not.

An update starts the new version beside the old one, which serves until the new one passes its health check;
if it never does, the old one goes on serving. That is SageMaker's blue/green deployment with all traffic at
once, see https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-all-at-once.html.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from localcloud.sagemaker.container import ContainerError, Version
from localcloud.sagemaker.resources import Config, Json, Resource, invalid

_log = logging.getLogger(__name__)


def serving_note(folder: Path, endpoint_name: str) -> Path:
    """Return the file with the URL of the archive that an endpoint served last."""
    return folder / "serving" / endpoint_name


class Endpoint(Resource):
    """One endpoint, from CreateEndpoint on; its versions are unpacked in `folder`, and their logs kept."""

    prefix = "Endpoint"
    kind = "endpoint"

    def __init__(self, name: str, arn: str, request: Json, config: Config, folder: Path) -> None:
        super().__init__(name, arn, request)
        self.status = "Creating"
        self.failure_reason = ""
        self.modified = self.created
        self.config = config
        self._folder = folder
        self._version: Version | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._bring_up, args=(config,), daemon=True).start()

    @contextlib.contextmanager
    def serving(self) -> Iterator[Version | None]:
        """Yield the version that answers now, kept alive until the block ends; None if none does."""
        with contextlib.ExitStack() as leased:
            with self._lock:
                if version := self._version:
                    leased.enter_context(version.lease())
            yield version

    def update(self, config: Config) -> None:
        """Move to another configuration; ApiError if it is changing, has failed, or cannot change to it."""
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
        threading.Thread(target=self._bring_up, args=(config,), daemon=True).start()

    def delete(self, gone: Callable[[], Any]) -> None:
        """Stop serving, and call `gone` when the requests in flight have their answers.

        ApiError if the endpoint is being created or updated.
        """
        with self._lock:
            self._refuse_while_changing()
            self._change_to("Deleting")

        def retire() -> None:
            if version := self._take_version():
                version.retire()
            gone()

        threading.Thread(target=retire, daemon=True).start()

    def close(self) -> None:
        """Stop at once, whatever the status: the whole emulator stops."""
        if version := self._take_version():
            version.stop()

    def describe(self) -> Json:
        """Return the answer of DescribeEndpoint."""
        with self._lock:
            return {
                **self.summary(),
                "EndpointConfigName": self.config.name,
                **({"FailureReason": self.failure_reason} if self.failure_reason else {}),
                **(self.config.shown() if self._version else {}),
            }

    def _bring_up(self, config: Config) -> None:
        """Start a version; it takes over when it is healthy, and never if it does not start."""
        try:
            version = Version(config, self.name, self._folder)
        except ContainerError as error:
            with self._lock:
                self.failure_reason = str(error)
                self._change_to("InService" if self._version else "Failed")
            return
        with self._lock:
            old, self._version = self._version, version
            self.config, self.failure_reason = config, ""
            # The emulator itself forgets its endpoints when it stops.
            note = serving_note(self._folder, self.name)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(config.model["ModelDataUrl"], encoding="utf-8")
            self._change_to("InService")
        if old:
            old.retire()

    def _take_version(self) -> Version | None:
        with self._lock:
            version, self._version = self._version, None
        return version

    def _refuse_while_changing(self) -> None:
        if self.status in {"Creating", "Updating", "Deleting"}:
            raise invalid(f'Cannot update in-progress endpoint "{self.arn}".')

    def _change_to(self, status: str) -> None:
        self.status = status
        self.modified = time.time()
        _log.info("endpoint %s: %s %s", self.name, status, self.failure_reason)
