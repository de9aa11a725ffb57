"""Sends photos to a deployed stack and shows what becomes of them."""

from collections.abc import Sequence

from commandline.terminal import plural, say
from operations.photos.listener import OutcomeListener
from operations.photos.outcome import succeeded
from operations.photos.report import show
from operations.photos.sources import PREFIX, Photo
from operations.photos.watcher import Watcher
from operations.stack import Stack


def send_photos(stack: Stack, photos: Sequence[Photo], *, timeout_s: float, as_json: bool) -> bool:
    """Upload photos, print the outcome of each as it comes, and a summary.

    Args:
        stack: the deployed stack.
        photos: at least one.
        timeout_s: how long one photo may take.
        as_json: one JSON object a line instead of lines for people.

    Returns:
        Whether every photo reached an outcome and none is FAILED.
    """
    say(f"sending {plural(len(photos), 'photo')} to s3://{stack.output('PhotoBucketName')}/{PREFIX}")
    with OutcomeListener(stack) as listener:
        watcher = Watcher(stack, listener, timeout_s=timeout_s)
        return succeeded(show(watcher.classify(photos), len(photos), as_json=as_json))
