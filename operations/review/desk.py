"""One person's session at the review desk: the photos held, the decisions made, and the way back.

Accepted photos, drawn at random, are looked at blind: they bound the model's error rate.
"""

import heapq
import threading
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from commandline.errors import CommandError, UsageError
from model_build.evaluation.promise import CONFIDENCE, error_bound
from operations.outcomes import SEES_NONE
from operations.photos.labelled import NEITHER, identity
from operations.results import SAMPLED, ResultsTable, Version
from operations.review.decisions import AlreadyDecidedError, Decision, Decisions, HeldElsewhereError, Photo
from operations.review.queue import HOLD_S, Message, ReviewQueue
from operations.stack import Stack

AHEAD: Final = 6  # photos held at a time: the one that is shown and the next five
MANY: Final = 36  # while those of one kind are shown together, twelve at a time
SKIPPED: Final = ""  # label of an answer by somebody who cannot tell
_AUDIT_EVERY: Final = 5  # doubtful photos between two audited ones, while there are both
_LABELS_KEPT_S: Final = 5.0  # while photos are shown, every answer has them
_MOST_TRIED: Final = 5  # drawn photos a time: others may have looked at them meanwhile
_UNDOABLE: Final = 100  # answers
_LATEST: Final = 5  # answers that the page lists
PERIOD: Final = timedelta(days=30)  # of the audit
DRAW_EVERY_S: Final = 30.0
_MOST_A_DRAW: Final = 20_000  # photos that are read; the next draw goes on
_LATE: Final = timedelta(minutes=5)  # a record may be in the index so long after its time


class NotHeldError(CommandError):
    """The photo is not on this desk any more."""


def bound(photos: int, errors: int) -> str:
    """Return in words what so many audited photos, some of them labelled wrongly by the model, prove."""
    if not photos:
        return "no accepted photo was audited yet"
    return (
        f"at most {100 * error_bound(errors, photos):.1f} % wrong among accepted photos, "
        f"{100 * CONFIDENCE:.0f} % sure, from {photos} audited with {errors} wrong"
    )


class Audit:
    """Draws a share of accepted photos, each once, in their digests' order: every desk draws the same."""

    def __init__(self, table: ResultsTable, share: float) -> None:
        self._table, self._share = table, share
        self._drawn: list[tuple[float, Version]] = []
        self._seen: set[Version] = set()
        self._photos: Iterator[tuple[float, Version]] = iter(())
        self._since = table.now() - PERIOD
        self._next_draw = float("-inf")

    def draw(self) -> None:
        """Read the table, now and then: it may take a while."""
        if not self._share or time.monotonic() < self._next_draw:
            return
        self._next_draw = time.monotonic() + DRAW_EVERY_S
        if len(read := list(islice(self._photos, _MOST_A_DRAW))) < _MOST_A_DRAW:
            self._photos = self._read()
            read += islice(self._photos, _MOST_A_DRAW)
        for lot, version in read:
            if lot < 1 and version not in self._seen:
                self._seen.add(version)
                heapq.heappush(self._drawn, (lot, version))

    def next(self) -> Version | None:
        """Return a photo; None if enough were drawn of those that were accepted so far."""
        return heapq.heappop(self._drawn)[1] if self._drawn else None

    def _read(self) -> Iterator[tuple[float, Version]]:
        """Yield photos with their lots, below 1 if drawn; only a share above the workflow's needs all."""
        now, others = self._table.now(), (self._share - SAMPLED) / (1 - SAMPLED)
        for sampled, share in ((True, self._share / SAMPLED), (False, others)):
            for version in self._table.accepted(self._since, sampled=sampled) if share > 0 else ():
                digest = identity(*version)
                yield int(digest, 16) / 16 ** len(digest) / share, version
        self._since = now - _LATE


