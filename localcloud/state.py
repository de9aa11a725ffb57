"""The state folder: what runs, where it listens, what was deployed, the logs, and what is kept.

Whether something runs is decided by a lock that the supervisor holds for as long as it lives: the lock is
free again after a crash or a reboot, whatever files were left.
"""

import json
import os
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from commandline.errors import CommandError
from commandline.terminal import say
from localcloud.environment import ROOT, Addresses, env_script, shell_variables
from localcloud.faults import FaultFile
from localcloud.files import lock_holder, replace_text, take_lock

USUAL_STATE: Final = ROOT / "build" / "localcloud"
UNSAVED: Final = "unsaved"
"""File beside the kept state while it is not saved; it has the names of what could not be."""
SAVE: Final = signal.SIGUSR1
"""Saves ministack's state; ministack takes no other signal for it."""
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


class BusyError(CommandError):
    """Another command or local cloud uses the state folder."""


@dataclass(frozen=True)
class Running(Addresses):
    """A local cloud that is up; what is not deployed yet is empty."""

    instance: str = ""  # a random name, new with every start
    pids: Mapping[str, int] = field(default_factory=dict)  # by role
    stack: Mapping[str, Any] = field(default_factory=dict)  # name, outputs and parameters
    endpoint: str = ""
    desk_url: str = ""  # where the review desk is to be, with its token


class KeptState:
    """What `down` keeps for the next `up`: ministack's own state files, its objects, and the ports.

    ministack reads it when it starts. It writes photos and records at once, messages a second later, and
    everything else when it is asked to (after a deployment) and when it is stopped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._addresses = folder / "addresses.json"

    def last_ports(self) -> list[int]:
        """Return the ports of the last start, ministack's first; [] if there was none."""
        return [port for url in self._last_urls() if (port := urlsplit(url).port)]

    def move_to(self, addresses: Addresses) -> None:
        """Replace the last start's URLs (of queues, for instance) by those of this start."""
        last = self._last_urls()
        if last and last[0] != addresses.aws_url:
            for file in (self.folder / "state").glob("*.json"):
                text = file.read_text(encoding="utf-8")
                if last[0] in text:
                    replace_text(file, text.replace(last[0], addresses.aws_url))
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._addresses, json.dumps([addresses.aws_url, addresses.sagemaker_url]) + "\n")

    def recover(self) -> str:
        """Make what a killed ministack left fit for a start; return what was lost, empty if nothing."""
        if not (lost := self.lost()) or any((self.folder / "state").glob("*.json")):
            return lost
        self.erase()
        return "the local cloud was killed last time before anything was deployed: it starts anew"

    def lost(self) -> str:
        """Return what the last stop did not save, empty if it saved everything."""
        unsaved = self.folder / UNSAVED
        if not unsaved.exists():
            return ""
        if services := unsaved.read_text(encoding="utf-8"):
            return (
                f"the local cloud could not save the state of {services} when it ended (is the disk full?): "
                "photos and records are kept"
            )
        return (
            "the local cloud was killed when it ended: photos and records are kept; executions, traces, "
            "logs and changes of resources since the last `up` are not, nor messages of the last second"
        )

    def killed(self) -> datetime | None:
        """Return when messages were saved last, if the last end did not save them."""
        messages = self.folder / "state" / "sqs.json"
        if not self.lost() or not messages.exists():
            return None
        return datetime.fromtimestamp(messages.stat().st_mtime, UTC)

    def erase(self) -> None:
        """Remove photos, results, stacks and everything else that is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _last_urls(self) -> list[str]:
        try:
            return [str(url) for url in json.loads(self._addresses.read_text(encoding="utf-8"))]
        except (FileNotFoundError, ValueError, TypeError):
            return []


class StateFolder:
    """Paths and files of one local cloud."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.temporary = self.path / "tmp"
        self.inbox = self.path / "mail" / "alerts.txt"  # what alarms send
        self.kept = KeptState(self.path / "data")
        self.faults = FaultFile(self.path / "faults.json")
        self.env_file = self.path / "env.sh"
        self._file = self.path / "state.json"
        self._lock = self.path / "lock"

    def lock_as_supervisor(self) -> IO[str] | None:
        """Take the supervisor's lock; None if another supervisor runs."""
        return take_lock(self._lock)

    def supervisor(self) -> int | None:
        """Return the process id of the supervisor that runs, or None."""
        return lock_holder(self._lock)

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep other commands from starting or deploying to this local cloud; BusyError if one does."""
        self.make()
        path = self.path / "command-lock"
        file = take_lock(path)
        if file is None:
            other = f"another command (process {lock_holder(path)})"
            raise BusyError(f"{other} is starting the local cloud of {self.path}: wait until it ends")
        with file:
            yield

    def make(self) -> None:
        """Make the folder, which nobody else may look into: it has photos, results and the access key."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except PermissionError as error:
            hint = "name a folder of your own with --state"
            raise CommandError(f"{self.path} is another user's: {hint}") from error

    def access_key(self) -> str:
        """Return the key that this local cloud answers, drawn at its first start."""
        file = self.path / "access-key"
        if not file.exists():
            replace_text(file, secrets.token_hex(16).upper())
        return file.read_text()

    def put_old_logs_aside(self) -> None:
        """Keep the logs of the last run where nobody takes them for new ones."""
        if self.logs.exists():
            old = self.path / "logs.previous"
            shutil.rmtree(old, ignore_errors=True)
            self.logs.rename(old)

    def load(self) -> Running | None:
        """Return what runs here, or None; a file that a crash left behind does not count."""
        return None if self.supervisor() is None else self.saved()

    def saved(self) -> Running | None:
        """Return what was saved last, whether it runs or not; for the supervisor, which knows that."""
        try:
            return Running(**json.loads(self._file.read_text(encoding="utf-8")))
        except (FileNotFoundError, TypeError, ValueError):  # or of another version of this program
            return None

    def save(self, running: Running) -> None:
        """Write state.json and env.sh, each in one step, so that no reader sees half of it."""
        self.make()
        replace_text(self._file, json.dumps(asdict(running), indent=2) + "\n")
        replace_text(self.env_file, env_script(running))

    def clear(self) -> None:
        """Remove what says that something runs."""
        self._file.unlink(missing_ok=True)
        self.env_file.unlink(missing_ok=True)


def attach(arguments: Sequence[str]) -> None:
    """Lead AWS's SDK in this process to the local cloud that runs in this checkout, and say so.

    The start of `scones` does that, unless AWS is configured.
    """
    named = (name for name, value in os.environ.items() if name.startswith("AWS_") and value)
    if (
        any(argument.split("=", 1)[0] in _OPTIONS for argument in arguments)
        or any(name not in _HARMLESS for name in named)
        or any(Path(file).expanduser().exists() for file in _FILES)
    ):
        return
    try:
        running = StateFolder(Path(os.environ.get("SCONES_STATE") or USUAL_STATE)).load()
    except PermissionError:  # another user's
        return
    if running:
        os.environ.update(shell_variables(running))
        say(f"scones: uses this checkout's local cloud, {running.aws_url}, as no AWS account is configured")
