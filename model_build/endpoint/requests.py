"""What a person asks for with `model_build deploy`, refused here if AWS would refuse it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_build.artifact.container_images import DEFAULT_SERVING_IMAGE, OWN, RAY
from model_build.errors import RefusedError

DEFAULT_INSTANCE_TYPE: Final = "ml.m5.large"
# CreateEndpoint's own pattern; the timestamp that names a version takes 20 of SageMaker's 63 characters.
ENDPOINT_NAME: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
MAX_ENDPOINT_NAME: Final = 43
ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/?[\w+=,.@/-]+")
BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
INSTANCE_TYPE: Final = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
SERVERLESS_MEMORY_MB: Final = (1024, 2048, 3072, 4096, 5120, 6144)
MAX_SERVERLESS_CONCURRENCY: Final = 200
ALL_PERCENT: Final = 100


@dataclass(frozen=True)
class DeployRequest:
    """One deployment. An object that exists is valid.

    Attributes:
        model: model folder, `model.tar.gz`, or the `s3://` URI of one (a training job's result).
        endpoint_name: at most 43 letters, digits and hyphens.
        role_arn: the role that the container runs under.
        bucket: where the archive is uploaded, and captured data written.
        instance_type: real-time endpoint on this instance; None with `serverless_memory_mb`, else the default
            type.
        instance_count: instances at the start; the minimum if the endpoint scales.
        max_instances: scale out to this many; None keeps the number fixed.
        invocations_per_instance: requests a minute and instance that scaling aims at.
        serverless_memory_mb: serverless endpoint with this memory, 1024 to 6144 in steps of 1024.
        serverless_concurrency: how many requests a serverless endpoint answers at a time, 1 to 200.
        capture: keep requests and responses in `s3://<bucket>/capture/` (real-time only).
        capture_percent: share of the requests that is kept, 1 to 100.
        image: `ray`, `own` or an image URI.

    Raises:
        RefusedError: AWS would refuse it; names the option and what to do instead.
    """

    model: Path | str
    endpoint_name: str
    role_arn: str
    bucket: str
    instance_type: str | None = None
    instance_count: int = 1
    max_instances: int | None = None
    invocations_per_instance: int = 1000
    serverless_memory_mb: int | None = None
    serverless_concurrency: int = 5
    capture: bool = False
    capture_percent: int = ALL_PERCENT
    image: str = DEFAULT_SERVING_IMAGE

    def __post_init__(self) -> None:
        """Check every field."""
        _check_names(self)
        if self.serverless:
            _check_serverless(self)
        else:
            _check_instances(self)
        if not 1 <= self.capture_percent <= ALL_PERCENT:
            raise RefusedError(f"--capture-percent {self.capture_percent}: give 1 to {ALL_PERCENT}")

    @property
    def account(self) -> str:
        """The account of the role, which is also that of the endpoint."""
        return self.role_arn.split(":")[4]

    @property
    def serverless(self) -> bool:
        """Whether the endpoint runs without instances."""
        return self.serverless_memory_mb is not None


def _check_names(request: DeployRequest) -> None:
    name = request.endpoint_name
    if not ENDPOINT_NAME.fullmatch(name) or len(name) > MAX_ENDPOINT_NAME:
        raise RefusedError(
            f"--endpoint-name {name!r}: give 1 to {MAX_ENDPOINT_NAME} letters, digits and hyphens, with a "
            "letter or digit at both ends (a timestamp is added for each version, and SageMaker allows "
            "63 in all)"
        )
    if not ROLE_ARN.fullmatch(request.role_arn):
        raise RefusedError(
            f"--role-arn {request.role_arn!r} is not a role's ARN (arn:aws:iam::<account>:role/<name>); "
            "`sam deploy --template-file model_build/role.yaml --guided` makes one and prints it"
        )
    if not BUCKET_NAME.fullmatch(request.bucket):
        raise RefusedError(
            f"--bucket {request.bucket!r}: give a bucket's name, without s3:// and without a path"
        )


def _check_serverless(request: DeployRequest) -> None:
    if request.instance_type:
        raise RefusedError("--instance-type and --serverless-memory exclude each other: omit one")
    if request.image == RAY:
        raise RefusedError(
            f"--image {RAY} does not start on a serverless endpoint, which has no /dev/shm: give --image "
            f"{OWN} (see `model_build image --help`), or --instance-type instead of --serverless-memory"
        )
    if request.capture:
        raise RefusedError(
            "a serverless endpoint can't capture data: omit --capture, or give --instance-type "
            f"(such as {DEFAULT_INSTANCE_TYPE}) instead of --serverless-memory"
        )
    if request.max_instances is not None:
        raise RefusedError(
            "a serverless endpoint scales by itself: omit --max-instances "
            "(--serverless-concurrency is its limit)"
        )
    if request.serverless_memory_mb not in SERVERLESS_MEMORY_MB:
        raise RefusedError(
            f"--serverless-memory {request.serverless_memory_mb}: "
            f"give {', '.join(map(str, SERVERLESS_MEMORY_MB))}"
        )
    if not 1 <= request.serverless_concurrency <= MAX_SERVERLESS_CONCURRENCY:
        raise RefusedError(
            f"--serverless-concurrency {request.serverless_concurrency}: "
            f"give 1 to {MAX_SERVERLESS_CONCURRENCY}"
        )


def _check_instances(request: DeployRequest) -> None:
    if request.instance_type is not None and not INSTANCE_TYPE.fullmatch(request.instance_type):
        raise RefusedError(
            f"--instance-type {request.instance_type!r}: give one such as {DEFAULT_INSTANCE_TYPE}"
        )
    if request.instance_count < 1:
        raise RefusedError(
            f"--instance-count {request.instance_count}: give 1 or more (an endpoint can't be stopped; "
            "`model_build delete` ends its cost, --serverless-memory costs nothing while idle)"
        )
    if request.max_instances is not None and request.max_instances < request.instance_count:
        raise RefusedError(
            f"--max-instances {request.max_instances} is below --instance-count {request.instance_count}: "
            "give as many or more"
        )
    if request.invocations_per_instance < 1:
        raise RefusedError(f"--invocations-per-instance {request.invocations_per_instance}: give 1 or more")
