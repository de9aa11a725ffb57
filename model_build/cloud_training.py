"""Train in a SageMaker training job: check the request, upload, run, wait, download the result, measure it.

The job runs the same training as `scones model train`, on AWS's PyTorch image and on images in S3. Its result
is measured here on the archives' test images, which the job never sees. S3 bills every object that is written
and read, and a job downloads few large files faster than many small ones: so the images of a class are a tar.
"""

import importlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from PIL import Image

from commandline.aws import aws_reason, open_session
from commandline.polling import DEFAULT_RHYTHM, PollingTimeoutError, Rhythm, poll
from commandline.terminal import progress, say, waiting_bar
from model_build.archive.container_images import training_image
from model_build.archive.loaded_model import open_model
from model_build.archive.prepare import download
from model_build.data.cifar import Archive, load_archive
from model_build.endpoint.aws import (
    explained,
    find_log_group,
    log_tail,
    require_role_and_bucket,
    retention_calls,
)
from model_build.endpoint.found import version_name
from model_build.endpoint.steps import INSTANCE_TYPE
from model_build.errors import CloudError, RefusedError
from model_build.evaluation.report import evaluate
from model_build.training.recipe import Recipe

TRAINING_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
JOB_NAME: Final = "scones-training"
PACKAGES: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class TrainRequest:
    """One training job; a RefusedError names what AWS would refuse, and what to give instead."""

    data: Sequence[Path]
    role_arn: str
    bucket: str
    classes: tuple[str, ...]
    recipe: Recipe
    instance_type: str
    max_runtime_seconds: int
    output: Path
    spot: bool = False
    image: str | None = None  # image URI; None for AWS's current PyTorch image

    def __post_init__(self) -> None:
        """Check every field."""
        if len(self.classes) == 1:
            raise RefusedError(f"--classes {self.classes[0]}: give two or more")
        require_role_and_bucket(self.role_arn, self.bucket)
        if not INSTANCE_TYPE.fullmatch(self.instance_type):
            raise RefusedError(f"--instance-type {self.instance_type!r}: give one such as ml.c5.xlarge")
        if self.image is not None and "/" not in self.image:
            raise RefusedError(f"--image {self.image!r}: give a whole image URI")

    def hyperparameters(self) -> dict[str, str]:
        """Return the job's hyperparameters apart from the data: what differs from the defaults, as text."""
        return {"classes": ",".join(self.classes), **self.recipe.changes()}


@dataclass(frozen=True)
class TrainResult:
    """The result of a training job."""

    job_name: str
    model_data_url: str
    billed_seconds: int | None  # what SageMaker bills; None if it does not say
    metrics: dict[str, Any]


def train(request: TrainRequest, *, session: boto3.Session | None = None) -> TrainResult:
    """Upload the data, run the job, wait for it, download and measure the result.

    A RefusedError if the request cannot work; a CloudError if AWS refused a call, or the job failed.
    """
    session = session or open_session()
    if not session.region_name:  # S3 would take the data without one
        raise NoRegionError
    archives = [load_archive(path) for path in request.data]
    known = {name for archive in archives for name in archive.present}
    if missing := [label for label in request.classes if label not in known]:
        raise RefusedError(f"--classes {', '.join(missing)}: the data has {', '.join(sorted(known))}")
    # Takes seconds; where it is missing, before anything is uploaded.
    importlib.import_module("sagemaker.train")
    with explained("training on SageMaker"):
        create_log_group(session)
        prefix = f"training/data/{version_name(JOB_NAME)}"
        data_url = upload_by_class(archives, request.bucket, prefix, session)
        job_name = start(request, data_url, session)
        job = wait_for_job(session, job_name, request.max_runtime_seconds)
    model_data_url = job["ModelArtifacts"]["S3ModelArtifacts"]
    with open_model(download(model_data_url, request.output / "model.tar.gz", session)) as loaded:
        metrics = evaluate(loaded, request.data).to_json()
    return TrainResult(job_name, model_data_url, job.get("BillableTimeInSeconds"), metrics)


def create_log_group(session: boto3.Session) -> None:
    """Create the jobs' log group with entries that expire; leave one that exists as it is: it is shared."""
    try:
        if find_log_group(session, TRAINING_LOG_GROUP) is None:
            for call in retention_calls(TRAINING_LOG_GROUP, None):
                call.send(session)
    except (ClientError, BotoCoreError) as error:
        say(f"notice: no retention could be set for the log group {TRAINING_LOG_GROUP}: {aws_reason(error)}")


