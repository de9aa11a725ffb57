"""Bring an endpoint to what is wanted: take the steps, wait, and take them back when one fails."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from commandline.aws import Session, aws_reason
from commandline.polling import DEFAULT_RHYTHM, PollingTimeoutError, poll
from commandline.terminal import say, waiting_bar
from model_build.archive.container_images import OWN, ServingImage, look_up_image
from model_build.archive.package import read_manifest
from model_build.archive.prepare import download, place_of, prepare_archive
from model_build.archive.trusted_code import foreign_code, require_own_code
from model_build.data.extract import ExtractionError
from model_build.endpoint import aws
from model_build.endpoint import steps as way_to
from model_build.endpoint.aws import ApiCall, Application, ModelStack, explained
from model_build.endpoint.found import Found, look, read_facts, version_name
from model_build.endpoint.steps import Archive, Step, Version, Wanted
from model_build.errors import CloudError, DeploymentError, RefusedError, UnsettledError

DEFAULT_TIMEOUT_S: Final = 1800.0
SAME: Final = "the same command"
NO_APPLICATION: Final = Application("")
SETTLED: Final = frozenset({"InService", "Failed", "OutOfService", "UpdateRollbackFailed"})


@dataclass(frozen=True)
class DeployResult:
    """What serves after a deployment. `deploy --json` prints these fields."""

    endpoint_name: str
    endpoint_arn: str
    version: str
    model_data_url: str
    created: bool
    changed_parameters: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """A version, what is there, the steps between them, and what could not be found out about them."""

    version: Version
    found: Found
    steps: Sequence[Step]
    notices: Sequence[str]
    application: Application
    changes: Mapping[str, str]  # of its parameters, by the last of the steps

    def carry_out(self, session: Session, timeout_seconds: float) -> DeployResult:
        """Take the steps; the old version answers until the new one has passed its health check."""
        name, model, stack = self.found.endpoint_name, self.version.model["ModelName"], self.application.name
        for notice in self.notices:
            say(f"notice: {notice}")
        again = SAME if self.version.archive else f"`scones model use {model}`"
        with explained(f"deploying endpoint {name}"):
            arn = carry_out(self.steps, self.found, session, timeout_seconds, again)["EndpointArn"]
        if self.changes and (status := aws.wait_for_stack(session, stack)) != "UPDATE_COMPLETE":
            raise CloudError(f"the stack {stack} is {status}: CloudFormation's events say why")
        created = self.found.status != "InService"
        return DeployResult(name, arn, model, self.version.data_url, created, dict(self.changes))


@contextmanager
def ready_archive(
    model: Path | str, image: ServingImage, session: Session, *, trust_code: bool
) -> Iterator[Archive]:
    """Provide the archive of a model for an image; a UsageError if it has code that is not trusted."""
    with tempfile.TemporaryDirectory() as scratch:
        path = prepare_archive(model, image, Path(scratch), session)
        # Packaging adds our own code and packages to a folder: what matters is what it had.
        origin = Path(model) if Path(model).is_dir() else path
        if image.archive_members:
            require_own_code(origin, trusted=trust_code, name=f"--model {model}", packages=True)
        described, foreign = {}, False
        with suppress(ExtractionError):  # an archive that only its own image understands
            described, foreign = read_manifest(path), trust_code and bool(foreign_code(origin, packages=True))
        yield Archive(path, described, foreign)


def plan(
    wanted: Wanted, stack: ModelStack, archive: Archive, session: Session, application: Application
) -> Plan:
    """Return the steps to what is wanted, without taking any; a RefusedError if AWS would refuse them."""
    if not stack.exists and wanted.image == OWN:
        push = "`scones model image push` makes it, builds the image and pushes it"
        raise RefusedError(f"--image {OWN}: the stack with its repository does not exist; {push}")
    name, region = version_name(wanted.endpoint_name), str(session.region_name)
    version = way_to.wanted_version(wanted, stack, archive, name=name, region=region)
    return _plan(version, look(session, wanted.endpoint_name), session, application)


def use(found: Found, model_name: str, session: Session, application: Application) -> Plan:
    """Return the steps that give an endpoint in service a model that it has had, and keep its settings."""
    with explained(f"looking up model {model_name}"):
        model: dict[str, Any] = dict(session.client("sagemaker").describe_model(ModelName=model_name))
    url = model["PrimaryContainer"]["ModelDataUrl"]
    manifest = read_facts(session, url)
    if not manifest:
        with tempfile.TemporaryDirectory() as scratch, suppress(ExtractionError):
            manifest = read_manifest(download(url, Path(scratch) / "model.tar.gz", session))
    config = way_to.same_config(found, version_name(found.endpoint_name), model_name)
    version = Version(None, model, config, manifest, keeps_scaling=True)
    return _plan(version, found, session, application)


def replacement(found: Found, archive: Archive, session: Session) -> Plan:
    """Return the steps that give an endpoint in service another model and keep all of its settings."""
    version = way_to.replaced_version(found, archive, version_name(found.endpoint_name))
    return _plan(version, found, session, NO_APPLICATION)


def _plan(version: Version, found: Found, session: Session, application: Application) -> Plan:
    image = look_up_image(session, str(version.model["PrimaryContainer"]["Image"]))
    logs = found.logs_unknown and f"the logs' retention could not be set: {found.logs_unknown}"
    uploaded = False
    with suppress(ClientError, BotoCoreError):
        uploaded = bool(session.client("s3").head_object(**place_of(version.data_url)))
    steps = way_to.steps_to(version, found, uploaded=uploaded)
    changes = application.changes(found.endpoint_name, version.manifest)
    if changes:
        steps.append(Step(application.update(changes)))
    advice = application.advice(found.endpoint_name, version.manifest)
    notices = [text for text in (image, logs, advice) if text]
    return Plan(version, found, steps, notices, application, changes)


def delete(found: Found, session: Session, timeout_seconds: float, *, logs: bool = False) -> None:
    """Delete an endpoint, its versions and scaling, and logs if asked; what is in S3 stays as a record."""
    with explained(f"deleting endpoint {found.endpoint_name}"):
        carry_out(way_to.steps_to_nothing(found, logs=logs), found, session, timeout_seconds, SAME)


def carry_out(
    steps: Sequence[Step], found: Found, session: Session, timeout_seconds: float, again: str
) -> dict[str, Any]:
    """Take steps in their order; return the endpoint's last description, empty if it is gone.

    When one fails, those before it are undone backwards, but not what the endpoint may use: while it still
    changes, and once the new version serves. A notice says what is left; the command `again` does the rest.
    """
    with waiting_bar(f"endpoint {found.endpoint_name}", 420.0) as progress:
        way = _Way(found.endpoint_name, session, timeout_seconds, progress, found.endpoint or {})
        try:
            for number, step in enumerate(steps, 1):
                progress(f"{number}/{len(steps)} {step.call.operation}", 0.0)
                way.take(step)
        except BaseException as error:
            way.give_up(error, again)
            raise
    return way.endpoint


@dataclass
class _Way:
    """The steps taken since the endpoint was last settled, and its description then."""

    name: str
    session: Session
    timeout_seconds: float
    progress: Callable[[str, float], None]  # shows a status, and the seconds of waiting for it
    endpoint: dict[str, Any]
    taken: list[Step] = field(default_factory=list)
    changing: bool = False
    serves: str = ""

    def take(self, step: Step) -> None:
        self.taken.append(step)  # before it is sent: a call that is interrupted may have been made
        self.changing = step.settles
        try:
            self._send(step)
        except (ClientError, BotoCoreError) as error:
            # Without an answer, SageMaker may have begun.
            self.changing &= isinstance(error, ReadTimeoutError | ConnectionClosedError)
            if isinstance(error, ClientError):
                self.taken.pop()
            if not step.optional:
                raise
            say(f"notice: {_text(step.call)} did not succeed: {aws_reason(error)}")
        if step.settles:
            self.endpoint = self._settle(step.serves)
            self.serves = step.serves
            self.changing = False
            self.taken.clear()

    def give_up(self, error: BaseException, again: str) -> None:
        if self.serves:
            say(f"notice: version {self.serves} is in service; {again} does the rest")
        if self.changing and isinstance(error, UnsettledError | KeyboardInterrupt | BotoCoreError):
            say(
                f"notice: endpoint {self.name} may go on changing; `scones model status --endpoint-name "
                f"{self.name}` shows its state. What would undo it otherwise was not done: {self._left()}"
            )
            return
        try:
            while self.taken:
                if undo := self.taken[-1].undo:
                    self._undo(undo)
                self.taken.pop()
        except KeyboardInterrupt:
            say(f"notice: interrupted while undoing; not done: {self._left()}")
            raise

    def _left(self) -> str:
        return "; ".join(_text(step.undo) for step in reversed(self.taken) if step.undo) or "nothing"

    def _send(self, step: Step) -> None:
        parameters = step.call.parameters
        if step.upload:
            place, facts = (parameters["Bucket"], parameters["Key"]), parameters.get("Metadata", {})
            self.session.client("s3").upload_file(str(step.upload), *place, ExtraArgs={"Metadata": facts})
            return
        if "ResourceArn" in parameters:
            parameters = {**parameters, "ResourceArn": self.endpoint["EndpointArn"]}
        replace(step.call, parameters=parameters).send(self.session)

    def _settle(self, version: str) -> dict[str, Any]:
        """Wait until the endpoint serves a version, or is gone if none is named.

        `InService` alone does not show it: after an update that failed, the endpoint is in service again on
        its old configuration. A DeploymentError if that serves or nothing, an UnsettledError if neither can.
        """
        endpoint = self._wait() or {}
        status, serving = endpoint.get("EndpointStatus"), endpoint.get("EndpointConfigName")
        if not version and endpoint:
            raise CloudError(f"endpoint {self.name} was not deleted, it is {status}: try again")
        if not version or (status == "InService" and serving == version):
            return endpoint
        if not endpoint:
            raise DeploymentError(f"endpoint {self.name} was deleted while {version} was being deployed")
        reason = endpoint.get("FailureReason") or "SageMaker gave no reason"
        log = aws.log_tail(self.session, aws.LOGS_OF + self.name)
        if status not in {"InService", "UpdateRollbackFailed"}:
            raise DeploymentError(f"endpoint {self.name} is {status}, nothing serves: {reason}\n{log}")
        kind = DeploymentError if status == "InService" else UnsettledError
        raise kind(
            f"version {version} failed and was rolled back; endpoint {self.name} is {status} on {serving}: "
            f"{reason}\n{log}"
        )

    def _wait(self) -> dict[str, Any] | None:
        """Wait while the endpoint changes; return its last description, or raise UnsettledError."""
        describe = self.session.client("sagemaker").describe_endpoint
        try:
            return poll(
                lambda: aws.or_none(describe, EndpointName=self.name),
                until=lambda endpoint: endpoint is None or endpoint["EndpointStatus"] in SETTLED,
                timeout_seconds=self.timeout_seconds,
                rhythm=DEFAULT_RHYTHM,
                waiting=lambda endpoint, s: self.progress(str((endpoint or {}).get("EndpointStatus")), s),
            )
        except PollingTimeoutError as error:
            raise UnsettledError(
                f"endpoint {self.name} is still {error.last['EndpointStatus']} after "
                f"{self.timeout_seconds:.0f} s. SageMaker continues: `scones model status --endpoint-name "
                f"{self.name}` shows its state, --timeout waits longer"
            ) from error

    def _undo(self, call: ApiCall) -> None:
        try:
            aws.or_none(call.send, session=self.session)
            if call.operation == "DeleteEndpoint":
                self._wait()
        except (ClientError, BotoCoreError, CloudError) as error:
            say(f"notice: {_text(call)} did not succeed: {aws_reason(error)}")


def _text(call: ApiCall) -> str:
    return " ".join([call.operation, *(text for text in call.parameters.values() if isinstance(text, str))])
