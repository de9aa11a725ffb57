"""The real archives, for tests that need them."""

import os
from pathlib import Path

import pytest

from model_build.data.download import find_archive
from model_build.errors import ArchiveError


def real_data(name: str) -> Path:
    """Return the path of a data file or folder.

    If it is missing, the test fails in continuous integration and is skipped elsewhere, naming the folders
    that were searched.
    """
    try:
        return find_archive(name)
    except ArchiveError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
