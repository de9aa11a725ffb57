"""The state folder: what runs, where it listens, what was deployed, and the logs.

Whether something runs is decided by a lock that the supervisor holds for as long as it lives: it is free
again after a crash or a reboot, whatever files were left.
"""

import fcntl
import json
import os
import shlex
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from localcloud.host import build_target

REGION = "us-east-1"


@dataclass
class Running:
    """A local cloud that is up.

    Attributes:
        instance: A random name, new with every start.
        bind: Address that it listens on.
        aws_url: Endpoint URL of the AWS emulator.
        sagemaker_url: Endpoint URL of the SageMaker stand-in.
        pids: Process ids by role.
        stack: Name, outputs and parameters of the deployed stack; empty before.
        endpoint: Name of the deployed SageMaker endpoint; empty before.
    """

    instance: str
    bind: str
    aws_url: str
    sagemaker_url: str
    pids: dict[str, int] = field(default_factory=dict)
    stack: dict[str, Any] = field(default_factory=dict)
    endpoint: str = ""

    def environment(self) -> dict[str, str]:
        """The standard variables that make AWS's tools and SDKs talk to this local cloud."""
        return {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ENDPOINT_URL_SAGEMAKER": self.sagemaker_url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.sagemaker_url,
            "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": self.sagemaker_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }


class StateFolder:
    """Paths and files of one local cloud.

    Args:
        path: The folder; made when needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.temporary = self.path / "tmp"
        self._file = self.path / "state.json"
        self._env_file = self.path / "env.sh"

    @property
    def env_file(self) -> Path:
        """What a shell sources to talk to this local cloud."""
        return self._env_file

    def lock(self) -> IO[str] | None:
        """Take the supervisor's lock; keep the file object for as long as it is to be held.

        Returns:
            The open lock file, or None when another supervisor runs.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        file = (self.path / "lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file

    def lock_as_supervisor(self) -> IO[str] | None:
        """Take the lock and note this process in it; None when another supervisor runs."""
        for _ in range(10):  # somebody who only looks whether it is free holds it for an instant
            if (file := self.lock()) is not None:
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
            time.sleep(0.1)
        return None

    def supervisor(self) -> int | None:
        """Process id of the supervisor that lives, or None."""
        if not (self.path / "lock").exists():
            return None
        file = self.lock()
        if file is None:
            return int((self.path / "lock").read_text() or 0) or None
        file.close()
        return None

    def load(self) -> Running | None:
        """What runs here, or None: a file that a crash left behind does not count."""
        if self.supervisor() is None:
            return None
        try:
            return Running(**json.loads(self._file.read_text()))
        except FileNotFoundError:
            return None

    def save(self, running: Running) -> None:
        """Write state.json and env.sh, each in one step so that no reader sees half of it."""
        self.path.mkdir(parents=True, exist_ok=True)
        _replace(self._file, json.dumps(asdict(running), indent=2) + "\n")
        _replace(self._env_file, env_script(running))

    def clear(self) -> None:
        """Remove what says that something runs."""
        self._file.unlink(missing_ok=True)
        self._env_file.unlink(missing_ok=True)


def env_script(running: Running) -> str:
    """Shell lines that point AWS's tools at this local cloud, and put `aws` and `sam` on the PATH.

    `sam build` then builds for this machine, which is what runs the functions.
    """
    lines = ["# . this file: aws, sam and every AWS SDK in this shell then talk to the local cloud."]
    variables = running.environment() | build_target()
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines += ["unset AWS_PROFILE AWS_SESSION_TOKEN"]
    lines += [f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"']
    return "\n".join(lines) + "\n"


def isolated_environment(running: Running | None) -> dict[str, str]:
    """The environment for programs that must see the local cloud and nothing of the user's AWS account.

    Args:
        running: The local cloud, or None before it runs.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_", "BOTO_"))
    }
    no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY", ""), "127.0.0.1", "localhost"]))
    if running:
        no_proxy += f",{running.bind}"
    return {
        **kept,
        **(running.environment() if running else {}),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
    }


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(path.suffix + ".new")
    new.write_text(text)
    new.replace(path)
