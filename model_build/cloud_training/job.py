"""Train in a SageMaker training job: check the request, upload, run, wait, download the result, measure it.

The job runs the same training as `model_build train`, on AWS's PyTorch image and on images in S3. Its result
is measured here on the archives' test images, which the job never sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlparse

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from commandline.polling import DEFAULT_RHYTHM, PollingTimeoutError, Rhythm, poll
from commandline.terminal import say, waiting_bar
from model_build.archive.loaded_model import open_model
from model_build.cloud_training.upload import upload_by_class
from model_build.data.cifar import Archive, load_archive
from model_build.endpoint.aws import (
    BUCKET_NAME,
    ROLE_ARN,
    find_log_group,
    log_tail,
    new_session,
    region_of,
    retention_calls,
)
from model_build.endpoint.found import version_name
from model_build.endpoint.wanted import INSTANCE_TYPE
from model_build.errors import CloudError, RefusedError
from model_build.evaluation.report import evaluate
from model_build.training.recipe import DEFAULT_CLASSES, Bounds, Recipe

DEFAULT_INSTANCE_TYPE: Final = "ml.c5.xlarge"
MAX_RUNTIME: Final = Bounds(60, 28 * 86_400)  # seconds; SageMaker's own limit is 28 days
MIN_CLASSES: Final = 2


@dataclass(frozen=True)
class TrainRequest:
    """One training job. An object that exists is valid.

    Raises:
        RefusedError: AWS would refuse it; names the option and what to do instead.
    """

    data: Sequence[Path]
    role_arn: str
    bucket: str
    classes: tuple[str, ...] = DEFAULT_CLASSES
    recipe: Recipe = field(default_factory=Recipe)
    instance_type: str = DEFAULT_INSTANCE_TYPE
    spot: bool = False
    max_runtime_seconds: int = 3600
    image: str | None = None  # image URI; None for AWS's current PyTorch image
    output: Path = Path("build/sagemaker-model")

    def __post_init__(self) -> None:
        """Check every field."""
        if len(self.classes) < MIN_CLASSES or len(set(self.classes)) != len(self.classes):
            raise RefusedError(f"--classes {','.join(self.classes)}: give two or more different names")
        if not ROLE_ARN.fullmatch(self.role_arn):
            raise RefusedError(
                f"--role-arn {self.role_arn!r} is not a role's ARN (arn:aws:iam::<account>:role/<name>); "
                "`sam deploy --template-file model_build/role.yaml --guided` makes one and prints it"
            )
        if not BUCKET_NAME.fullmatch(self.bucket):
            raise RefusedError(
                f"--bucket {self.bucket!r}: give a bucket's name, without s3:// and without a path"
            )
        if not INSTANCE_TYPE.fullmatch(self.instance_type):
            raise RefusedError(
                f"--instance-type {self.instance_type!r}: give one such as {DEFAULT_INSTANCE_TYPE}"
            )
        if self.image is not None and "/" not in self.image:
            raise RefusedError(f"--image {self.image!r}: give a whole image URI")
        MAX_RUNTIME.require("max-runtime", self.max_runtime_seconds)

    def hyperparameters(self) -> dict[str, str]:
        """Return the job's hyperparameters apart from the data: what differs from the defaults, as text."""
        return {"classes": ",".join(self.classes), **self.recipe.changes()}


TRAINING_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
JOB_NAME: Final = "scones-training"
USUAL_SECONDS: Final = 900.0
ENDED: Final = frozenset({"Completed", "Failed", "Stopped"})
OVERHEAD_SECONDS: Final = 3600.0  # for what is not training: starting the instance, upload and download


@dataclass(frozen=True)
class TrainResult:
    """The result of a training job."""

    job_name: str
    model_data_url: str
    billed_seconds: int | None  # what SageMaker bills; None if it does not say
    metrics: dict[str, Any]


