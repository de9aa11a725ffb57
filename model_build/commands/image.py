"""`model_build image`."""

import json

import click

from commandline.options import json_option
from model_build.archive import own_image
from model_build.archive.serving_packages import ARCHITECTURES, Target
from model_build.endpoint.aws import STACK_NAME, find_stack, make_stack, new_session, region_of


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
@click.option(
    "--stack-name", default=STACK_NAME, help="Stack of model_build/role.yaml, which has the repository."
)
@click.option("--yes", is_flag=True, help="Create the stack without asking.")
@json_option
def command(  # noqa: PLR0913 - one parameter per option
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
        session = new_session()
        region_of(session)  # refuses a missing region before the build
        stack = find_stack(session, stack_name)
        if not stack.exists:
            stack = make_stack(session, stack_name, yes=yes)
        image = own_image.push(session, own_image.build(target, base_image), stack.repository)
    print(json.dumps({"image": image}) if as_json else image)
