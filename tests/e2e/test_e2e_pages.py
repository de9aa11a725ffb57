"""README.md and docs/: their commands work as they stand there.

On the local cloud as a reader uses it, and with a bare local cloud in the place of somebody's AWS account.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.environment import aws_variables
from localcloud.host import build_target
from model_build.data.samples import write_samples
from tests.support.local_cloud import LocalCloud, bare_cloud
from tests.support.pages import Shell, copy_checkout, environment, fill_in, section, shell_blocks
from tests.support.sam_app import ROOT

README = ROOT / "README.md"
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


def wait_for_record(cloud: LocalCloud) -> tuple[str, str]:
    """Return the outcome and the error of the only photo, once there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        items = cloud.client("dynamodb").scan(TableName=outputs(cloud)["ResultsTableName"])["Items"]
        if items:
            return items[0]["outcome"]["S"], items[0].get("cause", {"S": ""})["S"]
        time.sleep(0.2)
    raise AssertionError("no photo has an outcome after a minute")


@pytest.mark.timeout(900)  # where .venv/run is not made yet, the first command makes it
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


@pytest.mark.timeout(600)
def test_readme_deploy_and_remove(checkout: Path, account: LocalCloud) -> None:
    text = section(README, "## Deploy it to AWS, in four steps")
    steps, _, removal = text.partition("### Remove it")
    with Shell(checkout, in_account(account)) as shell:
        shell.type('export PATH="$PWD/.venv/run/bin:$PATH"')
        for block in shell_blocks(steps):
            shell.type(fill_in(block, outputs(account)))
        outcome = wait_for_record(account)
        assert outcome == ("ACCEPTED", ""), outcome
        for block in shell_blocks(removal):
            shell.type(block)

    assert account.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert not {"scones", "scones-model"} & living_stacks(account)


@pytest.mark.timeout(600)
def test_deployment_page(checkout: Path, account: LocalCloud) -> None:
    page = DOCS / "deployment.md"
    other_target = section(page, "### Another Python or processor")  # runs nowhere but on that target
    text = page.read_text(encoding="utf-8").replace(other_target, "")
    before, _, removal = text.partition("## Remove everything")
    with Shell(checkout, in_account(account)) as shell:
        for block in shell_blocks(before):
            shell.type(fill_in(block, outputs(account)))
        outcome = wait_for_record(account)
        assert outcome == ("ACCEPTED", ""), outcome
        for block in shell_blocks(removal):
            shell.type(block)

    assert not {"scones", "scones-model"} & living_stacks(account)


def living_stacks(cloud: LocalCloud) -> set[str]:
    """Return the names of the stacks that were not deleted."""
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"}
