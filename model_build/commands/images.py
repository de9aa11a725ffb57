"""The commands `extract` and `samples`: images as files, and the lists that SageMaker's algorithm reads.

Each line of a list has a number, the index of the label and the file's path within its channel, separated by
tabs (https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html).
"""

from pathlib import Path

import click
from PIL import Image

from commandline.options import FILE, PATH, NameList
from commandline.terminal import plural, progress
from model_build.data.cifar import Split, load_archive
from model_build.data.download import find_or_download_cifar100
from model_build.data.samples import write_samples
from model_build.errors import UsageError


@click.command("extract")
@click.option(
    "--data",
    type=FILE,
    metavar="ARCHIVE",
    help="CIFAR-10 or CIFAR-100 archive in python layout.  [default: CIFAR-100, downloaded if missing]",
)
@click.option("--output", type=PATH, required=True, metavar="DIR", help="Folder to write into.")
@click.option(
    "--classes", type=NameList(), help="Classes to write, in label order.  [default: all that have images]"
)
def extract_command(data: Path | None, output: Path, classes: tuple[str, ...] | None) -> None:
    r"""Write an archive as PNG files, with the lists that SageMaker's built-in algorithm reads.

    Writes train/, test/, train.lst and test.lst. A training job of the built-in image-classification
    algorithm takes the folders as its channels `train` and `validation`, the lists as `train_lst` and
    `validation_lst`.

    \b
    Example:
      scones model extract --classes bicycle,motorcycle --output build/cifar
    """
    archive = load_archive(data or find_or_download_cifar100())
    names = classes or archive.present
    if unknown := [name for name in names if name not in archive.present]:
        raise UsageError(
            f"{archive.path} has no images of {', '.join(unknown)}; it has {', '.join(archive.present)}"
        )
    numbers = {archive.classes.index(name): number for number, name in enumerate(names)}
    for name, split in (("train", archive.train), ("test", archive.test)):
        count = write_split(split, output, name, numbers)
        print(f"{output / name}: {plural(count, 'image')}")


def write_split(split: Split, output: Path, name: str, numbers: dict[int, int]) -> int:
    """Write the images of one split and their list; `numbers` maps the archive's label indices to ours."""
    (output / name).mkdir(parents=True, exist_ok=True)
    chosen = [index for index, label in enumerate(split.labels.tolist()) if label in numbers]
    lines = []
    for number, index in enumerate(progress(chosen, total=len(chosen), title=name, unit="image")):
        # Only the base name, so that a file name in an archive cannot lead out of the folder; the index keeps
        # images of equal names apart.
        stem = Path(split.filenames[index].replace("\\", "/")).stem
        file = f"{index:05d}_{stem}.png"
        Image.fromarray(split.images[index]).save(output / name / file)
        lines.append(f"{number}\t{numbers[int(split.labels[index])]}\t{file}\n")
    (output / f"{name}.lst").write_text("".join(lines), encoding="utf-8")
    return len(chosen)


@click.command("samples")
@click.option(
    "--output", type=PATH, default=Path("build/samples"), metavar="DIR", help="Folder to write into."
)
def samples_command(output: Path) -> None:
    r"""Draw the sample photos of the demo and of events/.

    Four vehicles, a cat, a house, and five files that are not usable photos; the same files every time.

    \b
    Example:
      scones model samples --output build/samples
    """
    try:
        paths = write_samples(output)
    except OSError as error:
        raise UsageError(f"cannot write to {output}: {error.strerror}") from error
    print(f"{len(paths)} sample photos in {output}")
