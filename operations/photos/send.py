"""Sends photos to a deployed stack and shows the outcome of each: in lines, as JSON, and as a page."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError
from tqdm import tqdm

from commandline.escapes import visible
from commandline.terminal import has_colour, plural, progress_bar, say
from operations.outcomes import OUTCOMES, painted
from operations.photos.listener import OutcomeListener
from operations.photos.outcome import Outcome, succeeded, summarize
from operations.photos.page import make_card, outcomes_page
from operations.photos.sources import PREFIX, Photo
from operations.photos.steps import steps_of
from operations.photos.watcher import Sent, Watcher
from operations.stack import Stack
from operations.status import Situation

_REQUESTS_AT_A_TIME: Final = 8
_PROBLEM: Final = "PROBLEM"
_FIRST_WORD_S: Final = 8.0


def line(outcome: Outcome, *, colour: bool) -> str:
    """Return one photo for people: outcome, the model's guess, time, file, and the error below."""
    word = _PROBLEM if outcome.problem else str(outcome.outcome)
    guess, probability = outcome.guess
    sure = "" if probability is None else f"{probability:.3f}"
    shown = painted(word, colour=colour)
    file = visible(outcome.file)
    text = f"{shown} {guess:<11} {sure:>6} {outcome.seconds:>6.1f} s  {file}"
    error = outcome.problem or outcome.error
    return f"{text}\n{'':<15}{visible(error)}" if error else text


def show(outcomes: Iterable[Outcome], total: int, *, as_json: bool) -> list[Outcome]:
    """Print outcomes as they come, then the summary, even if they end with an error.

    Returns:
        All of them.
    """
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
        numbers = summarize(seen, time.monotonic() - start) | {"photos": total}
        _print_summary(numbers, as_json=as_json)
    return seen


def _print_summary(numbers: dict[str, float], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"summary": numbers}), flush=True)
        return
    counted = ", ".join(f"{numbers[name]} {name}" for name in OUTCOMES)
    lost = int(numbers["photos"]) - sum(int(numbers[name]) for name in OUTCOMES)
    without = f", {lost} without an outcome" if lost else ""
    photos = plural(int(numbers["photos"]), "photo")
    print(f"\n{photos} in {numbers['seconds']:.1f} s: {counted}{without}", flush=True)


def send_photos(
    stack: Stack, photos: Sequence[Photo], *, timeout_s: float, as_json: bool, page: Path | None = None
) -> bool:
    """Upload photos, print the outcome of each as it comes, and a summary.

    Returns:
        Whether every photo reached an outcome and none is FAILED.
    """
    say(f"sending {plural(len(photos), 'photo')} to s3://{stack.output('PhotoBucketName')}/{PREFIX}")
    photos = with_keys_of_their_own(stack, photos)
    with OutcomeListener(stack) as listener:
        watcher = Watcher(stack, listener, timeout_s=timeout_s)
        watcher.waiting = Waiting(stack).explain
        try:
            outcomes = show(watcher.classify(photos), len(photos), as_json=as_json)
        except KeyboardInterrupt:
            _say_what_was_sent(watcher)
            raise
    if page:
        write_page(page, stack, photos, outcomes)
    return succeeded(outcomes)


def _say_what_was_sent(watcher: Watcher) -> None:
    """Name the photos that have no outcome when `send` is interrupted."""
    if watcher.pending:
        say(f"sent, without an outcome so far: {', '.join(one.name for one in watcher.pending)}")
    if unsent := watcher.unsent:
        say(f"not sent: {plural(len(unsent), 'photo')}, from {unsent[0].name} on")


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


def write_page(path: Path, stack: Stack, photos: Sequence[Photo], outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes as a page, and print its address."""
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
