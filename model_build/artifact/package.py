"""Make the model.tar.gz that an endpoint runs: the network, its manifest and the code that serves them.

The same model gives the same bytes, so that a digest tells whether two deployments run the same thing.
"""

import argparse
import gzip
import io
import tarfile
from pathlib import Path
from typing import Final

from model_build.errors import ModelBuildError

SERVING: Final = Path(__file__).resolve().parents[1] / "serving"
DEFAULT_MODEL: Final = Path(__file__).resolve().parents[1] / "default_model"
MODEL_FILES: Final = ("manifest.json", "model.onnx")
ROOT_LEVEL_CODE: Final = "ray"  # folder in serving/ whose files Ray Serve looks for at the archive's root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `package`."""
    parser.add_argument(
        "--model",
        type=Path,
        default=DEFAULT_MODEL,
        metavar="DIR",
        help="folder with model.onnx and manifest.json",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("model.tar.gz"), metavar="FILE", help="the archive to write"
    )


def run(args: argparse.Namespace) -> int:
    """The command `package`."""
    archive = package_model(args.model, args.output)
    print(f"{archive}: {archive.stat().st_size:,} bytes")
    return 0


def package_model(model_dir: Path, output: Path) -> Path:
    """Write a model archive in the layout that SageMaker's inference images read.

    Args:
        model_dir: folder with `model.onnx` and `manifest.json`. If it has a `code/` of its own, that is
            packed, otherwise this project's `serving/`.
        output: the tar.gz to write; its folder is made if need be.

    Returns:
        `output`.

    Raises:
        ModelBuildError: the folder has no model, or the archive cannot be written.
    """
    missing = [name for name in MODEL_FILES if not (model_dir / name).is_file()]
    if missing:
        raise ModelBuildError(
            f"{model_dir} has no {' and no '.join(missing)}: give a folder made by `model_build train`"
        )
    files = {name: model_dir / name for name in MODEL_FILES} | _code_files(model_dir)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # Neither name nor time of packing go into the file, or equal models would get unequal archives.
        with (
            output.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for name in sorted(files):
                _add(tar, name, files[name].read_bytes())
    except OSError as exc:
        raise ModelBuildError(f"{output} cannot be written: {exc}") from exc
    return output


def _code_files(model_dir: Path) -> dict[str, Path]:
    """Archive name to file of the code that goes along."""
    own = model_dir / "code"
    code = _files_below(own if own.is_dir() else SERVING)
    root = _files_below(SERVING / ROOT_LEVEL_CODE)
    return {
        f"code/{name}": path for name, path in code.items() if name.split("/")[0] != ROOT_LEVEL_CODE
    } | root


def _files_below(folder: Path) -> dict[str, Path]:
    """Relative name to path of the files in a folder, without what Python leaves there."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.name != "__init__.py"
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)  # its defaults: time 0, owner 0
    info.size = len(content)
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(content))
