"""README.md and docs/: their commands work as they stand there.

On the local cloud as a reader uses it, and with a bare local cloud in the place of somebody's AWS account.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from commandline.polling import poll
from localcloud.environment import aws_variables, build_target
from model_build.data.drawings import FIRST_TEST_SEED, draw
from model_build.data.samples import write_samples
from tests.support.local_cloud import LocalCloud, bare_cloud
from tests.support.pages import Shell, copy_checkout, environment, fill_in, section, shell_blocks
from tests.support.sam_app import ROOT
from tests.support.tiny_model import cifar100_files, write_archive

README = ROOT / "README.md"
SHOW_HELP = """
import click
from commandline.scones import program

def show(command, context):
    print(chr(0) + command.get_help(context))
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        found = command.get_command(context, name)
        show(found, click.Context(found, context, name))

show(program, click.Context(program, info_name="scones"))
"""
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project, and put a photo into it."""
    folder = copy_checkout(tmp_path_factory.mktemp("pages") / "scones")
    samples = tmp_path_factory.mktemp("samples")
    write_samples(samples)
    (samples / "bicycle.jpg").rename(folder / "photo.jpg")
    return folder


@pytest.fixture
def account(tmp_path: Path) -> Iterator[LocalCloud]:
    """Start an empty cloud in the place of an AWS account."""
    with bare_cloud(tmp_path / "account") as cloud:
        yield cloud


def in_account(cloud: LocalCloud) -> dict[str, str]:
    """Return the environment of somebody who works with that account, and builds for what runs there."""
    return environment() | aws_variables(cloud.running) | build_target() | {"SAM_CLI_TELEMETRY": "0"}


def outputs(cloud: LocalCloud) -> dict[str, str]:
    """Return the outputs of all stacks: what a reader puts in the place of `<Name>`."""
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {
        output["OutputKey"]: output["OutputValue"] for stack in stacks for output in stack.get("Outputs", [])
    }


def living_stacks(cloud: LocalCloud) -> set[str]:
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"}


def wait_for_record(cloud: LocalCloud) -> tuple[str, str]:
    """Return the outcome and the error of the only photo, once there is one."""
    dynamodb, table = cloud.client("dynamodb"), outputs(cloud)["ResultsTableName"]
    items = poll(lambda: dynamodb.scan(TableName=table)["Items"], until=bool, timeout_seconds=60)
    return items[0]["outcome"]["S"], items[0].get("cause", {"S": ""})["S"]


def test_readme_use_it_here(checkout: Path) -> None:
    text = section(README, "## Use it here")
    with Shell(checkout, environment()) as shell:
        try:
            said = [shell.type(block) for block in shell_blocks(text)]
        finally:
            stopped = shell.type("make down")
    assert "ACCEPTED       bicycle" in said[1]
    assert "LOW_CONFIDENCE" in said[1]
    assert '"outcome"' in said[-1]
    assert not stopped


def test_readme_deploy_and_remove(checkout: Path, account: LocalCloud) -> None:
    text = section(README, "## Deploy it to AWS, in three steps")
    steps, _, removal = text.partition("### Remove it")
    with Shell(checkout, in_account(account)) as shell:
        shell.type('export PATH="$PWD/.venv/run/bin:$PATH"')
        for block in shell_blocks(steps):
            shell.type(fill_in(block, outputs(account)))
        assert wait_for_record(account) == ("ACCEPTED", "")
        for block in shell_blocks(removal):
            shell.type(block)
    assert account.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert not {"scones", "scones-model"} & living_stacks(account)


def test_deployment_page(checkout: Path, account: LocalCloud) -> None:
    page = DOCS / "deployment.md"
    text = page.read_text(encoding="utf-8")
    for title in (
        "### Another Python or processor",  # runs nowhere but on that target
        "### A serverless endpoint, and the small image",  # needs Docker: tests/docker builds the image
    ):
        text = text.replace(section(page, title), "")
    before, _, removal = text.partition("## Remove everything")
    with Shell(checkout, in_account(account)) as shell:
        for block in shell_blocks(before):
            shell.type(fill_in(block, outputs(account)))
        assert wait_for_record(account) == ("ACCEPTED", "")
        operate(shell, account)
        for block in shell_blocks(removal):
            shell.type(block)

    assert not {"scones", "scones-model"} & living_stacks(account)


def operate(shell: Shell, cloud: LocalCloud) -> None:
    """Type the commands of docs/operations.md and docs/report.md."""
    text = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("operations.md", "report.md"))
    for block in shell_blocks(text):
        command = block.rstrip()
        if "--baseline" in command:  # it needs captured photos, as unit tests have
            continue
        if command.startswith("aws sqs"):  # as the page says of version 1 of the AWS CLI
            command += f" --endpoint-url {cloud.running.aws_url}"
        shell.type(fill_in(command, outputs(cloud)))
        if "--capture" in command:
            shell.type("scones send photo.jpg")
            wait_for_capture(cloud)


def wait_for_capture(cloud: LocalCloud) -> None:
    """Wait until the endpoint has written a captured photo, as it does some time after its answer."""
    s3, files = cloud.client("s3"), {"Bucket": outputs(cloud)["BucketName"], "Prefix": "capture/"}
    poll(lambda: s3.list_objects_v2(**files).get("KeyCount"), until=bool, timeout_seconds=30)


def test_model_page_use_and_measure(checkout: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for label in ("bicycle", "motorcycle"):
        (photos / label).mkdir(parents=True)
        for number in range(3):
            draw(label, FIRST_TEST_SEED + number, (640, 480)).save(photos / label / f"{number}.jpg")
    files = cifar100_files(["red", "green"], train=4, test=4)
    files["cifar-100-python/meta"] = {b"fine_label_names": [b"bicycle", b"motorcycle"]}
    archive = write_archive(tmp_path / "cifar-100-python.tar.gz", files)
    values = {"folder": str(photos), "archive": str(archive)}
    text = section(DOCS / "model.md", "## Use and measure it")
    with Shell(checkout, environment()) as shell:
        shell.type('export PATH="$PWD/.venv/run/bin:$PATH"')
        said = [shell.type(fill_in(block, values)) for block in shell_blocks(text)]

    assert "bicycle" in said[0]
    assert "threshold 0.85" in said[1]
    assert (checkout / "build" / "cifar" / "train.lst").exists()


def test_every_command_has_help_with_an_example_in_the_environment_of_the_demo(checkout: Path) -> None:
    shown = subprocess.run(
        [checkout / ".venv" / "run" / "bin" / "python", "-c", SHOW_HELP],
        cwd=checkout,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    pages = shown.stdout.split("\0")[1:]
    assert len(pages) > 30
    assert [page for page in pages if "Example" not in page] == []
