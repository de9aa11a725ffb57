"""The commands `package` and `image`: what an endpoint runs, an archive or an image."""

import json
from pathlib import Path

import click

from commandline.aws import open_session
from commandline.options import FOLDER, PATH, json_option, trust_code_option
from model_build.archive import own_image
from model_build.archive.container_images import OWN, SERVING_IMAGES
from model_build.archive.package import DEFAULT_MODEL, package_model
from model_build.archive.serving_packages import ARCHITECTURES, Target
from model_build.archive.trusted_code import require_own_code
from model_build.endpoint.aws import STACK_NAME, make_stack


@click.command("package")
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
def package_command(*, model: Path, image: str, output: Path, trust_code: bool) -> None:
    r"""Write the model.tar.gz that an endpoint serves.

    The archive contains the network, its manifest and the code that serves them, in the layout of SageMaker's
    inference images. The same model always gives the same bytes. `deploy` packages a folder itself: use this
    command to keep an archive, or to deploy it by other means.

    \b
    Example:
      scones model package --model build/model --output build/model.tar.gz
    """
    require_own_code(model, trusted=trust_code)
    archive = package_model(model, output, SERVING_IMAGES[image].packages)
    click.echo(f"{archive}: {archive.stat().st_size:,} bytes")


@click.command("image")
@click.argument("action", type=click.Choice(["build", "push"]))
@click.option(
    "--architecture",
    type=click.Choice(list(ARCHITECTURES)),
    default="x86_64",
    help="Processor of the endpoint; serverless endpoints have x86_64.",
)
@click.option("--base-image", default=own_image.DEFAULT_BASE_IMAGE, metavar="IMAGE", help="It has Python.")
@click.option("--python", default=own_image.DEFAULT_PYTHON, metavar="VERSION", help="Its Python.")
@click.option("--stack-name", default=STACK_NAME, help="Stack of model_build/role.yaml with the repository.")
@click.option("--yes", is_flag=True, help="Create the stack without asking.")
@json_option
def image_command(  # noqa: PLR0913 - one parameter per option
    *,
    action: str,
    architecture: str,
    base_image: str,
    python: str,
    stack_name: str,
    yes: bool,
    as_json: bool,
) -> None:
    r"""Build the project's small serving image, or build and push it (needs Docker).

    The image has ONNX Runtime, NumPy, Pillow and a web server on top of the base image, starts in seconds and
    works on serverless endpoints; `deploy --image own` uses it. `push` puts it into the repository of the
    model's stack, which it creates if there is none; a tag that is there already stays as it is.

    \b
    Example:
      scones model image push
      scones model deploy --image own --serverless-memory 2048
    """
    target = Target(python, architecture)
    if action == "build":
        image = own_image.build(target, base_image)
    else:
        session = open_session()
        stack = make_stack(session, stack_name, yes=yes)
        image = own_image.push(session, own_image.build(target, base_image), stack.repository)
    print(json.dumps({"image": image}) if as_json else image)
