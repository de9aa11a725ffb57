"""Switched-on faults: a file in the state folder, which the services of the local cloud read at each call."""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

from localcloud.files import replace_text

VARIABLE: Final = "SCONES_FAULTS"
"""Names the file to the services of a local cloud."""


@dataclass(frozen=True)
class Fault:
    """A fault that is switched on, of localcloud.faults.catalogue.

    Attributes:
        operation: at which call; empty for all of the service.
        rate: share of the calls, 0 to 1.
        times: how many calls at most; None for all.
        key: only calls about a photo whose key contains this text; empty for all.
        seed: equal seeds hit the same calls, counted from the first.
    """

    id: str
    name: str
    service: str
    operation: str = ""
    rate: float = 1.0
    times: int | None = None
    key: str = ""
    seconds: float = 2.0
    seed: int = 0


class FaultFile:
    """The file of the faults that are switched on, and beside it the log of the calls that they hit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path.with_suffix(".log")

    def load(self) -> list[Fault]:
        """Return what is switched on."""
        try:
            return [Fault(**one) for one in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []

    def save(self, faults: Iterable[Fault]) -> None:
        """Switch on exactly these."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self.path, json.dumps([asdict(one) for one in faults], indent=2) + "\n")

    def clear(self) -> None:
        """Switch everything off and forget what was hit."""
        self.path.unlink(missing_ok=True)
        self._log.unlink(missing_ok=True)

    def note(self, fault: Fault) -> None:
        """Note that a call was hit."""
        with self._log.open("a", encoding="utf-8") as log:
            log.write(fault.id + "\n")

    def hits(self) -> dict[str, int]:
        """Return how many calls each fault has hit, by its id."""
        return Counter(self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else ())


class Switches:
    """Decides for each call of one process whether a fault hits it; the file may change meanwhile."""

    def __init__(self, file: FaultFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._faults: list[Fault] = []
        self._chances: dict[str, Random] = {}
        self._hits: dict[str, int] = {}

    def pick(self, service: str, operation: str, about: str = "") -> Fault | None:
        """Return the fault that hits a call, or None; `about` has the photo's key in it, if there is one."""
        with self._lock:
            self._refresh()
            for fault in self._faults:
                if fault.service != service or fault.operation not in {"", operation}:
                    continue
                if fault.key in about and self._hits_now(fault):
                    self._file.note(fault)
                    return fault
        return None

    def _hits_now(self, fault: Fault) -> bool:
        if fault.times is not None and self._hits.get(fault.id, 0) >= fault.times:
            return False
        chance = self._chances.setdefault(fault.id, Random(f"{fault.seed} {fault.service} {fault.name}"))  # noqa: S311  # no secret
        if chance.random() >= fault.rate:
            return False
        self._hits[fault.id] = self._hits.get(fault.id, 0) + 1
        return True

    def _refresh(self) -> None:
        try:
            status = self._file.path.stat()
        except OSError:
            self._stamp, self._faults = None, []
            return
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._stamp, self._faults = stamp, self._file.load()


def of_this_process() -> Switches | None:
    """Return the switches of the local cloud that this process belongs to; None if it belongs to none."""
    path = os.environ.get(VARIABLE)
    return Switches(FaultFile(Path(path))) if path else None
