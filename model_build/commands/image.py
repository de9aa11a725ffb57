"""`model_build image`: this project's serving image."""

import json
from typing import Final

import click

from commandline.options import json_option
from model_build.artifact import own_image
from model_build.artifact.serving_packages import ARCHITECTURES, Target
from model_build.endpoint.aws import new_session, region_of
from model_build.endpoint.registry import push as push_to_registry

_architecture: Final = click.option(
    "--architecture",
    type=click.Choice(ARCHITECTURES),
    default=ARCHITECTURES[0],
    help="Processor of the endpoint; serverless endpoints have x86_64.",
)
_base_image: Final = click.option(
    "--base-image", default=own_image.DEFAULT_BASE_IMAGE, metavar="IMAGE", help="Image that has Python."
)
_python: Final = click.option(
    "--python", default=own_image.DEFAULT_PYTHON, metavar="VERSION", help="Python of the base image."
)


@click.group()
def command() -> None:
    r"""Build or push the small serving image of this project (needs Docker).

    It contains the base image, ONNX Runtime, NumPy, Pillow and a web server, starts in seconds, and works on
    serverless endpoints. `deploy --image own` uses it.

    \b
    Example:
      python -m model_build image push
      python -m model_build deploy --image own --serverless-memory 2048 ...
    """


@command.command()
@_architecture
@_base_image
@_python
@json_option
def build(architecture: str, base_image: str, python: str, *, as_json: bool) -> None:
    r"""Build the image in the local Docker engine.

    \b
    Example:
      python -m model_build image build
    """
    name = own_image.build(Target(python, architecture), base_image)
    print(json.dumps({"image": name}) if as_json else name)


@command.command()
@_architecture
@_base_image
@_python
@json_option
def push(architecture: str, base_image: str, python: str, *, as_json: bool) -> None:
    r"""Build the image and push it to the repository that model_build/role.yaml creates.

    A tag that is in the repository already is left as it is.

    \b
    Example:
      python -m model_build image push --architecture arm64
    """
    session = new_session()
    region_of(session)
    uri = push_to_registry(session, own_image.build(Target(python, architecture), base_image))
    print(json.dumps({"image": uri}) if as_json else uri)
