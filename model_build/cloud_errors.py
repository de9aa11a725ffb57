"""What can go wrong with SageMaker, as the commands report it: the thing and the way out."""

from __future__ import annotations

from model_build.errors import ModelBuildError


class CloudError(ModelBuildError):
    """SageMaker, or what is around it, did not do what was asked."""


class RefusedError(CloudError):
    """The request can never work, so nothing was changed."""

    exit_code = 2


class DeploymentError(CloudError):
    """The new version did not come into service.

    Attributes:
        serving_config: the endpoint configuration that still answers, or None when nothing does.
    """

    def __init__(self, message: str, *, serving_config: str | None = None) -> None:
        super().__init__(message)
        self.serving_config = serving_config
