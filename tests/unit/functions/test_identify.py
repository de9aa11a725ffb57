"""What lies beside photos is refused by its key, unread; all else is judged by its content."""

import pytest

from tests.support.sam_app import load_function

function = load_function("serialize_image")

BESIDE = {
    "folders that consoles make": """
        2026/
    """,
    "deleted photos and half-written ones": """
        .trashed-1767225600-IMG_20251202_101112.jpg .pending-1767225600-IMG_20251202_101112.jpg
        .Trash-1000/files/IMG_1.jpg .Trashes/501/IMG_1.jpg .globalTrash/IMG_1.jpg
        #recycle/2026/IMG_1.jpg @Recycle/IMG_1.jpg $RECYCLE.BIN/S-1-5-21/$RABCDEF.jpg Trash/IMG_1.jpg
        IMG_1.jpg.crdownload IMG_1.jpg.part IMG_1.jpg.!sync IMG_1.jpg~ ~syncthing~IMG_1.jpg.tmp
    """,
    "thumbnails and older versions": """
        @eaDir/IMG_1.jpg/SYNOPHOTO_THUMB_XL.jpg 2026/.thumbnails/1001.jpg .@__thumb/s100IMG_1.jpg
        .picasaoriginals/IMG_1.jpg .stversions/IMG_1~20251202-101112.jpg #snapshot/daily/IMG_1.jpg
        MVI_1.THM
    """,
    "what systems and sync clients leave": """
        .DS_Store ._IMG_0001.jpg .AppleDouble/IMG_1.jpg __MACOSX/2026/IMG_1.jpg a/Thumbs.db a/thumbs.db
        ehthumbs.db desktop.ini Desktop.ini DESKTOP.INI .picasa.ini .stfolder/syncthing-folder-1.txt
        .dropbox.cache/2026-12-02/IMG_1.jpg .dropbox.attr .sync/Archive/IMG_1.jpg .nomedia
        lost+found/IMG_1.jpg
    """,
    "companions of photos": """
        IMG_1.MOV img_1.mp4 IMG_1.AAE IMG_1.jpg.json IMG_1.jpg.supplemental-metadata(1).json IMG_1.xmp
    """,
}
PHOTOS = "a.jpg photo 2026/../a.jpg /a.jpg .jpg db mov film.mov.jpg recycle/a.jpg IMG_1.HEIC IMG_1.json.jpg"


@pytest.mark.parametrize("name", " ".join(BESIDE.values()).split())
def test_what_lies_beside_photos_is_refused_unread(name: str) -> None:
    key = f"incoming/{name}"
    with pytest.raises(function.errors.UnsupportedImage) as refusal:
        function.identify.check_key(key)
    assert str(refusal.value).startswith(f"{function.identify.BESIDE}: {key} is ")


@pytest.mark.parametrize("name", ["it's #1 @home ~ 100%.jpg", *PHOTOS.split()])
def test_everything_else_is_judged_by_its_content(name: str) -> None:
    function.identify.check_key(f"incoming/{name}")
    function.identify.check_key("a")
