"""What is wanted of an endpoint, refused here if AWS would refuse it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_build.archive.container_images import DEFAULT_SERVING_IMAGE, OWN, RAY, known_image
from model_build.archive.package import DEFAULT_MODEL
from model_build.errors import RefusedError

DEFAULT_ENDPOINT: Final = "scones-vehicle-classifier"  # template.yaml's EndpointName has the same default
DEFAULT_INSTANCE_TYPE: Final = "ml.m5.large"
# CreateEndpoint's own pattern; the timestamp that names a version takes 20 of SageMaker's 63 characters.
ENDPOINT_NAME: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
MAX_ENDPOINT_NAME: Final = 43
INSTANCE_TYPE: Final = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
SERVERLESS_MEMORY_MB: Final = (1024, 2048, 3072, 4096, 5120, 6144)


@dataclass(frozen=True)
class Wanted:
    """A model behind an endpoint, as the options of `deploy` say it, which also bound its numbers.

    Raises:
        RefusedError: AWS would refuse it; names the option and what to do instead.
    """

    model: Path | str = DEFAULT_MODEL
    endpoint_name: str = DEFAULT_ENDPOINT
    instance_type: str | None = None  # the default type, where it is not serverless
    instance_count: int = 1  # the minimum if the endpoint scales
    max_instances: int | None = None
    invocations_per_instance: int = 1000
    serverless_memory_mb: int | None = None
    serverless_concurrency: int = 5
    capture: bool = False
    capture_percent: int = 100
    image: str = DEFAULT_SERVING_IMAGE
    trust_code: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        known_image(self.image)
        name = self.endpoint_name
        if not ENDPOINT_NAME.fullmatch(name) or len(name) > MAX_ENDPOINT_NAME:
            raise RefusedError(
                f"--endpoint-name {name!r}: give 1 to {MAX_ENDPOINT_NAME} letters, digits and hyphens, with "
                "a letter or digit at both ends (a timestamp is added for each version, and SageMaker allows "
                "63 in all)"
            )
        if self.serverless:
            self._check_serverless()
        else:
            self._check_instances()

    @property
    def serverless(self) -> bool:
        """Whether the endpoint runs without instances."""
        return self.serverless_memory_mb is not None

    def _check_serverless(self) -> None:
        if self.instance_type:
            raise RefusedError("--instance-type and --serverless-memory exclude each other: omit one")
        if self.image == RAY:
            raise RefusedError(
                f"--image {RAY} does not start on a serverless endpoint, which has no /dev/shm: give --image "
                f"{OWN} (see `scones model image --help`), or --instance-type instead of --serverless-memory"
            )
        if self.capture:
            raise RefusedError(
                "a serverless endpoint can't capture data: omit --capture, or give --instance-type "
                f"(such as {DEFAULT_INSTANCE_TYPE}) instead of --serverless-memory"
            )
        if self.max_instances is not None:
            raise RefusedError(
                "a serverless endpoint scales by itself: omit --max-instances "
                "(--serverless-concurrency is its limit)"
            )
        if self.serverless_memory_mb not in SERVERLESS_MEMORY_MB:
            sizes = ", ".join(map(str, SERVERLESS_MEMORY_MB))
            raise RefusedError(f"--serverless-memory {self.serverless_memory_mb}: give {sizes}")

    def _check_instances(self) -> None:
        least, most = self.instance_count, self.max_instances
        if self.instance_type is not None and not INSTANCE_TYPE.fullmatch(self.instance_type):
            raise RefusedError(
                f"--instance-type {self.instance_type!r}: give one such as {DEFAULT_INSTANCE_TYPE}"
            )
        if least < 1:
            raise RefusedError(
                f"--instance-count {least}: give 1 or more (an endpoint can't be stopped; "
                "`scones model delete` ends its cost, --serverless-memory costs nothing while idle)"
            )
        if most is not None and most < least:
            raise RefusedError(
                f"--max-instances {most} is below --instance-count {least}: give as many or more"
            )
