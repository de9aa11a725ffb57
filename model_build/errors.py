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


class UnsettledError(CloudError):
    """An endpoint may still use what a deployment made: it goes on changing, or could not be rolled back."""


class DeploymentError(CloudError):
    """The new version did not come into service; the endpoint uses nothing of it."""
