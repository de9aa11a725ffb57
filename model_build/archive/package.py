"""The layout of `model.tar.gz`, the archive that an endpoint serves: networks, manifest and serving code.

SageMaker unpacks the archive into /opt/ml/model and puts `code/` on the import path
(https://docs.aws.amazon.com/sagemaker/latest/dg/model-train-storage.html); Ray Serve looks for its files at
the root. Packages that an image lacks are in `code/packages/`: a `code/requirements.txt` would be installed
when the container starts. The same model always gives the same bytes, so that a digest identifies what a
deployment serves. The manifest, which takes pydantic, is imported where one is read.
"""

import gzip
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from model_build.archive.serving_packages import Target, packages_for
from model_build.data.extract import hash_files, read_file
from model_build.errors import ModelBuildError

SERVING: Final = Path(__file__).resolve().parents[1] / "serving"
DEFAULT_MODEL: Final = Path(__file__).resolve().parents[1] / "default_model"
CODE: Final = "code"
HANDLERS: Final = f"{CODE}/inference.py"
BUNDLED: Final = f"{CODE}/packages"
ROOT_LEVEL_CODE: Final = "ray"  # folder in serving/ whose files Ray Serve looks for at the archive's root
OF_THE_IMAGE: Final = "container"  # folder in serving/ that is no part of an archive
COMPRESSION: Final = 6  # zlib's default; 9 takes three times as long for half a percent


def package_model(model_dir: Path, output: Path, packages: Target | None = None) -> Path:
    """Write a model archive as SageMaker's images read it, with `packages` if the image lacks them."""
    files = model_files(model_dir) | code_files(model_dir) | (bundled_files(packages) if packages else {})
    output.parent.mkdir(parents=True, exist_ok=True)
    # Neither the name nor the time goes into the file, or equal models would get different archives.
    with (
        output.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in sorted(files):
            info = tarfile.TarInfo(name)  # its defaults: time 0, owner 0
            info.size, info.mode = files[name].stat().st_size, 0o644
            with files[name].open("rb") as content:
                tar.addfile(info, content)
    return output


def model_files(model_dir: Path) -> dict[str, Path]:
    """Return the manifest and the networks of a model folder, name to file; refuse what is damaged."""
    from model_build.archive.manifest import FILE_NAME, Manifest, file_digests, require_equal  # noqa: PLC0415

    described = Manifest.read(model_dir)
    found = {name: model_dir / name for name in (FILE_NAME, *described.networks)}
    if missing := [name for name, path in found.items() if not path.is_file()]:
        raise ModelBuildError(
            f"{model_dir} has no {' and no '.join(missing)}: give a folder written by `scones model train`"
        )
    require_equal(described.files, file_digests(model_dir, found), str(model_dir))
    return found


def code_files(model_dir: Path | None = None) -> dict[str, Path]:
    """Return the serving code of an archive, name to file: this project's (`serving/`), or a model's own.

    That is its `code/` as a whole, and each file at its root that Ray Serve looks for.
    """
    own = model_dir / CODE if model_dir else SERVING
    code = _files_below(own if own.is_dir() else SERVING)
    root = _files_below(SERVING / ROOT_LEVEL_CODE)
    if model_dir:
        root |= {name: model_dir / name for name in root if (model_dir / name).is_file()}
    elsewhere = {ROOT_LEVEL_CODE, OF_THE_IMAGE}
    code = {f"{CODE}/{name}": path for name, path in code.items() if name.split("/")[0] not in elsewhere}
    return code | root


def write_code(model_dir: Path) -> None:
    """Write this project's serving code into a model folder, which a training job archives as it is."""
    for name, path in code_files().items():
        (model_dir / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, model_dir / name)


def labels_in(manifest: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the labels in a manifest that nobody has checked; None if it has none."""
    labels = manifest.get("labels")
    return tuple(map(str, labels)) if isinstance(labels, list) else None


def verify_archive(archive: Path) -> None:
    """Compare the networks in an archive with the digests in its manifest, if it has one with digests."""
    from model_build.archive.manifest import require_equal  # noqa: PLC0415

    expected = read_manifest(archive).get("files")
    if isinstance(expected, dict):
        require_equal(expected, hash_files(archive), str(archive))


def read_manifest(archive: Path) -> dict[str, Any]:
    """Return an archive's manifest, unchecked; {} without one: the image's own code judges the archive."""
    from model_build.archive.manifest import FILE_NAME, ManifestError, parse  # noqa: PLC0415

    try:
        document = parse(read_file(archive, FILE_NAME) or b"{}")
    except ManifestError:
        return {}
    return document if isinstance(document, dict) else {}


def bundled_files(target: Target) -> dict[str, Path]:
    """Return the packages of an archive for a target: name in the archive to file."""
    folder = packages_for(target)
    return {
        f"{BUNDLED}/{target.folder}/{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _files_below(folder: Path) -> dict[str, Path]:
    """Return the files in a folder by relative name, without what Python leaves there."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.name != "__init__.py"
    }