def train(request: TrainRequest, *, session: boto3.Session | None = None) -> TrainResult:
    """Upload the data, run the job, wait for it, download and measure the result.

    Args:
        session: whose account and region; None for the standard environment and configuration.

    Raises:
        RefusedError: the request cannot work.
        CloudError: AWS refused a call, or the job failed (with the reason and the log).
        ModuleNotFoundError: the SageMaker Python SDK is not installed.
    """
    session = session or new_session()
    region_of(session)
    archives = [load_archive(path) for path in request.data]
    _check_classes(request, archives)
    from model_build.cloud_training import model_trainer  # noqa: PLC0415 - needs the SDK, which is slow

    try:
        if notice := create_with_retention(session, TRAINING_LOG_GROUP):
            say(f"notice: {notice}")
        prefix = f"training/data/{version_name(JOB_NAME)}"
        data_url = upload_by_class(archives, request.bucket, prefix, session)
        job_name = model_trainer.start(request, JOB_NAME, data_url, session=session)
        job = wait_for_job(session, job_name, request.max_runtime_seconds)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"training on SageMaker failed: {aws_reason(error)}") from error
    model_data_url = job["ModelArtifacts"]["S3ModelArtifacts"]
    model = _download(session, model_data_url, request.output / "model.tar.gz")
    return TrainResult(
        job_name=job_name,
        model_data_url=model_data_url,
        billed_seconds=job.get("BillableTimeInSeconds"),
        metrics=_measure(model, request.data),
    )


def create_with_retention(session: boto3.Session, group: str) -> str:
    """Create a log group whose entries expire; leave one that exists as it is: it may be shared.

    Returns:
        Why it could not be done, for a notice; empty if it was, or the group exists.
    """
    try:
        if find_log_group(session, group) is None:
            for call in retention_calls(group, None):
                call.send(session)
    except (ClientError, BotoCoreError) as error:
        return f"no retention could be set for the log group {group}: {aws_reason(error)}"
    return ""


def _measure(model: Path, data: Sequence[Path]) -> dict[str, Any]:
    with open_model(model) as loaded:
        return evaluate(loaded, data).report.to_json()


def _check_classes(request: TrainRequest, archives: list[Archive]) -> None:
    known = {name for archive in archives for name in archive.present}
    if missing := [label for label in request.classes if label not in known]:
        raise RefusedError(f"--classes {', '.join(missing)}: the data has {', '.join(sorted(known))}")


def wait_for_job(
    session: boto3.Session, job_name: str, max_runtime_seconds: float, rhythm: Rhythm = DEFAULT_RHYTHM
) -> dict[str, Any]:
    """Wait until a job has completed; return its description.

    Raises:
        CloudError: the job failed, was stopped, or did not end in time.
        botocore.exceptions.ClientError: AWS refused a call.
    """
    sagemaker = session.client("sagemaker")
    with waiting_bar(job_name, USUAL_SECONDS) as show:
        try:
            job = poll(
                lambda: dict(sagemaker.describe_training_job(TrainingJobName=job_name)),
                until=lambda answer: answer["TrainingJobStatus"] in ENDED,
                timeout_seconds=2 * max_runtime_seconds + OVERHEAD_SECONDS,
                rhythm=rhythm,
                waiting=lambda answer, seconds: show(str(answer["SecondaryStatus"]), seconds),
            )
        except PollingTimeoutError as error:
            raise CloudError(f"training job {job_name} has not ended after {error.seconds:.0f} s") from error
    if job["TrainingJobStatus"] == "Completed":
        return job
    reason = job.get("FailureReason") or job.get("SecondaryStatus", "SageMaker gave no reason")
    raise CloudError(
        f"training job {job_name} is {job['TrainingJobStatus']}: {reason}\n"
        f"{log_tail(session, TRAINING_LOG_GROUP, job_name)}"
    )


def _download(session: boto3.Session, url: str, target: Path) -> Path:
    parts = urlparse(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        session.client("s3").download_file(parts.netloc, parts.path.lstrip("/"), str(target))
    except (ClientError, BotoCoreError) as error:
        raise CloudError(
            f"the job completed, but its model {url} cannot be downloaded: {aws_reason(error)}"
        ) from error
    return target
