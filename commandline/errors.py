"""Errors that a command reports in one line, and the exit code of each."""

from typing import Final

FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130


class CommandError(Exception):
    """The command failed; the message names the thing and what to do."""

    exit_code = FAILED
    with_log = False  # the message ends with lines of a log; all others are shown in one line


class UsageError(CommandError):
    """The command was used wrongly: its options conflict, are out of bounds, or name what does not exist."""

    exit_code = WRONG_USE