def wait_for_job(
    session: boto3.Session, job_name: str, max_runtime_seconds: float, rhythm: Rhythm = DEFAULT_RHYTHM
) -> dict[str, Any]:
    """Wait until a job has completed; a CloudError if it failed, was stopped, or did not end in time."""
    sagemaker = session.client("sagemaker")
    with waiting_bar(job_name, 900.0) as show:
        try:
            job = poll(
                lambda: dict(sagemaker.describe_training_job(TrainingJobName=job_name)),
                until=lambda answer: answer["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"},
                # It may wait for capacity as long; an hour is for starting the instance, upload and download.
                timeout_seconds=2 * max_runtime_seconds + 3600,
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


def upload_by_class(archives: Sequence[Archive], bucket: str, prefix: str, session: boto3.Session) -> str:
    """Upload the archives' training images: a folder per class, with a tar of images for each archive."""
    s3 = session.client("s3")
    for number, archive in enumerate(archives):
        found = sorted(set(archive.train.labels.tolist()))
        for index in progress(found, total=len(found), title=f"uploading {archive.path.name}", unit="class"):
            key = f"{prefix}/{archive.classes[index]}/{number}.tar"
            s3.put_object(Bucket=bucket, Key=key, Body=tar_of_class(archive, index))
    return f"s3://{bucket}/{prefix}"


def tar_of_class(archive: Archive, index: int) -> bytes:
    """Return a tar with the training images of a class.

    Images that were JPEG files are encoded as JPEG, all others without loss: training tells them apart by the
    type of the file, so that the network cannot learn "JPEG or not" instead of what an image shows.
    """
    kind, options = ("JPEG", {"quality": 95, "subsampling": 0}) if archive.decoded_jpeg else ("PNG", {})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, pixels in enumerate(archive.train.of(index)):
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, kind, **options)
            info = tarfile.TarInfo(f"{number:05d}.{kind.lower()}")
            info.size = content.tell()
            content.seek(0)
            tar.addfile(info, content)
    return packed.getvalue()


def copy_source(folder: Path) -> None:
    """Copy the packages that training needs into a folder; of the shipped model, it copies the detector."""
    others = shutil.ignore_patterns("__pycache__", "*.md", "role.yaml", "default_model")
    for name in ("commandline", "model_build"):
        shutil.copytree(PACKAGES / name, folder / name, ignore=others)
    detector = Path("model_build", "default_model", "detector.onnx")
    (folder / detector).parent.mkdir()
    shutil.copyfile(PACKAGES / detector, folder / detector)


def start(request: TrainRequest, data_url: str, session: boto3.Session) -> str:
    """Upload the code and start the job by the SDK's ModelTrainer (v3); return the job's whole name."""
    from sagemaker.core.helper.session_helper import Session  # noqa: PLC0415
    from sagemaker.core.training import configs  # noqa: PLC0415
    from sagemaker.train import ModelTrainer  # noqa: PLC0415

    silent = {"SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}  # it sends by default
    config = {"SchemaVersion": "1.0", **silent}
    sdk = Session(boto_session=session, default_bucket=request.bucket, sagemaker_config=config)
    # The SDK refuses roles without rights on the account's networks, which a job outside a VPC never uses.
    # Only this variable turns that off.
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")
    seconds = request.max_runtime_seconds
    # The job may wait for spare capacity as long again as it may run.
    wait = {"max_wait_time_in_seconds": 2 * seconds} if request.spot else {}
    with tempfile.TemporaryDirectory(prefix="training-source-") as folder:
        copy_source(Path(folder))
        trainer = ModelTrainer(
            training_image=training_image(request.image, str(session.region_name)),
            role=request.role_arn,
            base_job_name=JOB_NAME,
            input_s3_key_prefix="training/input",
            sagemaker_session=sdk,
            source_code=configs.SourceCode(
                source_dir=folder,
                command="python3 -m model_build.train",
                requirements="model_build/training_requirements.txt",
            ),
            compute=configs.Compute(
                instance_type=request.instance_type,
                instance_count=1,
                enable_managed_spot_training=request.spot,
            ),
            stopping_condition=configs.StoppingCondition(max_runtime_in_seconds=seconds, **wait),
            output_data_config=configs.OutputDataConfig(s3_output_path=f"s3://{request.bucket}/training"),
            # The SDK adds channels of its own, for code: without `data`, training would read images there.
            hyperparameters={"data": "/opt/ml/input/data/train", **request.hyperparameters()},
        )
        data = configs.InputData(channel_name="train", data_source=data_url)
        trainer.train(input_data_config=[data], wait=False, logs=False)
    return str(trainer._latest_training_job.training_job_name)  # noqa: SLF001 - the SDK's documented way
