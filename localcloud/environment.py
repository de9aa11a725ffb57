"""The environment of a local cloud: variables that lead to it, and this machine in Lambda's terms."""

import os
import platform
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
REGION: Final = "us-east-1"
STRICT: Final = "SCONES_STRICT"
"""Makes a local cloud as slow and as strict as AWS."""
SAGEMAKER_SERVICES: Final = ("sagemaker", "sagemaker-runtime", "application-autoscaling")
"""Services of the SageMaker emulator; ministack has all others."""


# fmt: off
_INHERITED: Final = frozenset((
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "TZ", "LANG", "LANGUAGE", "TERM",
    "COLUMNS", "LINES", "NO_COLOR", "CI", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
))
# fmt: on
_INHERITED_PREFIXES: Final = ("LC_", "PIP_", "PYENV_", "XDG_", "DOCKER_", "SCONES_")
"""Of the user's variables, those that programs need to run, find files and download packages. Others would
change ministack (`LAMBDA_STRICT`, `USE_SSL`, `PERSIST_STATE`, ...), Python or the functions."""

_TOOLS: Final = {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.2", "ORT_DISABLE_TELEMETRY": "1"}
"""No usage reports (onnxruntime writes its own into the home folder), and less waiting in `sam deploy`."""
_IMPATIENT: Final = {"AWS_MAX_ATTEMPTS": "2"}
"""A local cloud that does not answer has ended: no use in asking it for half a minute."""


@dataclass(frozen=True)
class Addresses:
    """Where a local cloud listens; its servers answer one key, whose id and secret are the same."""

    bind: str
    aws_url: str  # ministack
    sagemaker_url: str  # the SageMaker emulator
    access_key: str = field(repr=False)


def aws_variables(addresses: Addresses) -> dict[str, str]:
    """Return the standard variables that make AWS's tools and SDKs talk to a local cloud."""
    return {
        "AWS_ENDPOINT_URL": addresses.aws_url,
        "AWS_ENDPOINT_URL_SAGEMAKER": addresses.sagemaker_url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": addresses.sagemaker_url,
        "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": addresses.sagemaker_url,
        "AWS_ACCESS_KEY_ID": addresses.access_key,
        "AWS_SECRET_ACCESS_KEY": addresses.access_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


def isolated_environment(addresses: Addresses | None) -> dict[str, str]:
    """Return the environment for programs that see the local cloud and nothing of the user's AWS account.

    Only the user's variables that are known to be needed are in it. Before it runs, `addresses` is None.
    """
    inherited = (name for name in os.environ if name in _INHERITED or name.startswith(_INHERITED_PREFIXES))
    no_proxy = _no_proxy(addresses)
    return {
        **{name: os.environ[name] for name in inherited},
        **(aws_variables(addresses) if addresses else {}),
        **_TOOLS,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
    }


def shell_variables(addresses: Addresses) -> dict[str, str]:
    """Return what makes AWS's tools and SDKs in a user's shell or process talk to a local cloud."""
    return aws_variables(addresses) | _TOOLS | _IMPATIENT | {"NO_PROXY": _no_proxy(addresses)}


def _no_proxy(addresses: Addresses | None) -> str:
    bind = addresses.bind if addresses else ""
    return ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1", "localhost", bind)))


def env_script(addresses: Addresses) -> str:
    """Return shell lines that point AWS's tools at a local cloud, and put `scones` and `sam` on the PATH.

    `sam build` then builds for this machine, which is what runs the functions. The shell function
    `scones_deactivate` undoes all of it, as that of a virtual environment does.
    """
    constants = shell_variables(addresses) | build_target()
    values = {name: shlex.quote(value) for name, value in constants.items()}
    values["NO_PROXY"] = f'"${{NO_PROXY:+$NO_PROXY,}}127.0.0.1,localhost,{addresses.bind}"'
    values["PATH"] = f'{shlex.quote(str(Path(sys.executable).parent))}:"$PATH"'
    removed = ("AWS_PROFILE", "AWS_SESSION_TOKEN")
    changed = (*values, *removed)
    lines = [
        "# . this file: aws, sam and every AWS SDK in this shell then talk to the local cloud.",
        "# scones_deactivate undoes it.",
        "if command -v scones_deactivate >/dev/null 2>&1; then scones_deactivate; fi",
        *(f'_scones_had_{name}="${{{name}+x}}"; _scones_old_{name}="${{{name}-}}"' for name in changed),
        *(f"export {name}={value}" for name, value in values.items()),
        f"unset {' '.join(removed)}",
        "scones_deactivate() {",
    ]
    for name in changed:
        had, old = f"_scones_had_{name}", f"_scones_old_{name}"
        lines += [f'    if [ -n "${had}" ]; then export {name}="${old}"; else unset {name}; fi']
        lines += [f"    unset {had} {old}"]
    return "\n".join([*lines, "    unset -f scones_deactivate", "}", ""])


def host_runtime() -> str:
    """Return the Lambda runtime of this Python's version."""
    return f"python3.{sys.version_info.minor}"


def host_architecture() -> str:
    """Return the Lambda architecture of this machine's processor."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def build_target() -> dict[str, str]:
    """Return the variables that tell `sam build`'s makefiles what to build for.

    This machine's Python runs the functions, so they get the wheels that fit it rather than Lambda's. The
    wheels are kept: only the first build needs a network.
    """
    return {
        "PYTHON_RUNTIME": host_runtime(),
        "ARCHITECTURE": host_architecture(),
        "WHEELS": "host",
        "SCONES_WHEELS": str(ROOT / "build" / "wheels"),
    }
