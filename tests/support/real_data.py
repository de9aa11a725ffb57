"""The real archives, for tests that cannot do without them."""

import os
from pathlib import Path

import pytest

from model_build.data.download import find_archive
from model_build.errors import ArchiveError


def real_data(name: str) -> Path:
    """Path of a data file or folder.

    Where it is missing the test fails in continuous integration; elsewhere it is left out and says where it
    looked, since a newcomer has not downloaded anything yet.
    """
    try:
        return find_archive(name)
    except ArchiveError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
