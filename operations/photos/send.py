"""Sends photos to a deployed stack and shows the outcome of each: in lines, as JSON, and as an HTML page."""

import base64
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import jinja2
from botocore.exceptions import ClientError
from tqdm import tqdm

from commandline.terminal import has_colour, plural, progress_bar, say, visible
from operations.outcomes import OUTCOMES, painted
from operations.photos.pictures import MOST_BYTES, CannotBeShownError, jpeg
from operations.photos.sources import PREFIX, Photo
from operations.photos.traces import Step, steps_of
from operations.photos.watcher import Outcome, OutcomeListener, Sent, Watcher, succeeded
from operations.stack import Stack
from operations.status import Situation

_REQUESTS_AT_A_TIME: Final = 8
_FIRST_WORD_S: Final = 8.0
_THUMBNAIL_SIDE: Final = 224
_NO_OUTCOME: Final = "NO_OUTCOME"
_WORDS: Final = {  # first what needs a person
    "LOW_CONFIDENCE": "Needs a look",
    "FAILED": "Failed",
    _NO_OUTCOME: "No outcome",
    "REJECTED": "Not usable",
    "ACCEPTED": "Accepted",
}


def send_photos(
    stack: Stack, photos: Sequence[Photo], *, timeout_s: float, as_json: bool, page: Path | None = None
) -> bool:
    """Upload photos, print the outcome of each as it comes, and a summary; return whether all `succeeded`."""
    say(f"sending {plural(len(photos), 'photo')} to s3://{stack.output('PhotoBucketName')}/{PREFIX}")
    photos = with_keys_of_their_own(stack, photos)
    with OutcomeListener(stack) as listener:
        watcher = Watcher(stack, listener, timeout_s=timeout_s)
        watcher.waiting = Waiting(stack).explain
        try:
            outcomes = show(watcher.classify(photos), len(photos), as_json=as_json)
        except KeyboardInterrupt:
            if watcher.pending:
                names = ", ".join(one.name for one in watcher.pending)
                say(f"sent, without an outcome so far: {names}")
            if unsent := watcher.unsent:
                say(f"not sent: {plural(len(unsent), 'photo')}, from {unsent[0].name} on")
            raise
    if page:
        _write_page(page, stack, photos, outcomes)
    return succeeded(outcomes)


def with_keys_of_their_own(stack: Stack, photos: Sequence[Photo]) -> list[Photo]:
    """Add a digest to the keys that other photos have in the bucket: versions of a key are one photo's."""
    s3, bucket = stack.client("s3"), stack.output("PhotoBucketName")

    def with_free_key(photo: Photo) -> Photo:
        if photo.problem():
            return photo
        try:
            stored = s3.head_object(Bucket=bucket, Key=photo.key)["ETag"].strip('"')
            digest = hashlib.md5(photo.path.read_bytes(), usedforsecurity=False).hexdigest()
        except (ClientError, OSError):  # there is none, it may not be asked for, or the upload shows why
            return photo
        stem, suffix = os.path.splitext(photo.key)  # noqa: PTH122 - a key is not a path
        return photo if stored == digest else replace(photo, key=f"{stem}-{digest[:8]}{suffix}")

    with ThreadPoolExecutor(max_workers=_REQUESTS_AT_A_TIME) as pool:
        return list(pool.map(with_free_key, photos))


class Waiting:
    """Says why photos take long: after some seconds, and then ever more seldom."""

    def __init__(self, stack: Stack) -> None:
        self._situation, self._after_s = Situation(stack), _FIRST_WORD_S

    def explain(self, pending: Sequence[Sent]) -> None:
        """Say what keeps photos that were sent from their outcomes, if anything does."""
        if max(one.seconds() for one in pending) < self._after_s:
            return
        self._after_s *= 2
        for sentence in self._situation.trouble():
            tqdm.write(visible(sentence), file=sys.stderr)


