"""The container images that serve and train the model, and the registries of Amazon ECR that have them.

Source of tags and registries: `image_uri_config/` of the SageMaker Python SDK 3.27 (ray-serve.json and
pytorch-amzn2023.json; a test compares them). Every command also accepts a complete image URI.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws import Session, aws_reason
from model_build.archive import own_image
from model_build.archive.serving_packages import Target
from model_build.errors import RefusedError

TRAINING_IMAGE: Final = "pytorch:2.13-cpu-amzn2023-sagemaker"
_MOST_REGIONS: Final = (
    "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1",
    "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1",
    "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
ACCOUNTS: Final = {
    **dict.fromkeys(_MOST_REGIONS, "763104351884"),
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-2": "380420809688",
    "eu-isoe-west-1": "371248457586",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "eusc-de-east-1": "204133271717",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "me-west-1": "124382933778",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
    "us-iso-east-1": "886529160074",
    "us-isob-east-1": "094389454867",
    "us-isof-east-1": "303241398832",
    "us-isof-south-1": "454834333376",
}
"""The account that owns the AWS Deep Learning Containers, by region."""

# Graviton: a `g` right after the generation, as in ml.m6g.large and ml.c7gn.xlarge; not in ml.g4dn.xlarge.
_ARM_INSTANCE: Final = re.compile(r"ml\.[a-z]+\d+g[a-z]*\..+")
_ECR_IMAGE: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z0-9.-]+"
    r"/(?P<repository>[a-z0-9._/-]+)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class ServingImage:
    """A way to serve `inference.py`: an image, and the contents of the archive."""

    tag: str  # in the registry, with the repository
    archive_members: tuple[str, ...] = ()  # files that the image looks for in `model.tar.gz`
    packages: Target | None = None  # what those in the archive must run on; None if the image has all


# Of containers with our code. One thread per request: the network is small, and requests run in parallel.
ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
OWN: Final = "own"
RAY: Final = "ray"
SERVING_IMAGES: Final = {
    # The image that AWS maintains: Ray Serve behind an adapter for /ping and /invocations. It has NumPy and
    # Pillow, but no ONNX Runtime.
    RAY: ServingImage(
        tag="ray:serve-ml-sagemaker-cpu-v1.4",
        archive_members=("config.yaml", "deployment.py", "code/inference.py", "code/bundled_packages.py"),
        packages=Target(python="3.13"),
    ),
    # This project's image (serving/container/), in a repository of one's own.
    OWN: ServingImage(tag=own_image.REPOSITORY, archive_members=("code/inference.py",)),
}


def registry(account: str, region: str) -> str:
    """Return the host of an account's registry, as `763104351884.dkr.ecr.eu-west-1.amazonaws.com`."""
    from botocore.loaders import Loader  # noqa: PLC0415 - it takes as long as boto3

    partitions = Loader().load_data("partitions")["partitions"]
    partition = next((p for p in partitions if re.match(p["regionRegex"], region)), partitions[0])
    return f"{account}.dkr.ecr.{region}.{partition['outputs']['dnsSuffix']}"


def aws_registry(region: str) -> str:
    """Return the host of the registry with AWS's own images; a RefusedError if the table lacks the region."""
    if region not in ACCOUNTS:
        raise RefusedError(
            f"no registry of AWS's container images is known for the region {region!r}; give --image own, or "
            "a complete image URI"
        )
    return registry(ACCOUNTS[region], region)


def known_image(name: str) -> ServingImage:
    """Return what the image needs that a value of `--image` names; a complete URI needs nothing."""
    if name not in SERVING_IMAGES and "/" not in name:
        raise RefusedError(f"--image {name}: give {', '.join(SERVING_IMAGES)} or a complete image URI")
    return SERVING_IMAGES.get(name) or ServingImage(tag=name)


def serving_image(
    name: str, region: str, *, repository: str = "", instance_type: str | None = None
) -> tuple[str, ServingImage]:
    """Return the image URI for a value of `--image`, and what the image needs.

    `repository` has the `own` image; a serverless endpoint has no instance type, and x86_64 processors.
    """
    image = known_image(name)
    architecture = "arm64" if instance_type and _ARM_INSTANCE.fullmatch(instance_type) else "x86_64"
    if name == OWN:
        return f"{repository}:{own_image.tag(architecture)}", image
    if name not in SERVING_IMAGES:
        return name, image
    if architecture != "x86_64":
        raise RefusedError(
            f"--image {name} has no variant for the processors of {instance_type}: "
            f"give another --instance-type, or --image {OWN}"
        )
    return f"{aws_registry(region)}/{image.tag}", image


def look_up_image(session: Session, uri: str) -> str:
    """Look an image up in ECR; return why it could not be looked up, or nothing if it exists.

    A deployment can go on in both cases. A RefusedError if there is no such image, or in another region.
    """
    image, region = _ECR_IMAGE.fullmatch(uri), str(session.region_name)
    if image is None:
        return f"{uri} is not in Amazon ECR and can't be looked up"
    account = image["account"]
    if image["region"] != region:
        raise RefusedError(
            f"--image {uri}: SageMaker pulls images of its own region only, which is {region}; "
            f"push the image to {registry(account, region)}"
        )
    way_out = "give the complete URI of an image that exists, or another name, with --image"
    if own_image.TAG.fullmatch(image["tag"] or ""):
        way_out = "`scones model image push` builds and pushes it"
    named = {"imageDigest": image["digest"]} if image["digest"] else {"imageTag": image["tag"] or "latest"}
    ecr: Any = session.client("ecr")
    try:
        answer = ecr.batch_get_image(registryId=account, repositoryName=image["repository"], imageIds=[named])
    except (ClientError, BotoCoreError) as error:
        # An emulator does not have the repositories of AWS.
        of_aws = account == ACCOUNTS.get(region)
        if of_aws or not isinstance(error, ecr.exceptions.RepositoryNotFoundException):
            return f"{uri} can't be looked up: {aws_reason(error)}"
        raise RefusedError(f"--image {uri}: the repository does not exist; {way_out}") from error
    if answer["images"]:
        return ""
    raise RefusedError(f"--image {uri} does not exist; {way_out}")


def image_of(uri: str) -> ServingImage:
    """Return what an image needs that serves already; one that is not ours or Ray's needs nothing."""
    if f"/{SERVING_IMAGES[RAY].tag}" in uri:
        return SERVING_IMAGES[RAY]
    return SERVING_IMAGES[OWN] if own_image.TAG.fullmatch(uri.rpartition(":")[2]) else ServingImage(tag=uri)


def training_image(name: str | None, region: str) -> str:
    """Return the image URI of a training job: AWS's current PyTorch image for CPUs, or a custom one."""
    return name or f"{aws_registry(region)}/{TRAINING_IMAGE}"
