"""One person's session at the review desk: the photos held, the decisions made, and the way back."""

import threading
import time
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from commandline.errors import CommandError, UsageError
from operations.photos.labelled import NEITHER, identity
from operations.results import ResultsTable
from operations.review.audit import Audit, Audited, audited
from operations.review.decisions import AlreadyDecidedError, Decision, Decisions, HeldElsewhereError, Photo
from operations.review.queue import HOLD_S, Message, ReviewQueue
from operations.stack import Stack

AHEAD: Final = 6  # photos held at a time: the one that is shown and the next five
GRID: Final = 12  # while they are shown together
_AUDIT_EVERY: Final = 5  # doubtful photos between two audited ones, while there are both
_LABELS_KEPT_S: Final = 5.0  # while photos are shown, every answer has them
_MOST_TRIED: Final = 5  # drawn photos a time: others may have looked at them meanwhile
_UNDOABLE: Final = 100


class UnknownLabelError(UsageError):
    """The stack has no such label, or not any more."""


class NotHeldError(CommandError):
    """The photo is not on this desk any more."""


@dataclass(frozen=True)
class Settings:
    """How a session runs: who decides, and the share of accepted photos to audit."""

    reviewer: str
    audit: float = 0.02


class Desk:
    """A session. Its methods may be called from several threads."""

    def __init__(self, stack: Stack, settings: Settings) -> None:
        self.stack_name = stack.name
        self._stack = stack
        self._queue = ReviewQueue(stack)
        self._decisions = Decisions(stack, settings.reviewer)
        self._table = ResultsTable(stack)
        self._audit = Audit(self._table, settings.audit)
        self._held: OrderedDict[str, Photo] = OrderedDict()
        self._unpublished: set[str] = set()  # decided, but their events are missing: to be decided again
        self._done: deque[Decision] = deque(maxlen=_UNDOABLE)
        self._lock, self._receiving = threading.RLock(), threading.Lock()
        self._decided = 0
        self._renewed = time.monotonic()
        self._labels: tuple[float, list[str]] = (float("-inf"), [])

    @property
    def labels(self) -> list[str]:
        """The stack's labels as they are now: a deployment may change them."""
        asked, labels = self._labels
        if time.monotonic() - asked >= _LABELS_KEPT_S:
            labels = self._stack.refreshed().output("ClassLabels").split(",")
            self._labels = time.monotonic(), labels
        return labels

    def waiting(self, count: int = AHEAD) -> list[dict[str, Any]]:
        """Return the photos to decide on, up to `GRID`, first the one to be shown; renew the hold on them."""
        with self._receiving:
            with self._lock:
                self._renew()
                wanted = min(count, GRID) - len(self._held)
            # Both may take long: decisions must not wait with them.
            self._audit.draw()
            found = self._queue.take(wanted) if wanted > 0 else []
        with self._lock:
            for message in found:
                self._add(message)
            due = self._decided and self._decided % _AUDIT_EVERY == 0
            if (due or not self._held) and not any(one.audited for one in self._held.values()):
                self._add_audited()
            return self.held()

    def held(self) -> list[dict[str, Any]]:
        """Return the photos on this desk, first the one to be shown."""
        with self._lock:
            return [_shown(name, photo) for name, photo in self._held.items()]

    def photo(self, name: str) -> Photo | None:
        """Return a photo on this desk; None if it is not."""
        return self._held.get(name)

    def decide(self, name: str, label: str) -> str:
        """Decide on a photo by its identity and a label, or `NEITHER`; return what went wrong, or nothing.

        A photo whose decision was not published (NotPublishedError) stays on the desk.
        """
        if label not in {*self.labels, NEITHER}:
            raise UnknownLabelError(f"{label!a}: the stack has the labels {', '.join(self.labels)} now")
        with self._lock:
            if name not in self._held:
                raise NotHeldError("this photo is not held here any more")
            problem = ""
            self._unpublished.add(name)
            try:
                self._done.append(self._decisions.decide(self._held[name], label))
                self._decided += 1
            except AlreadyDecidedError as error:
                problem = str(error)
            self._drop(name)
            return problem

    def undo(self) -> tuple[str, str] | None:
        """Take the last decision back and put its photo first; return its identity and what went wrong."""
        with self._lock:
            if not self._done:
                return None
            decision = self._done[-1]  # stays the last one until it is taken back
            try:
                problem = self._decisions.undo(decision)
            except AlreadyDecidedError:
                self._done.pop()
                raise
            self._done.pop()
            self._decided -= 1
            name = identity(*decision.photo.record.version)
            self._held[name] = replace(decision.photo, message=None)  # the event brings another message
            self._held.move_to_end(name, last=False)
            return name, problem

    def status(self) -> dict[str, Any]:
        """Return what the page shows beside the photo."""
        with self._lock:
            session = {"decided": self._decided, "can_undo": bool(self._done)}
        return {**session, "waiting": self._queue.length(), "labels": self.labels}

    def bound(self) -> Audited:
        """Return the audit's figures."""
        return audited(self._table)

    def close(self) -> None:
        """Give the photos back that are held."""
        with self._lock:
            while self._held:
                _, photo = self._held.popitem()
                with suppress(ClientError, BotoCoreError):  # the holds expire
                    self._decisions.release(photo.record)
                    if photo.message:
                        self._queue.hold(photo.message, 0)

    def _add(self, message: Message) -> None:
        """Put the photo of a message on the desk, unless it is on another or needs nobody any more.

        A photo may have two messages, and may have been decided, classified anew or forgotten meanwhile.
        """
        name = identity(*message.photo)
        if here := self._held.get(name):
            if here.message and here.message.identity != message.identity:
                self._queue.delete(here.message)
            self._held[name] = replace(here, message=message)
            return
        try:
            record = self._decisions.hold(*message.photo, "LOW_CONFIDENCE")
        except HeldElsewhereError:  # its message becomes visible again, in case that desk dies
            return
        if record:
            self._held[name] = Photo(record, message)
        else:
            self._queue.delete(message)

    def _add_audited(self) -> None:
        for drawn in islice(iter(self._audit.next, None), _MOST_TRIED):
            with suppress(HeldElsewhereError):
                if record := self._decisions.hold(*drawn, "ACCEPTED"):
                    self._held[identity(*drawn)] = Photo(record)
                    return

    def _drop(self, name: str) -> None:
        photo = self._held.pop(name)
        self._unpublished.discard(name)
        if photo.message:
            with suppress(ClientError, BotoCoreError):  # whoever receives it next drops it
                self._queue.delete(photo.message)

    def _renew(self) -> None:
        """Keep the photos from others that have been held for a third of the time."""
        if time.monotonic() - self._renewed < HOLD_S / 3:
            return
        self._renewed = time.monotonic()
        for name, photo in list(self._held.items()):
            ours = False
            with suppress(HeldElsewhereError, ClientError):  # this desk was away too long
                if photo.message:
                    self._queue.hold(photo.message)
                held = self._decisions.hold(*photo.record.version, photo.record.outcome)
                ours = bool(held) or name in self._unpublished
            if not ours:
                del self._held[name]


def _shown(name: str, photo: Photo) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": name, "key": photo.record.key, "audit": photo.audited}
    if not photo.audited:  # an audited photo is looked at without the model's guess
        shown |= {one: getattr(photo.record, one) for one in ("label", "confidence", "threshold")}
    return shown
