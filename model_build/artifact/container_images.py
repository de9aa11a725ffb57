"""The container images that serve and train the model.

Source of the tags: `image_uri_config/` of the SageMaker Python SDK 3.27 (ray-serve.json, pytorch.json and
pytorch-amzn2023.json; a test compares them). Every command also accepts a complete image URI.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from model_build.artifact import own_image
from model_build.artifact.registries import aws_registry, registry
from model_build.artifact.serving_packages import Target
from model_build.errors import RefusedError

TRAINING_IMAGE: Final = "pytorch:2.13-cpu-amzn2023-sagemaker"
# Graviton: a `g` right after the generation, as in ml.m6g.large and ml.c7gn.xlarge; not in ml.g4dn.xlarge.
_ARM_INSTANCE: Final = re.compile(r"ml\.[a-z]+\d+g[a-z]*\..+")


@dataclass(frozen=True)
class ServingImage:
    """A way to serve `inference.py`: an image, its environment and the contents of the archive.

    Attributes:
        tag: repository and tag in the registry.
        environment: environment variables of the container.
        archive_members: files that the image looks for in `model.tar.gz`, relative to its root.
        packages: what the packages in the archive must run on; None if the image has all that it needs.
    """

    tag: str
    environment: dict[str, str] = field(default_factory=dict)
    archive_members: tuple[str, ...] = ()
    packages: Target | None = None


# One thread per request: the network is small, and the servers run requests in parallel.
_COMMON: Final = {"OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
OWN: Final = "own"
RAY: Final = "ray"
DEFAULT_SERVING_IMAGE: Final = RAY
SERVING_IMAGES: Final = {
    # The image that AWS maintains: Ray Serve behind an adapter for /ping and /invocations. It has NumPy and
    # Pillow, but no ONNX Runtime.
    RAY: ServingImage(
        tag="ray:serve-ml-sagemaker-cpu-v1.4",
        environment=_COMMON,
        archive_members=("config.yaml", "deployment.py", "code/inference.py", "code/bundled_packages.py"),
        packages=Target(python="3.13"),
    ),
    # This project's image (serving/container/), in a registry of one's own.
    OWN: ServingImage(tag=own_image.REPOSITORY, environment=_COMMON, archive_members=("code/inference.py",)),
}


def serving_image(
    name: str, region: str, *, account: str = "", instance_type: str | None = None
) -> tuple[str, ServingImage]:
    """Return the image URI for a value of `--image`, and what the image needs.

    Args:
        name: `ray`, `own`, or a complete image URI (it contains a slash), for example that of
            SageMaker's built-in image-classification algorithm; such an image gets the archive as it is.
        region: where the endpoint will run.
        account: the account that has the `own` image.
        instance_type: what it will run on; None for a serverless endpoint, which has x86_64 processors.

    Raises:
        RefusedError: the name is none of these, or AWS has no such image for the region or the processor.
    """
    architecture = "arm64" if instance_type and _ARM_INSTANCE.fullmatch(instance_type) else "x86_64"
    if name == OWN:
        tag = f"{own_image.REPOSITORY}:{own_image.tag(architecture)}"
        return f"{registry(account, region)}/{tag}", SERVING_IMAGES[OWN]
    if name in SERVING_IMAGES:
        if architecture != "x86_64":
            raise RefusedError(
                f"--image {name} has no variant for the processors of {instance_type}: "
                f"give another --instance-type, or --image {OWN}"
            )
        return f"{aws_registry(region)}/{SERVING_IMAGES[name].tag}", SERVING_IMAGES[name]
    if "/" in name:
        return name, ServingImage(tag=name)
    raise RefusedError(f"--image {name}: give {', '.join(SERVING_IMAGES)} or a complete image URI")


def training_image(name: str | None, region: str) -> str:
    """Return the image URI of a training job: AWS's current PyTorch image for CPUs, or a custom one.

    Raises:
        RefusedError: no registry of AWS's images is known for the region.
    """
    return name or f"{aws_registry(region)}/{TRAINING_IMAGE}"
