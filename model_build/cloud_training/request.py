"""Trains the model in a SageMaker training job: the very train.py of a run here, on images in S3.

Needs the SageMaker Python SDK (v3), which has an environment of its own, and a role and bucket as
model_build/role.yaml makes them. The images are uploaded by class, the job runs on AWS's PyTorch image, and
its result is fetched and measured on the archives' test images, which the job never sees.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image
from tqdm import tqdm

from model_build.data.cifar import load_archive
from model_build.data.download import training_archives
from model_build.endpoint.aws import region_of
from model_build.endpoint.logs import log_tail
from model_build.endpoint.progress import waiting_bar
from model_build.endpoint.versions import version_name
from model_build.errors import CloudError, RefusedError
from model_build.evaluation.report import evaluate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from model_build.data.cifar import Archive

__all__ = ["TrainRequest", "TrainResult", "add_arguments", "run", "train"]

JOB_NAME = "scones-training"
DEFAULT_INSTANCE_TYPE = "ml.c5.xlarge"
USUAL_SECONDS = 900.0
UPLOADS_AT_A_TIME = 16
JPEG_QUALITY = 95
LOG_GROUP = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True)
class TrainRequest:
    """One training job, as a person asks for it.

    Attributes:
        data: CIFAR archives; their training images are uploaded, their test images measure the result.
        role_arn: the role that the job runs under.
        bucket: for data, code and the result.
        classes: what to tell apart, with commas between.
        hyperparameters: other options of train.py, by name.
        instance_type: what the job runs on.
        spot: use spare capacity, at about a third of the price; an interrupted job starts anew.
        max_runtime_seconds: SageMaker stops the job then.
        image: image URI; None takes AWS's current PyTorch image.
        output: folder that the result is fetched into.
    """

    data: Sequence[Path]
    role_arn: str
    bucket: str
    classes: str = "bicycle,motorcycle"
    hyperparameters: dict[str, str] = field(default_factory=dict)
    instance_type: str = DEFAULT_INSTANCE_TYPE
    spot: bool = False
    max_runtime_seconds: int = 3600
    image: str | None = None
    output: Path = Path("build/sagemaker-model")


@dataclass(frozen=True)
class TrainResult:
    """What a training job left behind.

    Attributes:
        job_name: the job.
        model_data_url: the trained model in S3; `deploy --model` takes it as it is.
        billed_seconds: what SageMaker charges for; None when it does not say.
        metrics: the model's figures on the archives' test images, as `evaluate --json` prints them.
    """

    job_name: str
    model_data_url: str
    billed_seconds: int | None
    metrics: dict[str, Any]


def train(request: TrainRequest, *, session: boto3.Session | None = None) -> TrainResult:
    """Uploads the data, runs the job, waits for it, fetches and measures the result.

    Args:
        request: what to train and how.
        session: whose account and region; None takes the standard environment and configuration.

    Raises:
        RefusedError: the request can't work.
        CloudError: the SDK is missing, AWS refused a call, or the job failed (with the reason and the log).
    """
    session = session or boto3.Session()
    region_of(session)
    archives = [load_archive(path) for path in request.data]
    labels = [name.strip() for name in request.classes.split(",")]
    known = {name for archive in archives for name in archive.present}
    if missing := [label for label in labels if label not in known]:
        raise RefusedError(f"--classes {', '.join(missing)}: the data has {', '.join(sorted(known))}")
    job_module = _job_module()
    try:
        data_url = upload_by_class(archives, request.bucket, session)
        job_name = job_module.start(request, data_url, session=session)
        job = _wait(session, job_name)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"training on SageMaker failed: {error}") from error
    model_data_url = job["ModelArtifacts"]["S3ModelArtifacts"]
    model = _fetch(session, model_data_url, request.output / "model.tar.gz")
    return TrainResult(
        job_name=job_name,
        model_data_url=model_data_url,
        billed_seconds=job.get("BillableTimeInSeconds"),
        metrics=evaluate(model, request.data).figures,
    )


# ---------------------------------------------------------------------------------------------- data


def upload_by_class(archives: Sequence[Archive], bucket: str, session: boto3.Session) -> str:
    """Uploads the archives' training images, a folder per class, which is how train.py reads a channel.

    Returns:
        The `s3://` prefix of the folders.
    """
    prefix = f"training/data/{version_name(JOB_NAME)}"
    s3 = session.client("s3")

    def upload(item: tuple[str, bytes]) -> None:
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{item[0]}", Body=item[1])

    total = sum(len(archive.train.labels) for archive in archives)
    with ThreadPoolExecutor(UPLOADS_AT_A_TIME) as pool:
        uploads = (done for archive in archives for done in pool.map(upload, files_by_class(archive)))
        for _ in tqdm(uploads, total=total, desc="uploading images", unit="image", disable=None):
            pass
    return f"s3://{bucket}/{prefix}"


def files_by_class(archive: Archive) -> Iterator[tuple[str, bytes]]:
    """An archive's training images as files: name below the channel's folder, and content."""
    # Images that went through JPEG once are stored as JPEG, all others without loss: train.py tells them
    # apart by the file's type, so that the network can't learn 'JPEG or not' instead of what an image shows.
    kind, suffix = ("JPEG", "jpg") if archive.decoded_jpeg else ("PNG", "png")
    options = {"quality": JPEG_QUALITY, "subsampling": 0} if kind == "JPEG" else {}
    for index, label in enumerate(archive.train.labels.tolist()):
        content = io.BytesIO()
        Image.fromarray(archive.train.images[index]).save(content, kind, **options)
        yield f"{archive.classes[label]}/{index:05d}.{suffix}", content.getvalue()


def _fetch(session: boto3.Session, url: str, target: Path) -> Path:
    parts = urlparse(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        session.client("s3").download_file(parts.netloc, parts.path.lstrip("/"), str(target))
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"the job is done, but its model {url} can't be fetched: {error}") from error
    return target


# ---------------------------------------------------------------------------------------------- the job


def _job_module() -> Any:
    """The part that needs the SageMaker Python SDK, which takes seconds to import and is not always there."""
    # The SDK refuses roles without rights on the account's networks, which a job outside of a VPC never uses.
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")
    try:
        return importlib.import_module("model_build.cloud_training.job")
    except ModuleNotFoundError as error:
        raise CloudError(
            f"{error.name} is missing: `train --sagemaker` needs the SageMaker Python SDK, which has an "
            "environment of its own. `make .venv/sagemaker/.made` makes it, then run "
            ".venv/sagemaker/bin/python -m model_build train --sagemaker …"
        ) from error


def _wait(session: boto3.Session, job_name: str, sleep: Any = time.sleep) -> dict[str, Any]:
    """Waits for the job, showing what it does; returns its description."""
    waited = 0.0
    with waiting_bar(job_name, USUAL_SECONDS) as progress:
        while True:
            job = dict(session.client("sagemaker").describe_training_job(TrainingJobName=job_name))
            if job["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"}:
                break
            progress(str(job["SecondaryStatus"]), waited)
            pause = min(15.0, max(0.2, waited / 10))
            sleep(pause)
            waited += pause
    if job["TrainingJobStatus"] == "Completed":
        return job
    reason = job.get("FailureReason") or job.get("SecondaryStatus", "SageMaker gave no reason")
    raise CloudError(
        f"training job {job_name} is {job['TrainingJobStatus']}: {reason}\n"
        f"{log_tail(session, LOG_GROUP, job_name)}"
    )


# ---------------------------------------------------------------------------------------------- command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `model_build train --sagemaker`."""
    parser.add_argument("--sagemaker", action="store_true", help="train in a SageMaker training job")
    parser.add_argument(
        "--data", type=Path, nargs="+", action="extend", metavar="ARCHIVE",
        help="CIFAR archives; without it CIFAR-100 is found or downloaded, and CIFAR-10 taken if it is there",
    )  # fmt: skip
    parser.add_argument("--role-arn", required=True, help="the job's role; model_build/role.yaml makes one")
    parser.add_argument("--bucket", required=True, help="for data, code and the trained model")
    parser.add_argument("--classes", default=TrainRequest.classes, metavar="NAMES", help="what to tell apart")
    parser.add_argument(
        "--hyperparameter", action="append", default=[], metavar="NAME=VALUE",
        help="any other option of train.py, such as epochs=80; may be given several times",
    )  # fmt: skip
    parser.add_argument("--instance-type", default=DEFAULT_INSTANCE_TYPE, metavar="T", help="runs the job")
    parser.add_argument(
        "--spot", action="store_true", help="use spare capacity, at about a third of the price"
    )
    parser.add_argument(
        "--max-runtime",
        type=int,
        default=3600,
        metavar="S",
        help="seconds after which SageMaker stops the job",
    )
    parser.add_argument(
        "--image", metavar="URI", help="another training image than AWS's current PyTorch one"
    )
    parser.add_argument(
        "--output", type=Path, default=TrainRequest.output, help="the model is fetched into it"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `model_build train --sagemaker`."""
    request = TrainRequest(
        data=args.data or training_archives(),
        role_arn=args.role_arn,
        bucket=args.bucket,
        classes=args.classes,
        hyperparameters=_hyperparameters(args.hyperparameter),
        instance_type=args.instance_type,
        spot=args.spot,
        max_runtime_seconds=args.max_runtime,
        image=args.image,
        output=args.output,
    )
    result = train(request)
    if args.json:
        print(json.dumps(asdict(result)))
        return 0
    print(f"training job {result.job_name} is done")
    print(f"model     {result.model_data_url}")
    print(f"accuracy  {result.metrics['accuracy']:.4f} on {result.metrics['images']} test images")
    print(f"deploy    python -m model_build deploy --model {result.model_data_url} …")
    return 0


def _hyperparameters(given: Sequence[str]) -> dict[str, str]:
    """The `NAME=VALUE` options as hyperparameters; SageMaker hands every value over as text."""
    if wrong := [item for item in given if "=" not in item]:
        raise RefusedError(f"--hyperparameter {wrong[0]}: give NAME=VALUE")
    return {name.strip(): value for name, value in (item.split("=", 1) for item in given)}
