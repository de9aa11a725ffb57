"""A load whose account balances: photos on a schedule, each of which must end in exactly one outcome.

The schedule is open: a photo is due whatever became of those before it. A generator that waits for answers
sends less while the system is slow, and measures the latency that its own politeness leaves (coordinated
omission).
"""

import math
import random
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from commandline.errors import UsageError
from commandline.terminal import progress_bar
from operations.outcomes import OUTCOMES
from operations.photos.sources import PREFIX
from operations.photos.watcher import OutcomeListener, Watcher
from operations.results import Record, Version
from operations.stack import Stack

KINDS: Final = ("good", "doubtful", "broken", "duplicate", "overwritten")
"""`duplicate`: the workflow is started twice; `overwritten`: two versions of one key, one after the other."""
DEFAULT_MIX: Final = "good=.8,doubtful=.1,broken=.05,duplicate=.05"
SENDERS: Final = 16
SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
_SUM_TOLERANCE: Final = 1e-6
_FILES: Final = {"doubtful": "cat.jpg", "broken": "truncated.jpg"}
_GOOD: Final = ("bicycle.jpg", "motorcycle.jpg")
_LATE_S: Final = 10


def parse_mix(text: str) -> dict[str, float]:
    """Read shares such as `good=.8,doubtful=.2`, each of 0 to 1; they sum to 1."""
    mix: dict[str, float] = {}
    for part in map(str.strip, text.split(",")):
        name, _, share = part.partition("=")
        if name not in KINDS:
            raise UsageError(f"--mix: {name!r} is none of {', '.join(KINDS)}")
        if name in mix:
            raise UsageError(f"--mix: {name} is named twice")
        mix[name] = math.nan
        with suppress(ValueError):
            mix[name] = float(share)
        if not 0 <= mix[name] <= 1:
            raise UsageError(f"--mix: {part!r} is not a share from 0 to 1, such as {name}=.5")
    if abs(sum(mix.values()) - 1) > _SUM_TOLERANCE:
        raise UsageError(f"--mix: the shares sum to {sum(mix.values()):g}, not to 1")
    return mix


@dataclass(frozen=True)
class Plan:
    """When photos are sent, and which; equal seeds give equal plans."""

    rate: float  # photos a second, on average
    duration_s: float
    burst: int = 0  # so many at once; 0: independent of each other (Poisson)
    mix: Mapping[str, float] = field(default_factory=lambda: parse_mix(DEFAULT_MIX))  # by kind
    seed: int = 0

    def arrivals(self) -> list[float]:
        """Return the seconds from the start at which photos are due, in order."""
        if self.burst:
            count = max(1, round(self.rate * self.duration_s))
            return [number // self.burst * self.burst / self.rate for number in range(count)]
        chance = random.Random(self.seed)  # noqa: S311  # a schedule, no secret
        gaps = iter(lambda: chance.expovariate(self.rate), None)
        return list(takewhile(lambda due: due < self.duration_s, accumulate(gaps)))

    def kinds(self, count: int) -> list[str]:
        """Return the kinds of so many photos."""
        chance = random.Random(self.seed + 1)  # noqa: S311  # a schedule, no secret
        return chance.choices(list(self.mix), list(self.mix.values()), k=count)


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

    def photos(self) -> int:
        """Return how many photos were sent, whatever the number of their versions."""
        return len({uri for uri, _ in self.due})

    def lost(self) -> list[Version]:
        """Return the versions without a record, or whose outcome was not published."""
        return [one for one in self.due if one not in self.records or not self.events[one]]

    def summary(self) -> dict[str, Any]:
        """Return the members of the summary; latencies from due to recorded in seconds, None without any."""
        found = Counter(record.outcome for record in self.records.values())
        seconds = [
            datetime.fromisoformat(record.recorded_at).timestamp() - self.due[version]
            for version, record in self.records.items()
            if record.recorded_at
        ]
        return {
            "sent": len(self.due),
            "outcomes": {name: found[name] for name in OUTCOMES},
            "lost": len(self.lost()),
            "duplicates": sum(times - 1 for times in self.events.values()),
            "unsent": len(self.unsent),
            **{f"{name}_s": percentile(seconds, share) for name, share in SHARES.items()},
        }

    def progress(self) -> str:
        """Return the outcomes so far and their latencies in a line."""
        summary = self.summary()
        parts = [f"{count:,} {name}" for name, count in summary["outcomes"].items() if count]
        parts += [latencies(summary)] if self.records else []
        parts += [f"not sent {len(self.unsent):,}, the last {self.unsent[-1]}"] if self.unsent else []
        return ", ".join(parts)


def latencies(summary: Mapping[str, Any]) -> str:
    """Return the latencies of a summary for a person."""
    return ", ".join(f"{name} {summary[f'{name}_s']} s" for name in SHARES)


def balances(summary: Mapping[str, Any]) -> bool:
    """Return whether everything was sent, and every version has exactly one outcome."""
    return not (summary["lost"] or summary["duplicates"] or summary["unsent"])


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that a share of all does not exceed (nearest rank), to a thousandth."""
    rank = max(1, math.ceil(share * len(values)))
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
        arrivals, account = self._plan.arrivals(), self.account
        kinds = self._plan.kinds(len(arrivals))
        with (
            OutcomeListener(self._stack) as listener,
            ThreadPoolExecutor(SENDERS) as senders,
            progress_bar(total=len(arrivals), title="sent", unit="photo", leave=False) as bar,
        ):
            watcher, begun = Watcher(self._stack, listener), time.time()
            for number, (due, kind) in enumerate(zip(arrivals, kinds, strict=True)):
                senders.submit(self._send, watcher, f"{number:06d}-{kind}.jpg", kind, begun + due)
            end = begun + self._plan.duration_s + timeout_s
            while time.time() < end:
                with self._lock:
                    bar.n, text = account.photos(), "" if bar.disable else account.progress()
                    if bar.n + len(account.unsent) >= len(arrivals) and not account.lost():
                        break
                bar.set_postfix_str(text)
                self._listen(watcher)
            senders.shutdown(cancel_futures=True)
            self._listen(watcher)  # a duplicate event would come about now
        return account

    def _listen(self, watcher: Watcher) -> None:
        heard, account = watcher.listen(), self.account
        with self._lock:
            for detail in heard:
                account.add_event(detail)
            # Only those that were heard of, or are late: reading all each time would be a load of its own.
            late = time.time() - _LATE_S
            missing = [one for one in account.due if one not in account.records]
            asked = [one for one in missing if account.events[one] or account.due[one] < late]
        found = list(watcher.results.get_many(asked))
        with self._lock:
            account.records |= {record.version: record for record in found}

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
