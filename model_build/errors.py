"""What the commands report as one line instead of a traceback."""


class ModelBuildError(Exception):
    """Something outside this program is not as it must be; the message names it and says what to do."""

    exit_code = 1


class UsageError(ModelBuildError):
    """The options given can't go together or name what does not exist."""

    exit_code = 2
