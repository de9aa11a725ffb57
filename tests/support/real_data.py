"""What lies beside the checkout, for tests that need it: archives, and recordings."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

from model_build.data.download import find_archive
from model_build.errors import ArchiveError


def is_missing(reason: str) -> NoReturn:
    """Fail a test that needs what is missing in continuous integration, and skip it elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def real_data(name: str) -> Path:
    """Return the path of a data file or folder; if it `is_missing`, the reason names where it looked."""
    try:
        return find_archive(name)
    except ArchiveError as error:
        is_missing(str(error))
