"""Bring an endpoint to what is wanted: take the steps, wait, and take them back when one fails."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from commandline.aws_errors import aws_reason
from commandline.polling import DEFAULT_RHYTHM, PollingTimeoutError, Rhythm, poll
from commandline.terminal import say, waiting_bar
from model_build.archive.container_images import OWN, ServingImage, image_of, look_up_image
from model_build.archive.package import read_manifest
from model_build.archive.prepare import download, place_of, prepare_archive
from model_build.archive.trusted_code import foreign_code, require_own_code
from model_build.data.extract import ExtractionError
from model_build.endpoint.aws import (
    ApiCall,
    Application,
    ModelStack,
    endpoint_log_group,
    explained,
    is_missing,
    log_tail,
    region_of,
)  # fmt: skip
from model_build.endpoint.found import Found, find_endpoint, look, read_facts, version_name
from model_build.endpoint.steps import (
    Archive,
    Step,
    Version,
    replaced_version,
    steps_to,
    steps_to_nothing,
    used_version,
    wanted_version,
)  # fmt: skip
from model_build.endpoint.wanted import DEFAULT_INSTANCE_TYPE, Wanted
from model_build.errors import CloudError, DeploymentError, RefusedError, UnsettledError

DEFAULT_TIMEOUT_S: Final = 1800.0
USUAL_SECONDS: Final = 420.0  # of an update on instances; only the progress bar uses it
CLOCKS_DIFFER_BY: Final = timedelta(minutes=5)
NO_APPLICATION: Final = Application("")
SETTLED: Final = frozenset({"InService", "Failed", "OutOfService", "UpdateRollbackFailed"})


@dataclass(frozen=True)
class Follow:
    """Where progress and notices go, and how long and how often to look at the endpoint."""

    progress: Callable[[str, float], object] = lambda *_: None  # status, and seconds of waiting for it
    notice: Callable[[str], object] = lambda _: None
    timeout_seconds: float = DEFAULT_TIMEOUT_S
    again: str = "the same command"  # which does what an interruption leaves
    rhythm: Rhythm = DEFAULT_RHYTHM


@contextmanager
def following(title: str, timeout_seconds: float, usual: float = USUAL_SECONDS) -> Iterator[Follow]:
    """Show progress and notices on standard error."""
    with waiting_bar(title, usual) as progress:
        yield Follow(progress, lambda text: say(f"notice: {text}"), timeout_seconds)


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

    def carry_out(self, session: boto3.Session, follow: Follow) -> DeployResult:
        """Take the steps; the old version answers until the new one has passed its health check."""
        name = self.found.endpoint_name
        for notice in self.notices:
            follow.notice(notice)
        if self.version.archive is None:
            follow = replace(follow, again=f"`scones model use {self.version.model['ModelName']}`")
        with explained(f"deploying endpoint {name}", self._hint):
            endpoint = carry_out(self.steps, self.found, session, follow)
        if self.changes:
            self.application.wait(session)
        created, model = self.found.status != "InService", self.version.model["ModelName"]
        arn = endpoint["EndpointArn"]
        return DeployResult(name, arn, model, self.version.data_url, created, dict(self.changes))

    def _hint(self, reason: str) -> str:
        """Return what to do in a region without Serverless Inference, which no operation of AWS lists."""
        if "ServerlessConfig" not in self.version.variant or "serverless" not in reason.lower():
            return ""
        return (
            f". If this region has no serverless endpoints, give --instance-type (such as "
            f"{DEFAULT_INSTANCE_TYPE}) instead of --serverless-memory, or use another region"
        )


@contextmanager
def ready_archive(
    model: Path | str, image: ServingImage, session: boto3.Session, *, trust_code: bool
) -> Iterator[Archive]:
    """Provide the archive of a model for an image; a UsageError if it has code that is not trusted."""
    with tempfile.TemporaryDirectory() as scratch:
        path = prepare_archive(model, image, Path(scratch), session)
        # Packaging adds our own code and packages to a folder: what matters is what it had.
        origin = Path(model) if Path(model).is_dir() else path
        if image.archive_members:
            require_own_code(origin, trusted=trust_code, name=f"--model {model}", packages=True)
        try:
            described, foreign = read_manifest(path), trust_code and bool(foreign_code(origin, packages=True))
        except ExtractionError:  # an archive that only its own image understands
            described, foreign = {}, False
        yield Archive(path, described, foreign)


def plan(
    wanted: Wanted,
    stack: ModelStack,
    archive: Archive,
    session: boto3.Session,
    application: Application = NO_APPLICATION,
) -> Plan:
    """Return the steps to what is wanted, without taking any; a RefusedError if AWS would refuse them.

    The application's stack follows the model, if it asks this endpoint.
    """
    if not stack.exists and wanted.image == OWN:
        push = "`scones model image push` makes it, builds the image and pushes it"
        raise RefusedError(f"--image {OWN}: the stack with its repository does not exist; {push}")
    endpoint = wanted.endpoint_name
    version = wanted_version(wanted, stack, archive, name=version_name(endpoint), region=region_of(session))
    return _plan(version, look(session, endpoint), session, application)


def use(found: Found, model_name: str, session: boto3.Session, application: Application) -> Plan:
    """Return the steps that give an endpoint in service a model that it has had, and keep its settings."""
    with explained(f"looking up model {model_name}"):
        model: dict[str, Any] = dict(session.client("sagemaker").describe_model(ModelName=model_name))
    url = model["PrimaryContainer"]["ModelDataUrl"]
    manifest = read_facts(session, url) or _manifest_of(url, session)
    version = used_version(found, model, manifest, version_name(found.endpoint_name))
    return _plan(version, found, session, application)


def _manifest_of(url: str, session: boto3.Session) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch, suppress(ExtractionError):
        return read_manifest(download(url, Path(scratch) / "model.tar.gz", session))
    return {}


def replacement(found: Found, archive: Archive, session: boto3.Session) -> Plan:
    """Return the steps that give an endpoint in service another model and keep all of its settings."""
    version = replaced_version(found, archive, version_name(found.endpoint_name))
    return _plan(version, found, session, NO_APPLICATION)


def serving_image_of(found: Found) -> ServingImage:
    """Return what the image that serves needs of an archive."""
    return image_of(str((found.model or {})["PrimaryContainer"]["Image"]))


def _plan(version: Version, found: Found, session: boto3.Session, application: Application) -> Plan:
    image = look_up_image(session, str(version.model["PrimaryContainer"]["Image"]))
    logs = found.logs_unknown and f"the logs' retention could not be set: {found.logs_unknown}"
    try:
        session.client("s3").head_object(**place_of(version.data_url))
        uploaded = True
    except (ClientError, BotoCoreError):
        uploaded = False
    steps = steps_to(version, found, uploaded=uploaded)
    changes = application.changes(found.endpoint_name, version.manifest)
    if changes:
        steps.append(Step(application.update(changes)))
    advice = application.advice(found.endpoint_name, version.manifest)
    notices = [text for text in (image, logs, advice) if text]
    return Plan(version, found, steps, notices, application, changes)


def delete(found: Found, session: boto3.Session, follow: Follow, *, logs: bool = False) -> None:
    """Delete an endpoint with all its versions and scaling, and its logs if asked.

    Archives and captured data in S3 stay: they record what was deployed and answered. A CloudError if AWS
    refuses a call, or the endpoint does not go in time.
    """
    with explained(f"deleting endpoint {found.endpoint_name}"):
        carry_out(steps_to_nothing(found, logs=logs), found, session, follow)


def carry_out(steps: Sequence[Step], found: Found, session: boto3.Session, follow: Follow) -> dict[str, Any]:
    """Take steps in their order; return the endpoint's last description, empty if it is gone.

    When one fails, those before it are undone backwards, but not what the endpoint may use: after an
    interruption or a timeout while it changes, which goes on, and after the new version serves.
    """
    way = _Way(found, session, follow)
    try:
        for number, step in enumerate(steps, 1):
            follow.progress(f"{number}/{len(steps)} {step.call.operation}", 0.0)
            way.take(step)
    except BaseException as error:
        way.give_up(error)
        raise
    return way.endpoint


class _Way:
    """The steps taken since the endpoint was last settled, and its description then."""

    def __init__(self, found: Found, session: boto3.Session, follow: Follow) -> None:
        self.endpoint: dict[str, Any] = found.endpoint or {}
        self._name, self._session, self._follow = found.endpoint_name, session, follow
        self._taken: list[Step] = []
        self._began = datetime.now(UTC) - CLOCKS_DIFFER_BY
        self._changing = False
        self._serves = ""

    def take(self, step: Step) -> None:
        self._taken.append(step)  # before it is sent: a call that is interrupted may have been made
        self._changing = step.settles
        try:
            self._send(step)
        except (ClientError, BotoCoreError) as error:
            # Without an answer, SageMaker may have begun.
            self._changing &= isinstance(error, ReadTimeoutError | ConnectionClosedError)
            if isinstance(error, ClientError):
                self._taken.pop()
            if not step.optional:
                raise
            self._follow.notice(f"{_text(step.call)} did not succeed: {aws_reason(error)}")
        if step.settles:
            self.endpoint = self._settle(step.serves)
            self._serves = step.serves
            self._changing = False
            self._taken.clear()

    def give_up(self, error: BaseException) -> None:
        if self._serves:
            self._follow.notice(f"version {self._serves} is in service; {self._follow.again} does the rest")
        if self._changing and isinstance(error, UnsettledError | KeyboardInterrupt | BotoCoreError):
            self._follow.notice(
                f"endpoint {self._name} may go on changing; `scones model status --endpoint-name "
                f"{self._name}` shows its state. What would undo it otherwise was not done: {self._left()}"
            )
            return
        try:
            while self._taken:
                self._undo(self._taken[-1])
                self._taken.pop()
        except KeyboardInterrupt:
            self._follow.notice(f"interrupted while undoing; not done: {self._left()}")
            raise

    def _left(self) -> str:
        return "; ".join(_text(step.undo) for step in reversed(self._taken) if step.undo) or "nothing"

    def _send(self, step: Step) -> None:
        parameters = step.call.parameters
        if step.upload:
            place, facts = (parameters["Bucket"], parameters["Key"]), parameters.get("Metadata", {})
            self._session.client("s3").upload_file(str(step.upload), *place, ExtraArgs={"Metadata": facts})
            return
        if "ResourceArn" in parameters:
            parameters = {**parameters, "ResourceArn": self.endpoint["EndpointArn"]}
        replace(step.call, parameters=parameters).send(self._session)

    def _settle(self, version: str) -> dict[str, Any]:
        settled = wait_until_settled(self._session, self._name, self._follow)
        if version:
            return confirm_version(self._session, settled, name=self._name, version=version)
        if settled:
            status = settled["EndpointStatus"]
            raise CloudError(f"endpoint {self._name} was not deleted, it is {status}: try again")
        return {}

    def _undo(self, step: Step) -> None:
        if step.undo is None:
            return
        try:
            if step.upload and self._is_used(step.call.parameters):
                return
            step.undo.send(self._session)
            if step.undo.operation == "DeleteEndpoint":
                wait_until_settled(self._session, self._name, self._follow)
        except (ClientError, BotoCoreError, CloudError) as error:
            if not (isinstance(error, ClientError) and is_missing(error)):
                self._follow.notice(f"{_text(step.undo)} did not succeed: {aws_reason(error)}")

    def _is_used(self, archive: dict[str, Any]) -> bool:
        """Return whether a model that was made meanwhile shares an archive, which is named by its content."""
        sagemaker: Any = self._session.client("sagemaker")
        pages = sagemaker.get_paginator("list_models").paginate(CreationTimeAfter=self._began)
        names = [model["ModelName"] for page in pages for model in page["Models"]]
        models = [sagemaker.describe_model(ModelName=name) for name in names]
        urls = {model.get("PrimaryContainer", {}).get("ModelDataUrl") for model in models}
        return f"s3://{archive['Bucket']}/{archive['Key']}" in urls


def _text(call: ApiCall) -> str:
    return " ".join([call.operation, *(text for text in call.parameters.values() if isinstance(text, str))])


def wait_until_settled(session: boto3.Session, name: str, follow: Follow) -> dict[str, Any] | None:
    """Wait while an endpoint changes; return its last description, or raise UnsettledError."""
    try:
        return poll(
            lambda: find_endpoint(session, name),
            until=lambda endpoint: endpoint is None or endpoint["EndpointStatus"] in SETTLED,
            timeout_seconds=follow.timeout_seconds,
            rhythm=follow.rhythm,
            waiting=lambda endpoint, s: follow.progress(str((endpoint or {}).get("EndpointStatus")), s),
        )
    except PollingTimeoutError as error:
        raise UnsettledError(
            f"endpoint {name} is still {error.last['EndpointStatus']} after {follow.timeout_seconds:.0f} s. "
            f"SageMaker continues: `scones model status --endpoint-name {name}` shows its state, "
            "--timeout waits longer"
        ) from error


def confirm_version(
    session: boto3.Session, endpoint: dict[str, Any] | None, *, name: str, version: str
) -> dict[str, Any]:
    """Make sure that a settled endpoint serves the version that was asked for.

    `InService` alone does not show it: after an update that failed, the endpoint is in service again on its
    old configuration. Only the configuration's name does.

    Raises:
        DeploymentError: it serves another version, or nothing.
        UnsettledError: it could be brought back to neither version.
    """
    if endpoint is None:
        raise DeploymentError(f"endpoint {name} was deleted while version {version} was being deployed")
    status, serving = endpoint["EndpointStatus"], endpoint.get("EndpointConfigName")
    if status == "InService" and serving == version:
        return endpoint
    reason = endpoint.get("FailureReason") or "SageMaker gave no reason"
    log = log_tail(session, endpoint_log_group(name))
    if status not in {"InService", "UpdateRollbackFailed"}:
        raise DeploymentError(f"endpoint {name} is {status}, nothing serves: {reason}\n{log}")
    kind = DeploymentError if status == "InService" else UnsettledError
    raise kind(
        f"version {version} failed and was rolled back; endpoint {name} is {status} on {serving}: "
        f"{reason}\n{log}"
    )
