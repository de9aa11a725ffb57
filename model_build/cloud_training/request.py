"""What a person asks for with `model_build train-cloud`, checked before anything is uploaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from model_build.endpoint.requests import BUCKET_NAME, INSTANCE_TYPE, ROLE_ARN
from model_build.errors import RefusedError
from model_build.training.recipe import DEFAULT_CLASSES, Bounds, Recipe

DEFAULT_INSTANCE_TYPE: Final = "ml.c5.xlarge"
MAX_RUNTIME: Final = Bounds(60, 28 * 86_400)  # seconds; SageMaker's own limit is 28 days
MIN_CLASSES: Final = 2


@dataclass(frozen=True)
class TrainRequest:
    """One training job. An object that exists is valid.

    Attributes:
        image: image URI; None for AWS's current PyTorch image.

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
    image: str | None = None
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
