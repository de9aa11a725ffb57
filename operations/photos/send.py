"""Sends photos to a deployed stack and shows what becomes of them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from commandline.terminal import plural, say
from operations.photos.listener import OutcomeListener
from operations.photos.outcome import Outcome, succeeded
from operations.photos.page import make_card, outcomes_page
from operations.photos.report import show
from operations.photos.sources import PREFIX, Photo
from operations.photos.steps import steps_of
from operations.photos.watcher import Watcher
from operations.stack import Stack

_HISTORIES_AT_A_TIME: Final = 4


def send_photos(
    stack: Stack, photos: Sequence[Photo], *, timeout_s: float, as_json: bool, page: Path | None = None
) -> bool:
    """Upload photos, print the outcome of each as it comes, and a summary.

    Args:
        stack: the deployed stack.
        photos: at least one.
        timeout_s: how long one photo may take.
        as_json: one JSON object a line instead of lines for people.
        page: file that the outcomes are written to as a page to look at.

    Returns:
        Whether every photo reached an outcome and none is FAILED.
    """
    say(f"sending {plural(len(photos), 'photo')} to s3://{stack.output('PhotoBucketName')}/{PREFIX}")
    with OutcomeListener(stack) as listener:
        watcher = Watcher(stack, listener, timeout_s=timeout_s)
        outcomes = show(watcher.classify(photos), len(photos), as_json=as_json)
    if page:
        write_page(page, stack, photos, outcomes)
    return succeeded(outcomes)


def write_page(path: Path, stack: Stack, photos: Sequence[Photo], outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes as a page, and tell its address.

    Args:
        path: the file to write; its folder is created if missing.
        stack: the deployed stack, which knows each photo's way through the workflow.
        photos: the photos that were sent.
        outcomes: what became of each.
    """
    files = {photo.key: photo.path for photo in photos}
    with ThreadPoolExecutor(max_workers=_HISTORIES_AT_A_TIME) as pool:
        histories = pool.map(lambda outcome: steps_of(stack, outcome.execution_arn), outcomes)
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
