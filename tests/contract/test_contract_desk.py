"""The review desk shows what the workflow reads: with the same decoder, up to the same limits."""

import re
from pathlib import Path

from operations.photos.pictures import MAX_PIXELS, MOST_BYTES
from tests.support.sam_app import constant

ROOT = Path(__file__).resolve().parents[2]


def test_heic_is_decoded_by_one_version() -> None:
    files = (
        "functions/serialize_image/requirements-heif.txt",
        "requirements/run.txt",
        "requirements/test.txt",
    )
    found = {re.findall(r"^pillow-heif==(\S+)", (ROOT / file).read_text(), re.MULTILINE)[0] for file in files}
    assert len(found) == 1


def test_no_stack_accepts_more_than_the_desk_shows() -> None:
    assert (constant("Photo", "MaxPixels"), constant("Photo", "MaxObjectBytes")) == (MAX_PIXELS, MOST_BYTES)
