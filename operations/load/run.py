"""Sends photos when they are due, follows each until its outcome, and balances what was sent with it."""

import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from model_build.data.samples import write_samples
from operations.load.plan import Plan
from operations.load.view import View
from operations.outcomes import OUTCOMES
from operations.photos.listener import OutcomeListener
from operations.photos.sources import PREFIX
from operations.photos.watcher import Watcher
from operations.results import Record
from operations.stack import Stack

SENDERS: Final = 16
_FILES: Final = {"doubtful": "cat.jpg", "broken": "truncated.jpg"}
_GOOD: Final = ("bicycle.jpg", "motorcycle.jpg")
_LATE_S: Final = 10

Version = tuple[str, str]
"""URI and version of an object."""


@dataclass
class Account:
    """Balances versions that were due at a time (since 1970) with records and numbers of events."""

    due: dict[Version, float] = field(default_factory=dict)
    records: dict[Version, Record] = field(default_factory=dict)
    events: Counter[Version] = field(default_factory=Counter)
    unsent: list[str] = field(default_factory=list)

    def add_event(self, detail: Mapping[str, Any]) -> None:
        """Count a published outcome if it is of a photo of this load."""
        version = (detail["object_uri"], detail["object_version"])
        if version in self.due and not detail.get("reviewed"):
            self.events[version] += 1

    def add_records(self, records: Iterable[Record]) -> None:
        """Add records that were found."""
        self.records |= {(record.object_uri, record.object_version): record for record in records}

    def missing(self) -> list[Version]:
        """Return the versions that have no record yet."""
        return [version for version in self.due if version not in self.records]

    def lost(self) -> list[Version]:
        """Return the versions without a record, or whose outcome was not published."""
        return [one for one in self.due if one not in self.records or not self.events[one]]

    def latencies(self) -> list[float]:
        """Return the seconds from when each version was due to when its outcome was recorded."""
        return [
            datetime.fromisoformat(record.recorded_at).timestamp() - self.due[version]
            for version, record in self.records.items()
            if record.recorded_at
        ]

    def summary(self) -> dict[str, Any]:
        """Return the members of the summary; latencies in seconds, None without a record."""
        found, seconds = Counter(record.outcome for record in self.records.values()), self.latencies()
        shares = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99, "max_s": 1.0}
        return {
            "sent": len(self.due),
            "outcomes": {name: found[name] for name in OUTCOMES},
            "lost": len(self.lost()),
            "duplicates": sum(times - 1 for times in self.events.values()),
            "unsent": len(self.unsent),
            **{name: percentile(seconds, share) for name, share in shares.items()},
        }


def balances(summary: Mapping[str, Any]) -> bool:
    """Return whether everything was sent, and every version has exactly one outcome."""
    return not (summary["lost"] or summary["duplicates"] or summary["unsent"])


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that a share of all does not exceed (nearest rank), to a thousandth."""
    rank = max(1, -int(-share * len(values) // 1))  # the ceiling
    return round(sorted(values)[rank - 1], 3) if values else None


class Load:
    """A load on a deployed stack: what is sent, when, and what became of it."""

    def __init__(self, stack: Stack, plan: Plan) -> None:
        self.account = Account()
        self._stack, self._plan = stack, plan
        self._prefix = f"{PREFIX}load/{uuid.uuid4().hex[:8]}/"
        self._lock = threading.Lock()
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            self._content = {path.name: path.read_bytes() for path in write_samples(Path(folder))}

    def run(self, timeout_s: float) -> Account:
        """Send everything, wait for the outcomes, and return the account.

        Args:
            timeout_s: how long to wait after the last photo was due.
        """
        plan, arrivals = self._plan, self._plan.arrivals()
        kinds = plan.kinds(len(arrivals))
        title = f"{plan.rate:g} photos a second to {self._stack.name}, {plan.shape}, seed {plan.seed}"
        with OutcomeListener(self._stack) as listener, ThreadPoolExecutor(SENDERS) as senders:
            watcher, begun = Watcher(self._stack, listener), time.time()
            for number, (due, kind) in enumerate(zip(arrivals, kinds, strict=True)):
                senders.submit(self._send, watcher, f"{number:06d}-{kind}.jpg", kind, begun + due)
            end = begun + plan.duration_s
            view = View(title, len(arrivals), end)
            with view.on_terminal() as live:
                while time.time() < end + timeout_s and not self._settled(len(arrivals)):
                    self._listen(watcher)
                    if live:
                        with self._lock:
                            panel = view.panel(self.account)
                        live.update(panel, refresh=True)
            senders.shutdown(cancel_futures=True)
            self._listen(watcher)  # a duplicate event would come about now
        return self.account

    def _settled(self, photos: int) -> bool:
        with self._lock:
            begun = len({uri for uri, _ in self.account.due}) + len(self.account.unsent)
            return begun >= photos and not self.account.lost()

    def _listen(self, watcher: Watcher) -> None:
        heard, account = watcher.listen(), self.account
        with self._lock:
            for detail in heard:
                account.add_event(detail)
            # Only those that were heard of, or are late: reading all each time would be a load of its own.
            late = time.time() - _LATE_S
            asked = [one for one in account.missing() if account.events[one] or account.due[one] < late]
        found = list(watcher.results.get_many(asked))
        with self._lock:
            account.add_records(found)

    def _send(self, watcher: Watcher, name: str, kind: str, due: float) -> None:
        """Send a photo, or two versions of one, when it is due."""
        time.sleep(max(0.0, due - time.time()))
        bodies = [self._content[_FILES.get(kind, _GOOD[sum(name.encode()) % len(_GOOD)])]]
        if kind == "overwritten":
            bodies.append(self._content["cat.jpg"])
        try:
            for body in bodies:
                sent = watcher.upload(self._prefix + name, body)
                with self._lock:
                    self.account.due[sent.uri, sent.version] = due
                if kind == "duplicate":
                    watcher.start(sent.key, sent.version)
        except (ClientError, BotoCoreError, OSError) as error:
            with self._lock:
                self.account.unsent.append(f"{name}: {error}")
