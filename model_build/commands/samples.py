"""The command `samples`."""

from pathlib import Path

import click

from commandline.options import PATH
from model_build.data.samples import write_samples
from model_build.errors import UsageError


@click.command()
@click.option(
    "--output", type=PATH, default=Path("build/samples"), metavar="DIR", help="Folder to write into."
)
def command(output: Path) -> None:
    r"""Draw the sample photos of the demo and of events/.

    Four vehicles, a cat, a house, and five files that are not usable photos; the same files every time.

    \b
    Example:
      scones model samples --output build/samples
    """
    try:
        paths = write_samples(output)
    except OSError as error:
        raise UsageError(
            f"cannot write to {output}: {error.strerror}. Name another folder with --output"
        ) from error
    print(f"{len(paths)} sample photos in {output}")
