"""Write an archive's images as PNG files, with the lists SageMaker's built-in image classification reads.

The lists are in its "lst" format: a running number, the label's number and the file's path within its
channel, separated by tabs (https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html). A
training job takes `train/` and `test/` as its channels `train` and `validation`, `train.lst` and `test.lst`
as `train_lst` and `validation_lst`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from model_build.data.cifar import Archive, Split, find_or_download_cifar100, load_archive
from model_build.errors import ModelBuildError, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `extract`."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="ARCHIVE",
        help="CIFAR-10 or CIFAR-100 archive in python layout; without it CIFAR-100 is found or downloaded",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument(
        "--classes",
        type=comma_separated,
        metavar="NAME,NAME",
        help="classes to write, in label order; all that the archive has images of by default",
    )


def comma_separated(text: str) -> tuple[str, ...]:
    """Class names of one option, `bicycle,motorcycle`.

    Raises:
        argparse.ArgumentTypeError: a name is empty or stands twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of different names separated by commas")
    return names


def run(args: argparse.Namespace) -> int:
    """The command `extract`."""
    archive = load_archive(args.data or find_or_download_cifar100())
    classes = args.classes or archive.present
    for name, count in extract(archive, args.output, classes).items():
        print(f"{args.output / name}: {count} images")
    return 0


def extract(archive: Archive, output: Path, classes: Sequence[str]) -> dict[str, int]:
    """Write `train/`, `test/`, `train.lst` and `test.lst`.

    Args:
        archive: where the images come from.
        output: folder to write into; made if need be. Files of an earlier run are overwritten.
        classes: names of the classes to write; the label of the first is 0.

    Returns:
        How many images went to `train` and `test`.

    Raises:
        UsageError: the archive has no images of one of the classes.
        ModelBuildError: the folder cannot be written.
    """
    unknown = [name for name in classes if name not in archive.present]
    if unknown:
        raise UsageError(
            f"{archive.path} has no images of {', '.join(unknown)}; it has {', '.join(archive.present)}"
        )
    numbers = {archive.classes.index(name): number for number, name in enumerate(classes)}
    try:
        return {
            name: _write_split(split, output, name, numbers)
            for name, split in (("train", archive.train), ("test", archive.test))
        }
    except OSError as exc:
        raise ModelBuildError(f"{output} cannot be written: {exc}") from exc


def _write_split(split: Split, output: Path, name: str, numbers: dict[int, int]) -> int:
    """Write the images of one split and their list; `numbers` maps the archive's labels to ours."""
    (output / name).mkdir(parents=True, exist_ok=True)
    chosen = [index for index, label in enumerate(split.labels.tolist()) if label in numbers]
    lines = []
    for number, index in enumerate(tqdm(chosen, desc=name, unit="image", disable=None)):
        # Only the base name: what an archive calls its images must not lead out of the folder. The index in
        # the split keeps two images of one name apart.
        stem = Path(split.filenames[index].replace("\\", "/")).stem
        file = f"{index:05d}_{stem}.png"
        Image.fromarray(split.images[index]).save(output / name / file)
        lines.append(f"{number}\t{numbers[int(split.labels[index])]}\t{file}\n")
    (output / f"{name}.lst").write_text("".join(lines), encoding="utf-8")
    return len(chosen)
