"""One person's session at the review desk: the photos held, the decisions made, and the way back."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from operations.results import ResultsTable
from operations.review.audit import Audit, Audited, audited
from operations.review.decisions import NEITHER, AlreadyDecidedError, Decision, Decisions, file_name
from operations.review.queue import HOLD_S, ReviewQueue, Waiting
from operations.stack import Stack

AHEAD: Final = 6
"""Photos held at a time: the one that is shown and the next five."""
GRID: Final = 12
"""Photos held at a time while they are shown together."""
_AUDIT_EVERY: Final = 5  # doubtful photos between two audited ones, while there are both


@dataclass(frozen=True)
class Settings:
    """How a session runs.

    Attributes:
        reviewer: recorded with every decision.
        audit: share of the accepted photos that is looked at, 0 to 1.
        seed: equal seeds audit equal photos; None for chance.
    """

    reviewer: str
    audit: float = 0.02
    seed: int | None = None


class Desk:
    """A session. Its methods may be called from several threads.

    Args:
        stack: the deployed stack.
        settings: how it runs.
    """

    def __init__(self, stack: Stack, settings: Settings) -> None:
        self.stack_name = stack.name
        self.labels: list[str] = stack.output("ClassLabels").split(",")
        self._queue = ReviewQueue(stack)
        self._decisions = Decisions(stack, settings.reviewer)
        self._table = ResultsTable(stack)
        self._audit = Audit(self._table, settings.audit, settings.seed)
        self._held: OrderedDict[str, Waiting] = OrderedDict()
        self._done: deque[Decision] = deque(maxlen=100)
        self._lock = threading.RLock()
        self._decided = 0
        self._renewed = time.monotonic()

    def waiting(self, count: int = AHEAD) -> list[dict[str, Any]]:
        """Return the photos to decide on, first the one to be shown; renews the hold on them.

        Args:
            count: how many to hold, at most `GRID`.
        """
        with self._lock:
            self._renew()
            while taken := self._queue.take(min(count, GRID) - len(self._held)):
                self._held |= {identity(photo): photo for photo in self._doubtful(taken)}
            due = self._decided and self._decided % _AUDIT_EVERY == 0
            audits = any(one.audited for one in self._held.values())
            if (due or not self._held) and not audits and (photo := self._audit.next()):
                self._held[identity(photo)] = photo
            return [self._shown(name, photo) for name, photo in self._held.items()]

    def photo(self, name: str) -> Waiting | None:
        """Return a photo that is held; None if it is not."""
        with self._lock:
            return self._held.get(name)

    def decide(self, name: str, label: str) -> str:
        """Decide on a photo that is held.

        Args:
            name: its identity, as `waiting` gives it.
            label: one of the labels, or `NEITHER`.

        Returns:
            What to tell the reviewer; empty if all went well.

        Raises:
            KeyError: the photo is not held any more.
            ValueError: there is no such label.
        """
        if label not in {*self.labels, NEITHER}:
            raise ValueError(label)
        with self._lock:
            photo = self._held[name]
            problem = ""
            try:
                self._done.append(self._decisions.decide(photo, label))
            except AlreadyDecidedError as error:
                problem = str(error)
            self._queue.finish(photo)
            del self._held[name]
            self._decided += 1
            return problem

    def undo(self) -> str | None:
        """Take the last decision back; returns the photo's identity, None if there is none to take back.

        Raises:
            AlreadyDecidedError: the record was changed meanwhile.
        """
        with self._lock:
            if not self._done:
                return None
            decision = self._done.pop()
            self._decisions.undo(decision)
            photo = decision.photo
            if not photo.audited:
                self._queue.put_back(photo)
            else:
                self._held[identity(photo)] = photo
                self._held.move_to_end(identity(photo), last=False)
            self._decided -= 1
            return identity(photo)

    def status(self) -> dict[str, Any]:
        """Return what the page shows beside the photo."""
        with self._lock:
            return {"decided": self._decided, "waiting": self._queue.length(), "can_undo": bool(self._done)}

    def bound(self) -> Audited:
        """Return what the audited photos say."""
        return audited(self._table)

    def close(self) -> None:
        """Give the photos back that are held."""
        with self._lock:
            for photo in self._held.values():
                self._queue.hold(photo, 0)
            self._held.clear()

    def _doubtful(self, taken: list[Waiting]) -> Iterator[Waiting]:
        """Yield the photos that still wait for a person; the messages of the others are deleted.

        A photo may have two messages, and may have been decided, classified anew or forgotten meanwhile.
        """
        records = self._table.get_many((photo.object_uri, photo.object_version) for photo in taken)
        waiting = {(one.object_uri, one.object_version) for one in records if one.outcome == "LOW_CONFIDENCE"}
        for photo in taken:
            if (photo.object_uri, photo.object_version) in waiting:
                yield photo
            else:
                self._queue.finish(photo)

    def _renew(self) -> None:
        """Keep the photos from others that have been held for a third of the time."""
        if time.monotonic() - self._renewed < HOLD_S / 3:
            return
        self._renewed = time.monotonic()
        for name, photo in list(self._held.items()):
            try:
                self._queue.hold(photo)
            except ClientError:  # it was away too long: the photo is another's by now
                del self._held[name]

    def _shown(self, name: str, photo: Waiting) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": name, "key": photo.key, "audit": photo.audited}
        if not photo.audited:  # an audited photo is looked at without the model's guess
            shown |= {one: photo.facts.get(one) for one in ("label", "confidence", "threshold")}
        return shown


def identity(photo: Waiting) -> str:
    """Return the name of a photo's version in addresses: letters and digits."""
    return file_name(photo.object_uri, photo.object_version).split("-", 1)[0]
