"""A stack whose doubtful photos wait for a person."""

import pytest

from operations.stack import Stack
from tests.support.review import review_stack


@pytest.fixture
def stack(aws: None) -> Stack:
    """Deploy it."""
    del aws
    return review_stack()