def show(outcomes: Iterable[Outcome], total: int, *, as_json: bool) -> list[Outcome]:
    """Print outcomes as they come, then the summary, even if they end with an error; return all of them."""
    start = time.monotonic()
    seen: list[Outcome] = []
    colour = has_colour(sys.stdout)
    try:
        with progress_bar(total=total, title="classified", unit="photo", leave=False) as bar:
            for outcome in outcomes:
                seen.append(outcome)
                bar.clear()
                print(json.dumps(outcome.as_json()) if as_json else line(outcome, colour=colour), flush=True)
                bar.update()
    finally:
        counts, seconds = Counter(outcome.outcome for outcome in seen), time.monotonic() - start
        numbers = {name: counts[name] for name in OUTCOMES}
        lost = total - sum(numbers.values())
        without = f", {lost} without an outcome" if lost else ""
        counted = ", ".join(f"{count} {name}" for name, count in numbers.items())
        text = f"\n{plural(total, 'photo')} in {seconds:.1f} s: {counted}{without}"
        summary = {"photos": total, **numbers, "seconds": round(seconds, 3)}
        print(json.dumps({"summary": summary}) if as_json else text, flush=True)
    return seen


def line(outcome: Outcome, *, colour: bool) -> str:
    """Return one photo for people: outcome, the model's guess, time, file, and the error below."""
    shown = painted("PROBLEM" if outcome.problem else str(outcome.outcome), colour=colour)
    guess, probability = outcome.guess
    sure = "" if probability is None else f"{probability:.3f}"
    text = f"{shown} {guess:<11} {sure:>6} {outcome.seconds:>6.1f} s  {visible(outcome.file)}"
    error = outcome.problem or outcome.error
    return f"{text}\n{'':<15}{visible(error)}" if error else text


@dataclass(frozen=True)
class Card:
    """A photo on the page: its outcome or `_NO_OUTCOME`; its thumbnail as data URI, or why it is missing."""

    outcome: Outcome
    kind: str
    image: str
    steps: Sequence[Step]
    missing: str


def make_card(outcome: Outcome, path: Path, steps: Sequence[Step]) -> Card:
    """Return a photo's card."""
    kind = str(outcome.outcome) if outcome.outcome in OUTCOMES and not outcome.problem else _NO_OUTCOME
    image = missing = ""
    try:
        if path.stat().st_size > MOST_BYTES:
            missing = f"the file is larger than {MOST_BYTES // 2**20} MiB"
        else:
            small = base64.b64encode(jpeg(path.read_bytes(), _THUMBNAIL_SIDE)).decode("ascii")
            image = f"data:image/jpeg;base64,{small}"
    except CannotBeShownError as error:
        missing = str(error)
    except OSError:
        missing = "the file cannot be read"
    return Card(outcome, kind, image, steps, missing)


def outcomes_page(cards: Sequence[Card], *, stack_name: str, threshold: float | None, now: datetime) -> str:
    """Return the outcomes as one HTML file without scripts, that loads nothing."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("operations.photos"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    counts = Counter(card.kind for card in cards)
    kinds = [kind for kind in _WORDS if kind in OUTCOMES or counts[kind]]
    accepted = (card.outcome.label for card in cards if card.kind == "ACCEPTED")
    return templates.get_template("outcomes.html.j2").render(
        cards=sorted(cards, key=lambda card: [*_WORDS].index(card.kind)),
        counts=[(kind, counts[kind]) for kind in kinds],
        words=_WORDS,
        total=plural(len(cards), "photo"),
        stack_name=stack_name,
        threshold=threshold,
        made=f"{now:%Y-%m-%d %H:%M %Z}".strip(),
        labels=sorted(Counter(label for label in accepted if label).items()),
    )


def _write_page(path: Path, stack: Stack, photos: Sequence[Photo], outcomes: Sequence[Outcome]) -> None:
    files = {photo.key: photo.path for photo in photos}
    with ThreadPoolExecutor(max_workers=_REQUESTS_AT_A_TIME) as pool:
        histories = pool.map(lambda one: steps_of(stack, one.execution_arn, one.started_at), outcomes)
        cards = [
            make_card(outcome, files[outcome.s3_key], steps)
            for outcome, steps in zip(outcomes, histories, strict=True)
        ]
    threshold = next((outcome.threshold for outcome in outcomes if outcome.threshold is not None), None)
    now = datetime.now(UTC).astimezone()
    path.parent.mkdir(parents=True, exist_ok=True)
    page = outcomes_page(cards, stack_name=stack.name, threshold=threshold, now=now)
    path.write_text(page, encoding="utf-8", errors="backslashreplace")  # names of files can be anything
    say(f"look at them: {path.resolve().as_uri()}")
