"""docs/sam-local.md: each of its commands works as it stands there."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lambda_runtime import wait_for_port
from tests.support.pages import PLACEHOLDER, Shell, copy_checkout, environment, shell_blocks
from tests.support.sam_app import ROOT
from tests.support.sam_local import address_for_containers

PAGE = ROOT / "docs" / "sam-local.md"
ADDRESS = "172.17.0.1"
PORTS = {4566: "the local cloud", 4567: "the SageMaker stand-in", 3001: "sam local start-lambda"}


@pytest.fixture
def checkout(docker: None, tmp_path: Path) -> Iterator[Path]:  # noqa: ARG001
    """Copy the project, so that a build and a local cloud of the user's own stay as they are."""
    for port, service in PORTS.items():
        host = "127.0.0.1" if service.startswith("sam") else address_for_containers()
        try:
            socket.create_server((host, port)).close()
        except OSError:
            pytest.fail(f"port {port} of {host}, where the page has {service}, is taken: stop that first")
    copy = copy_checkout(tmp_path / "scones")
    yield copy
    done = subprocess.run(["make", "down"], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_command_of_the_page_works(checkout: Path) -> None:
    # Docker Desktop, and a network that is not the usual one, have another address.
    found = shell_blocks(PAGE.read_text(encoding="utf-8").replace(ADDRESS, address_for_containers()))
    commands = [block for block in found if not PLACEHOLDER.search(block)]  # which needs an AWS account
    service = next(block for block in commands if "start-lambda" in block)
    position = commands.index(service)
    with Shell(checkout, environment()) as shell:
        shown = [shell.type(block) for block in commands[:position]]
        with running(checkout, service):
            shown += [shell.type(block) for block in commands[position + 1 :]]

    answers = list(objects("".join(shown)))
    assert [sorted(answer.keys() & {"image_data", "inferences", "errorType"}) for answer in answers] == [
        ["image_data", "inferences"],  # SerializeImage
        ["inferences"],  # ClassifyImage
        ["errorType"],  # FilterInference
        ["image_data", "inferences"],  # SerializeImage, with a generated event
        ["inferences"],  # ClassifyImage, through the AWS CLI
    ]
    assert answers[2]["errorType"] == "ThresholdConfidenceNotMet"
    assert re.fullmatch(r"motorcycle 0\.9\d+\n", shown[-1])


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a text, whatever stands between them."""
    decoder, position = json.JSONDecoder(), 0
    while (position := text.find('{"', position)) >= 0:
        answer, position = decoder.raw_decode(text, position)
        yield answer


@contextlib.contextmanager
def running(checkout: Path, block: str) -> Iterator[None]:
    """Leave a block running in a second terminal until the context ends; Ctrl-C ends it."""
    log = checkout / "start-lambda.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=checkout,
            env=environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for_port(3001, process, log, 60)
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
