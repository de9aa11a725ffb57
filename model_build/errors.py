"""Errors that the commands report as one line instead of a traceback."""

from commandline import errors


class ModelBuildError(errors.CommandError):
    """Something outside this program is not as it must be; the message names it and says what to do."""


class UsageError(ModelBuildError, errors.UsageError):
    """The options given conflict, are out of bounds, or name what does not exist."""


class ArchiveError(ModelBuildError):
    """A data archive cannot be found or read; the message names the file and says what to do."""


class CloudError(ModelBuildError):
    """SageMaker, or a service that it depends on, did not do what was asked."""

    with_log = True


class RefusedError(CloudError, errors.UsageError):
    """The request can never work, so nothing was changed."""


class StillSettlingError(CloudError):
    """SageMaker did not finish in the time allowed, and goes on."""


class DeploymentError(CloudError):
    """The new version did not come into service.

    Attributes:
        serving_config: the endpoint configuration that still answers, or None when nothing does.
    """

    def __init__(
        self, message: str, *, serving_config: str | None = None, version_in_use: bool = False
    ) -> None:
        super().__init__(message)
        self.serving_config = serving_config
        self.version_in_use = version_in_use
