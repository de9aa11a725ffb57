"""Names the photos that the last end of a local cloud cost something."""

from datetime import datetime, timedelta
from typing import Final

from commandline.escapes import visible
from commandline.terminal import say
from operations.redrive import send_to_review, without_outcome
from operations.results import ResultsTable
from operations.stack import Stack

_UPLOADED: Final = timedelta(days=30)  # as far as `scones redrive --missing` looks back
_ON_THE_WAY: Final = timedelta(seconds=10)


def name_lost(stack: Stack, killed: datetime | None) -> None:
    """Name the photos whose execution was not ended, and send review messages again that were lost by a kill.

    Args:
        stack: what runs again.
        killed: when messages were saved last, if they were not saved at the end.
    """
    table, now = ResultsTable(stack), stack.now()
    if killed:
        doubtful = table.find(outcome="LOW_CONFIDENCE", since=killed - _ON_THE_WAY)
        for record in send_to_review(stack, (one for one in doubtful if not one.decided_by)):
            say(f"  on the review queue again: {visible(record.object_uri)}")
    # A clock that was set back makes uploads of before later than now.
    photos = [one.photo for one in without_outcome(stack, table, now - _UPLOADED, now + _UPLOADED)]
    for photo in photos:
        say(f"  without an outcome: {visible(photo)}")
    if photos:
        say("classify them now: scones redrive --missing --older-than 1s")
