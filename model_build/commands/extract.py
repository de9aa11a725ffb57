"""The command `extract`."""

from pathlib import Path

import click

from commandline.options import FILE, PATH, NameList
from commandline.terminal import plural
from model_build.data.cifar import load_archive
from model_build.data.download import find_or_download_cifar100
from model_build.data.lst_format import extract


@click.command()
@click.option(
    "--data",
    type=FILE,
    metavar="ARCHIVE",
    help="CIFAR-10 or CIFAR-100 archive in python layout.  [default: CIFAR-100, downloaded if missing]",
)
@click.option("--output", type=PATH, required=True, metavar="DIR", help="Folder to write into.")
@click.option(
    "--classes",
    type=NameList(),
    help="Classes to write, in label order.  [default: all that have images]",
)
def command(data: Path | None, output: Path, classes: tuple[str, ...] | None) -> None:
    r"""Write an archive as PNG files, with the lists that SageMaker's built-in algorithm reads.

    Writes train/, test/, train.lst and test.lst. A training job of the built-in image-classification
    algorithm takes the folders as its channels `train` and `validation`, the lists as `train_lst` and
    `validation_lst`.

    \b
    Example:
      scones model extract --classes bicycle,motorcycle --output build/cifar
    """
    archive = load_archive(data or find_or_download_cifar100())
    for name, count in extract(archive, output, classes or archive.present).items():
        print(f"{output / name}: {plural(count, 'image')}")
