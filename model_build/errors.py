"""What the commands report as one line instead of a traceback."""


class ModelBuildError(Exception):
    """Something outside this program is not as it must be; the message names it and says what to do."""

    exit_code = 1


class UsageError(ModelBuildError):
    """The options given can't go together or name what does not exist."""

    exit_code = 2


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
