"""One local cloud that containers can reach, the built functions, and the table of what they answered."""

import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.environment import aws_variables
from localcloud.state import StateFolder
from localcloud.supervisor import AWS_PORT, SAGEMAKER_PORT
from model_build.data.samples import write_samples
from tests.support.lambda_runtime import Invoke, lambda_runtime
from tests.support.local_cloud import LocalCloud
from tests.support.sam_app import FOLDERS, ROOT
from tests.support.sam_local import SamLocal, address_for_containers, docker_problem, write_environment_file


@dataclasses.dataclass
class Row:
    """One line of the table.

    Attributes:
        function: Its logical name.
        event: Name of the event file.
        answer: In a few words.
        same: Whether each way of calling in Docker gave the emulator's answer.
    """

    function: str
    event: str
    answer: str
    same: dict[str, bool]


TABLE = pytest.StashKey[list[Row]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = []


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> list[Row]:
    """Return the rows that are printed at the end."""
    return pytestconfig.stash[TABLE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[TABLE]
    if not rows:
        return
    ways = list(rows[0].same)
    titles = ("function", "event", "answer", *ways)
    lines = [
        (r.function, r.event, r.answer, *("same" if ok else "NOT SAME" for ok in r.same.values()))
        for r in rows
    ]
    widths = [max(map(len, column)) for column in zip(titles, *lines, strict=True)]
    terminalreporter.section("answers in Docker, compared with AWS's runtime emulator")
    for line in (titles, *lines):
        terminalreporter.write_line(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        )
    functions, different = {row.function for row in rows}, [row for row in rows if not all(row.same.values())]
    terminalreporter.write_line(
        f"{len(functions)} functions, {len(rows)} events, {len(different)} answered differently"
    )


@pytest.fixture(scope="session")
def docker() -> None:
    """Docker with Lambda's image: without it nothing here can be shown, so it is a failure and no skip."""
    if problem := docker_problem():
        pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def cloud(docker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:  # noqa: ARG001
    """Deploy the application and the sample photos to a local cloud that containers reach."""
    folder = tmp_path_factory.mktemp("localcloud")
    address = address_for_containers()
    with contextlib.ExitStack() as usual_ports:  # stay free for the page's commands
        for port in (AWS_PORT, SAGEMAKER_PORT):
            with contextlib.suppress(OSError):
                usual_ports.enter_context(socket.create_server((address, port)))
        _localcloud("up", "--state", str(folder), "--bind", address)
    try:
        running = StateFolder(folder).load()
        assert running is not None
        cloud = LocalCloud(running, folder)
        for path in write_samples(folder / "samples"):
            cloud.upload(f"incoming/samples/{path.name}", path.read_bytes())
        yield cloud
    finally:
        _localcloud("down", "--state", str(folder))


def _localcloud(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localcloud", *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "SCONES_STATE"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def sam_local(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> SamLocal:
    """Build the functions with `sam build`."""
    folder = tmp_path_factory.mktemp("sam")
    environment_file = folder / "env.json"
    write_environment_file(environment_file, cloud.running)
    built = SamLocal(folder, environment_file, cloud.running.access_key)
    built.build()
    return built


@pytest.fixture(scope="session")
def start_lambda(sam_local: SamLocal) -> Iterator[Any]:
    """Return a boto3 client of `sam local start-lambda`."""
    with sam_local.start_lambda() as client:
        yield client


@pytest.fixture(scope="session")
def emulator(
    cloud: LocalCloud, sam_local: SamLocal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Invoke]]:
    """Run the same built code on AWS's runtime emulator, without Docker, on the same local cloud."""
    logs = tmp_path_factory.mktemp("emulator")
    variables = aws_variables(cloud.running)
    with contextlib.ExitStack() as stack:
        yield {
            folder: stack.enter_context(
                lambda_runtime(folder, variables, logs / f"{folder}.log", code=sam_local.code(folder))
            )
            for folder in FOLDERS
        }
