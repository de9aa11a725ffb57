"""Lead AWS's SDK in this process to the local cloud that runs in this checkout, for the start of `scones`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from commandline.terminal import say
from localcloud.environment import shell_variables
from localcloud.state import USUAL_STATE, StateFolder

_HARMLESS: Final = frozenset(
    (
        *("AWS_PAGER", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_DEFAULT_OUTPUT", "AWS_CLI_AUTO_PROMPT"),
        *("AWS_CA_BUNDLE", "AWS_SDK_LOAD_CONFIG", "AWS_STS_REGIONAL_ENDPOINTS", "AWS_EXECUTION_ENV"),
        *("AWS_EC2_METADATA_DISABLED", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"),
    )
)
"""Variables that do not decide whom the SDK talks to."""
_OPTIONS: Final = frozenset(("--profile", "--region"))
_FILES: Final = ("~/.aws/config", "~/.aws/credentials")


def attach(arguments: Sequence[str]) -> None:
    """Set the variables of `env.sh`, and say so, unless AWS is configured or no local cloud runs."""
    if _configured(arguments):
        return
    try:
        running = StateFolder(Path(os.environ.get("SCONES_STATE") or USUAL_STATE)).load()
    except PermissionError:  # another user's
        return
    if running:
        os.environ.update(shell_variables(running))
        say(f"scones: uses this checkout's local cloud, {running.aws_url}, as no AWS account is configured")


def _configured(arguments: Sequence[str]) -> bool:
    named = (name for name, value in os.environ.items() if name.startswith("AWS_") and value)
    return (
        any(argument.split("=", 1)[0] in _OPTIONS for argument in arguments)
        or any(name not in _HARMLESS for name in named)
        or any(Path(file).expanduser().exists() for file in _FILES)
    )
