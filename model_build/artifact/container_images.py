"""Image URIs of the AWS Deep Learning Containers that serve and train the model.

Source: AWS Deep Learning Containers, "Region Availability" and the changelogs of the `ray` and `pytorch`
images, read in November 2026. For a newer tag or a region that is missing here, every command accepts a
complete image URI.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_build.errors import RefusedError

# The account that owns AWS's Deep Learning Containers; the same one in most regions.
CLASSIC_ACCOUNT = "763104351884"
CLASSIC_REGIONS = frozenset(
    {
        "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1",
        "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
        "us-east-1", "us-east-2", "us-west-1", "us-west-2",
    }
)  # fmt: skip
OTHER_ACCOUNTS = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ca-west-1": "204538143572",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "mx-central-1": "637423239942",
}

TRAINING_IMAGE = "pytorch:2.13-cpu-amzn2023-sagemaker"


@dataclass(frozen=True)
class ServingImage:
    """A way to serve `inference.py`: an image, its environment and the contents of the archive.

    Attributes:
        tag: repository and tag in AWS's registry.
        environment: environment variables of the container.
        archive_members: files that the image looks for in `model.tar.gz`, relative to its root.
    """

    tag: str
    environment: dict[str, str]
    archive_members: tuple[str, ...]


# One thread per request: the network is small, and the servers run requests in parallel.
_COMMON = {"OMP_NUM_THREADS": "1"}

SERVING_IMAGES = {
    # The image that AWS maintains: Ray Serve behind an adapter for /ping and /invocations.
    "ray": ServingImage(
        tag="ray:serve-ml-sagemaker-cpu-v1.5",
        environment=_COMMON,
        archive_members=("config.yaml", "deployment.py", "code/inference.py"),
    ),
    # The last PyTorch image with TorchServe (end of patches: 2026-06-30), for those who depend on it.
    "torchserve": ServingImage(
        tag="pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker",
        environment=_COMMON
        | {
            "SAGEMAKER_PROGRAM": "torchserve_program.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        },
        archive_members=("code/inference.py", "code/torchserve_program.py"),
    ),
}
DEFAULT_SERVING_IMAGE = "ray"


def registry(region: str) -> str:
    """Return the host of AWS's container registry, as `763104351884.dkr.ecr.eu-west-1.amazonaws.com`.

    Raises:
        RefusedError: the region is not in the table.
    """
    account = CLASSIC_ACCOUNT if region in CLASSIC_REGIONS else OTHER_ACCOUNTS.get(region)
    if account is None:
        raise RefusedError(
            f"no container registry is known for the region {region!r}; give a complete image URI "
            "with --image (AWS lists each region's account under 'Region Availability' of its Deep Learning "
            "Containers)"
        )
    return f"{account}.dkr.ecr.{region}.amazonaws.com"


def serving_image(name: str, region: str) -> tuple[str, ServingImage]:
    """Return the image URI for a value of `--image`, and what the image needs.

    Args:
        name: `ray`, `torchserve`, or a complete image URI (it contains a slash), for example that of
            SageMaker's built-in image-classification algorithm; such an image gets the archive as it is.
        region: where the endpoint will run.

    Raises:
        RefusedError: the name is none of these.
    """
    if name in SERVING_IMAGES:
        image = SERVING_IMAGES[name]
        return f"{registry(region)}/{image.tag}", image
    if "/" in name:
        return name, ServingImage(tag=name, environment={}, archive_members=())
    raise RefusedError(f"--image {name}: give {', '.join(SERVING_IMAGES)} or a complete image URI")


def training_image(name: str | None, region: str) -> str:
    """Return the image URI of a training job: AWS's current PyTorch image for CPUs, or a custom one."""
    return name or f"{registry(region)}/{TRAINING_IMAGE}"
