"""`localcloud demo`."""

import shutil
from pathlib import Path
from typing import Final

import click

from commandline.errors import FAILED, UsageError
from commandline.options import FOLDER, POSITIVE, SECONDS, json_option, trust_code_option
from commandline.terminal import say
from localcloud import lifecycle
from localcloud.application import Application
from localcloud.options import DEMO_STATE, bind_option, model_option, state_option
from localcloud.state import StateFolder
from localcloud.steps import Steps, timed
from model_build.archive.package import DEFAULT_MODEL
from model_build.data.cifar import load_archive
from model_build.data.download import CIFAR_100, find_if_present
from model_build.data.samples import write_samples
from operations.photos.send import send_photos
from operations.photos.sources import PREFIX, Photo, find_photos

_ARCHIVE_PHOTOS: Final = 20


@click.command("demo")
@click.option(
    "--photos", type=FOLDER, metavar="DIR", help="Your photos, subfolders included, not the samples."
)
@click.option("--limit", type=POSITIVE, metavar="N", help="At most so many photos.")
@model_option
@trust_code_option
@bind_option
@click.option("--timeout", type=SECONDS, default=180, help="How long one photo may take.")
@json_option
@state_option(DEMO_STATE)
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    photos: Path | None,
    limit: int | None,
    model: Path | None,
    trust_code: bool,
    bind: str,
    timeout: float,
    as_json: bool,
    state: Path,
) -> int:
    r"""Start the application, classify photos, show the outcome of each, and stop it.

    Without --photos it draws samples. The outcomes are also written to a page to look at, whose address is
    printed (build/demo/outcomes.html). With --json each photo is one line, and the last line is the summary.
    Exit code 0 if every photo reached an outcome and none is FAILED.

    \b
    Example:
      scones local demo --photos ~/photos
    """
    folder = StateFolder(state)
    found = find_photos([photos], every_file=True) if photos else None
    for skipped in found.skipped if found else ():
        say(skipped)
    if folder.supervisor():
        raise UsageError(
            f"a local cloud runs already with the state folder {folder.path}: send photos to it "
            "(`scones send`), or stop it first (make down)"
        )
    with folder.reserved(), Steps(folder.logs) as steps:
        application = Application(folder, steps, model or DEFAULT_MODEL, trust_code=trust_code)
        chosen = steps.submit(lambda: found.photos if found else sample_photos(folder.path / "samples"))
        running, process = lifecycle.start_and_deploy(folder, steps, application, bind, owned=True)
        try:
            stack, page = lifecycle.stack_of(folder, running), folder.path / "outcomes.html"
            sent = chosen.result()[:limit]
            return 0 if send_photos(stack, sent, timeout_s=timeout, as_json=as_json, page=page) else FAILED
        finally:
            lifecycle.stop_process(process)


def sample_photos(folder: Path) -> list[Photo]:
    """Write sample photos, with some test images of CIFAR-100 if its archive is there; return them."""
    with timed("sample photos drawn"):
        shutil.rmtree(folder, ignore_errors=True)
        write_samples(folder / "drawn")
        photos = find_photos([folder / "drawn"], f"{PREFIX}samples/", every_file=True).photos
        for archive in find_if_present(CIFAR_100):
            photos += _from_archive(archive, folder / "archive")
        return photos


def _from_archive(archive: Path, folder: Path) -> list[Photo]:
    """Write test images of a CIFAR archive, taken evenly from all, as PNG; return them."""
    from PIL import Image  # noqa: PLC0415 - without an archive no image is written here

    data = load_archive(archive)
    total = len(data.test.images)
    photos = []
    for index in range(0, total, max(1, total // _ARCHIVE_PHOTOS)):
        label = data.classes[int(data.test.labels[index])]
        path = folder / label / f"{Path(data.test.filenames[index]).stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.test.images[index]).save(path)
        name = f"{label}/{path.name}"
        photos.append(Photo(f"test images/{name}", path, f"{PREFIX}test-images/{name}"))
    return photos[:_ARCHIVE_PHOTOS]
