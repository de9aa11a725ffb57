"""`model_build image`."""

import json

import click

from commandline.options import json_option
from model_build.artifact import own_image
from model_build.artifact.serving_packages import ARCHITECTURES, Target
from model_build.endpoint.aws import new_session, region_of
from model_build.endpoint.registry import push


@click.command()
@click.argument("action", type=click.Choice(["build", "push"]))
@click.option(
    "--architecture",
    type=click.Choice(ARCHITECTURES),
    default=ARCHITECTURES[0],
    help="Processor of the endpoint; serverless endpoints have x86_64.",
)
@click.option(
    "--base-image", default=own_image.DEFAULT_BASE_IMAGE, metavar="IMAGE", help="Image that has Python."
)
@click.option(
    "--python", default=own_image.DEFAULT_PYTHON, metavar="VERSION", help="Python of the base image."
)
@json_option
def command(action: str, architecture: str, base_image: str, python: str, *, as_json: bool) -> None:
    r"""Build the project's small serving image, or build and push it (needs Docker).

    The image has ONNX Runtime, NumPy, Pillow and a web server on top of the base image, starts in seconds and
    works on serverless endpoints; `deploy --image own` uses it. `push` puts it into the repository that
    model_build/role.yaml creates; a tag that is there already stays as it is.

    \b
    Example:
      scones model image push
      scones model deploy --image own --serverless-memory 2048 ...
    """
    target = Target(python, architecture)
    if action == "build":
        image = own_image.build(target, base_image)
    else:
        session = new_session()
        region_of(session)  # refuses a missing region before the build
        image = push(session, own_image.build(target, base_image))
    print(json.dumps({"image": image}) if as_json else image)
