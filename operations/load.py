"""A load whose account balances: photos on a schedule, each of which must end in exactly one outcome.

The schedule is open: a photo is due whatever became of those before it. A generator that waits for answers
sends less while the system is slow, and measures the latency that its own politeness leaves (coordinated
omission).
"""

import random
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from commandline.errors import UsageError
from commandline.terminal import progress_bar
from operations.outcomes import OUTCOMES
from operations.photos.listener import OutcomeListener
from operations.photos.sources import PREFIX
from operations.photos.watcher import Watcher
from operations.results import Record, Version
from operations.stack import Stack

if TYPE_CHECKING:
    from tqdm import tqdm

KINDS: Final = ("good", "doubtful", "broken", "duplicate", "overwritten")
"""`duplicate`: the workflow is started twice; `overwritten`: two versions of one key, one after the other."""
SHAPES: Final = ("constant", "poisson", "burst")
DEFAULT_MIX: Final = "good=.8,doubtful=.1,broken=.05,duplicate=.05"
SENDERS: Final = 16
_SUM_TOLERANCE: Final = 1e-6
_FILES: Final = {"doubtful": "cat.jpg", "broken": "truncated.jpg"}
_GOOD: Final = ("bicycle.jpg", "motorcycle.jpg")
_LATE_S: Final = 10


@dataclass(frozen=True)
class Plan:
    """When photos are sent, and which; equal seeds give equal plans."""

    rate: float  # photos a second, on average
    duration_s: float
    shape: str = "poisson"  # of SHAPES: evenly, independent arrivals, or `burst` at once
    burst: int = 10
    mix: Mapping[str, float] | None = None  # shares of KINDS, which sum to 1
    seed: int = 0

    def arrivals(self) -> list[float]:
        """Return the seconds from the start at which photos are due, in order."""
        if self.shape == "poisson":
            chance = random.Random(self.seed)  # noqa: S311  # a schedule, no secret
            gaps = iter(lambda: chance.expovariate(self.rate), None)
            return list(takewhile(lambda due: due < self.duration_s, accumulate(gaps)))
        together = self.burst if self.shape == "burst" else 1
        count = max(1, round(self.rate * self.duration_s))
        return [number // together * together / self.rate for number in range(count)]

    def kinds(self, count: int) -> list[str]:
        """Return the kinds of so many photos."""
        chance = random.Random(self.seed + 1)  # noqa: S311  # a schedule, no secret
        mix = self.mix or parse_mix(DEFAULT_MIX)
        return chance.choices(list(mix), list(mix.values()), k=count)


def parse_mix(text: str) -> dict[str, float]:
    """Read shares such as `good=.8,doubtful=.2`, each of 0 to 1; they sum to 1."""
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        if name not in KINDS:
            raise UsageError(f"--mix: {name!r} is none of {', '.join(KINDS)}")
        if name in mix:
            raise UsageError(f"--mix: {name} is named twice")
        try:
            mix[name] = float(share)
        except ValueError:
            raise UsageError(f"--mix: {part.strip()!r} is not a share such as {name}=.5") from None
        if not 0 <= mix[name] <= 1:
            raise UsageError(f"--mix: {name}={share} is not a share from 0 to 1")
    if abs(sum(mix.values()) - 1) > _SUM_TOLERANCE:
        raise UsageError(f"--mix: the shares sum to {sum(mix.values()):g}, not to 1")
    return mix


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
        self.records |= {record.version: record for record in records}

    def photos(self) -> int:
        """Return how many photos were sent, whatever the number of their versions."""
        return len({uri for uri, _ in self.due})

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

    def progress(self) -> str:
        """Return the outcomes so far and their latencies in a line."""
        summary = self.summary()
        parts = [f"{count:,} {name}" for name, count in summary["outcomes"].items() if count]
        if self.records:
            parts += [f"{name} {summary[f'{name}_s']} s" for name in ("p50", "p95", "p99", "max")]
        if self.unsent:
            parts.append(f"not sent {len(self.unsent):,}, the last {self.unsent[-1]}")
        return ", ".join(parts)


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
        from model_build.data.samples import write_samples  # noqa: PLC0415 - it takes NumPy

        self.account = Account()
        self._stack, self._plan = stack, plan
        self._prefix = f"{PREFIX}load/{uuid.uuid4().hex[:8]}/"
        self._lock = threading.Lock()
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            self._content = {path.name: path.read_bytes() for path in write_samples(Path(folder))}

    def run(self, timeout_s: float) -> Account:
        """Send everything, wait for the outcomes until so long after the last photo was due."""
        arrivals = self._plan.arrivals()
        kinds = self._plan.kinds(len(arrivals))
        with (
            OutcomeListener(self._stack) as listener,
            ThreadPoolExecutor(SENDERS) as senders,
            progress_bar(total=len(arrivals), title="sent", unit="photo", leave=False) as bar,
        ):
            watcher, begun = Watcher(self._stack, listener), time.time()
            for number, (due, kind) in enumerate(zip(arrivals, kinds, strict=True)):
                senders.submit(self._send, watcher, f"{number:06d}-{kind}.jpg", kind, begun + due)
            end = begun + self._plan.duration_s
            while time.time() < end + timeout_s and not self._settled(len(arrivals)):
                self._listen(watcher)
                if not bar.disable:
                    self._show(bar)
            senders.shutdown(cancel_futures=True)
            self._listen(watcher)  # a duplicate event would come about now
        return self.account

    def _settled(self, photos: int) -> bool:
        with self._lock:
            begun = self.account.photos() + len(self.account.unsent)
            return begun >= photos and not self.account.lost()

    def _show(self, bar: "tqdm[Any]") -> None:
        with self._lock:
            bar.n, text = self.account.photos(), self.account.progress()
        bar.set_postfix_str(text)

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
