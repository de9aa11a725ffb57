"""Keys that are no photos by their name are refused before anything is read; all others are read."""

import pytest

from tests.support.sam_app import load_function

function = load_function("serialize_image")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("incoming/2026/", "is a folder"),
        ("incoming/.DS_Store", "settings from macOS"),
        ("incoming/a/Thumbs.db", "thumbnails from Windows"),
        ("incoming/desktop.ini", "settings from Windows"),
        ("incoming/._IMG_0001.jpg", "metadata from macOS"),
    ],
)
def test_what_systems_leave_is_refused(key: str, kind: str) -> None:
    with pytest.raises(function.errors.UnsupportedImage, match=kind):
        function.names.check(key)


@pytest.mark.parametrize(
    "key", ["incoming/a.jpg", "incoming/.hidden.jpg", "incoming/photo", "incoming/a.MOV", "a"]
)
def test_everything_else_is_judged_by_its_content(key: str) -> None:
    function.names.check(key)
