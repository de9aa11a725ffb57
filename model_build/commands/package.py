"""`model_build package`."""

from pathlib import Path

import click

from commandline.options import FOLDER, PATH, trust_code_option
from model_build.archive.container_images import OWN, SERVING_IMAGES
from model_build.archive.package import DEFAULT_MODEL, model_files, package_model
from model_build.archive.trusted_code import require_own_code


@click.command
@click.option(
    "--model",
    type=FOLDER,
    default=DEFAULT_MODEL,
    show_default=False,
    metavar="DIR",
    help="Folder with model.onnx and manifest.json.  [default: the shipped model]",
)
@click.option(
    "--image",
    type=click.Choice(list(SERVING_IMAGES)),
    default=OWN,
    help="Image that will serve it; an archive for AWS's images contains the packages that they lack.",
)
@click.option("--output", type=PATH, default="model.tar.gz", metavar="FILE", help="Archive to write.")
@trust_code_option
def command(*, model: Path, image: str, output: Path, trust_code: bool) -> None:
    r"""Write the model.tar.gz that an endpoint serves.

    The archive contains the network, its manifest and the code that serves them, in the layout of SageMaker's
    inference images. The same model always gives the same bytes. `deploy` packages a folder itself: use this
    command to keep an archive, or to deploy it by other means.

    \b
    Example:
      scones model package --model build/model --output build/model.tar.gz
    """
    model_files(model)
    require_own_code(model, trusted=trust_code)
    archive = package_model(model, output, SERVING_IMAGES[image].packages)
    click.echo(f"{archive}: {archive.stat().st_size:,} bytes")
