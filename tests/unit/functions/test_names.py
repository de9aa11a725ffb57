"""What lies beside photos is refused by its key, unread; all else is judged by its content."""

import pytest

from tests.support.sam_app import load_function

function = load_function("serialize_image")

BESIDE = [
    # folders that consoles make
    "incoming/2026/",
    # deleted photos and half-written ones
    "incoming/.trashed-1767225600-IMG_20251202_101112.jpg",
    "incoming/.pending-1767225600-IMG_20251202_101112.jpg",
    "incoming/.Trash-1000/files/IMG_1.jpg",
    "incoming/.Trashes/501/IMG_1.jpg",
    "incoming/.globalTrash/IMG_1.jpg",
    "incoming/#recycle/2026/IMG_1.jpg",
    "incoming/@Recycle/IMG_1.jpg",
    "incoming/$RECYCLE.BIN/S-1-5-21/$RABCDEF.jpg",
    "incoming/Trash/IMG_1.jpg",
    "incoming/IMG_1.jpg.crdownload",
    "incoming/IMG_1.jpg.part",
    "incoming/IMG_1.jpg.!sync",
    "incoming/IMG_1.jpg~",
    "incoming/~syncthing~IMG_1.jpg.tmp",
    # thumbnails and older versions
    "incoming/@eaDir/IMG_1.jpg/SYNOPHOTO_THUMB_XL.jpg",
    "incoming/2026/.thumbnails/1001.jpg",
    "incoming/.@__thumb/s100IMG_1.jpg",
    "incoming/.picasaoriginals/IMG_1.jpg",
    "incoming/.stversions/IMG_1~20251202-101112.jpg",
    "incoming/#snapshot/daily/IMG_1.jpg",
    "incoming/MVI_1.THM",
    # what systems and sync clients leave
    "incoming/.DS_Store",
    "incoming/._IMG_0001.jpg",
    "incoming/.AppleDouble/IMG_1.jpg",
    "incoming/__MACOSX/2026/IMG_1.jpg",
    "incoming/a/Thumbs.db",
    "incoming/a/thumbs.db",
    "incoming/ehthumbs.db",
    "incoming/desktop.ini",
    "incoming/Desktop.ini",
    "incoming/DESKTOP.INI",
    "incoming/.picasa.ini",
    "incoming/.stfolder/syncthing-folder-1.txt",
    "incoming/.dropbox.cache/2026-12-02/IMG_1.jpg",
    "incoming/.dropbox.attr",
    "incoming/.sync/Archive/IMG_1.jpg",
    "incoming/.nomedia",
    "incoming/lost+found/IMG_1.jpg",
    # companions of photos
    "incoming/IMG_1.MOV",
    "incoming/img_1.mp4",
    "incoming/IMG_1.AAE",
    "incoming/IMG_1.jpg.json",
    "incoming/IMG_1.jpg.supplemental-metadata(1).json",
    "incoming/IMG_1.xmp",
]
PHOTOS = [
    "incoming/a.jpg",
    "incoming/photo",
    "a",
    "incoming/2026/../a.jpg",
    "incoming//a.jpg",
    "incoming/.jpg",
    "incoming/it's #1 @home ~ 100%.jpg",
    "incoming/db",
    "incoming/mov",
    "incoming/film.mov.jpg",
    "incoming/recycle/a.jpg",
    "incoming/IMG_1.HEIC",
    "incoming/IMG_1.json.jpg",
]


@pytest.mark.parametrize("key", BESIDE)
def test_what_lies_beside_photos_is_refused_unread(key: str) -> None:
    with pytest.raises(function.errors.UnsupportedImage) as refusal:
        function.names.check(key)
    assert str(refusal.value).startswith(f"{function.names.BESIDE}: {key} is ")


@pytest.mark.parametrize("key", PHOTOS)
def test_everything_else_is_judged_by_its_content(key: str) -> None:
    function.names.check(key)