class Desk:
    """A session: who decides, and the share of accepted photos to audit; several threads may use it."""

    def __init__(self, stack: Stack, reviewer: str, audit: float = 0.02) -> None:
        self.stack_name = stack.name
        self._stack, self._table, self._queue = stack, ResultsTable(stack), ReviewQueue(stack)
        self._decisions = Decisions(stack, reviewer)
        self._audit = Audit(self._table, audit)
        self._held: OrderedDict[str, Photo] = OrderedDict()
        self._unpublished: set[str] = set()  # decided, but their events are missing: to be decided again
        self._answers: OrderedDict[str, list[Decision]] = OrderedDict()
        self._undone: set[str] = set()  # on the desk, before all others
        self._skipped: dict[str, float] = {}  # when, by time.monotonic(); those that came back, too
        self._today = (date.min, 0)
        self._lock, self._receiving = threading.RLock(), threading.Lock()
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
        """Return the photos to decide on, up to `MANY`, first the one to be shown; renew the hold on them."""
        with self._receiving:
            with self._lock:
                self._renew()
                wanted = min(count, MANY) - len(self._held)
            # Both may take long: decisions must not wait with them.
            self._audit.draw()
            found = self._queue.take(wanted) if wanted > 0 else []
        with self._lock:
            for message in sorted(found, key=lambda one: identity(*one.photo) in self._skipped):
                self._add(message)
            decided = self._count(0)
            due = decided and decided % _AUDIT_EVERY == 0
            if (due or not self._held) and not any(one.audited for one in self._held.values()):
                for drawn in islice(iter(self._audit.next, None), _MOST_TRIED):
                    with suppress(HeldElsewhereError):
                        if record := self._decisions.hold(*drawn, "ACCEPTED"):
                            self._held[identity(*drawn)] = Photo(record)
                            break
            return self.held()

    def held(self) -> list[dict[str, Any]]:
        """Return the photos on this desk, first the one to be shown; photos of one kind come together.

        Those that were taken back come first, then an audited one, then the kind of which there are most;
        last those that were skipped here before.
        """
        photos: list[dict[str, Any]] = []
        with self._lock:
            for name, photo in self._held.items():
                record = photo.record
                shown = {"id": name, "key": record.key, "audit": photo.audited, "kind": ""}
                if not photo.audited:  # which are looked at without the model's guess
                    kind = NEITHER if (record.neither or 0) >= SEES_NONE else record.label or ""
                    facts = ("label", "confidence", "threshold", "neither")
                    shown |= {**{one: getattr(record, one) for one in facts}, "kind": kind}
                photos.append(shown)
            undone, skipped = {*self._undone}, {*self._skipped}
        kinds = Counter(photo["kind"] for photo in photos)

        def order(photo: dict[str, Any]) -> tuple[bool, bool, bool, int, bool, str]:
            name, kind = photo["id"], photo["kind"]
            first = name in skipped, name not in undone, not photo["audit"]
            return *first, -kinds[kind], kind != NEITHER, kind

        return sorted(photos, key=order)

    def photo(self, name: str) -> Photo | None:
        """Return a photo that is on this desk, or was and can be taken back."""
        if held := self._held.get(name):  # pictures do not wait for decisions
            return held
        with self._lock:
            done = (one.photo for answer in self._answers.values() for one in answer if _name(one) == name)
            return next(done, None)

    def decide(self, name: str, label: str, answer: str = "") -> str:
        """Decide on a photo by its identity and a label, or `NEITHER`; return what went wrong, or nothing.

        Decisions of one answer are taken back together. A photo whose decision was not published
        (NotPublishedError) stays on the desk.
        """
        if label not in {*self.labels, NEITHER}:
            raise UsageError(f"{label!a}: the stack has the labels {', '.join(self.labels)} now")
        with self._lock:
            photo, problem = self._photo_held(name), ""
            self._unpublished.add(name)
            try:
                self._remember(self._decisions.decide(photo, label), answer)
                self._count(1)
            except AlreadyDecidedError as error:
                problem = str(error)
            del self._held[name]
            self._unpublished.discard(name)
            self._undone.discard(name)
            self._skipped.pop(name, None)
            if photo.message:
                with suppress(ClientError, BotoCoreError):  # whoever receives it next drops it
                    self._queue.delete(photo.message)
            return problem

    def skip(self, name: str, answer: str = "") -> None:
        """Give a photo to other desks; what they leave comes back here once nothing else waits."""
        with self._lock:
            photo = self._photo_held(name)
            self._skipped[name] = time.monotonic()
            self._give_back(photo)
            del self._held[name]
            self._remember(Decision(photo, SKIPPED, ""), answer)

    def undo(self, answer: str = "") -> tuple[list[str], str]:
        """Take an answer back, the last one by default, and put its photos before all others.

        Returns their identities and what went wrong. What an error keeps from being taken back stays in the
        answer.
        """
        with self._lock:
            answer = answer or next(reversed(self._answers), "")
            if answer not in self._answers:
                return [], "this answer cannot be taken back any more" if answer else "nothing to undo"
            decisions, undone, problems = self._answers[answer], list[str](), list[str]()
            while decisions:
                try:
                    problems += filter(None, [self._take_back(decisions[-1])])
                    undone.append(_name(decisions[-1]))
                except (AlreadyDecidedError, HeldElsewhereError) as error:
                    problems.append(str(error))
                decisions.pop()
            del self._answers[answer]
            return undone, "\n".join(problems)

    def _take_back(self, decision: Decision) -> str:
        name, photo, problem = _name(decision), decision.photo, ""
        if decision.label == SKIPPED:
            record = self._decisions.hold(*photo.record.version, photo.record.outcome)
            if not record:
                raise AlreadyDecidedError(f"{photo.record.object_uri} was decided by somebody else meanwhile")
            self._skipped.pop(name, None)
        else:
            problem = self._decisions.undo(decision)
            self._count(-1)
        self._held[name] = replace(photo, message=None)  # there is another message, or it comes again
        self._held.move_to_end(name, last=False)
        self._undone.add(name)
        return problem

    def status(self) -> dict[str, Any]:
        """Return what the page shows beside the photo; of the latest answers the last one first."""
        with self._lock:
            latest = [
                {
                    "id": answer,
                    "label": decisions[0].label,
                    "photo": _name(decisions[0]),
                    "key": decisions[0].photo.record.key,
                    "photos": len(decisions),
                }
                for answer, decisions in islice(reversed(self._answers.items()), _LATEST)
            ]
            skipped = len({*self._skipped} - {*self._held})
            session = {"decided": self._count(0), "skipped": skipped, "answers": latest}
        return {**session, "waiting": self._queue.length(), "labels": self.labels}

    def _photo_held(self, name: str) -> Photo:
        if name not in self._held:
            raise NotHeldError("this photo is not held here any more")
        return self._held[name]

    def _remember(self, decision: Decision, answer: str) -> None:
        self._answers.setdefault(answer or uuid.uuid4().hex, []).append(decision)
        if len(self._answers) > _UNDOABLE:
            self._answers.popitem(last=False)

    def _count(self, more: int) -> int:
        """Return how many decisions there were today, with so many more."""
        day, decided = self._today
        today = datetime.now(UTC).astimezone().date()
        self._today = today, max(0, more + (decided if day == today else 0))
        return self._today[1]

    def bound(self) -> str:
        """Return what the audit of the last 30 days proves."""
        return bound(*self._table.audits(self._stack.now() - PERIOD))

    def close(self) -> None:
        """Give the photos back that are held."""
        with self._lock:
            while self._held:
                self._give_back(self._held.popitem()[1])

    def _give_back(self, photo: Photo) -> None:
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
        if name in self._skipped:  # here: others have time, and what else waits comes first
            early = time.monotonic() - self._skipped[name] < HOLD_S
            if early or not {*self._held} <= {*self._skipped}:
                return  # its message becomes visible again
        try:
            record = self._decisions.hold(*message.photo, "LOW_CONFIDENCE")
        except HeldElsewhereError:  # its message becomes visible again, in case that desk dies
            return
        if record:
            self._held[name] = Photo(record, message)
        else:
            self._queue.delete(message)

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


def _name(decision: Decision) -> str:
    return identity(*decision.photo.record.version)
