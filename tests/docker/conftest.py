"""One local cloud that containers can reach, and the built functions."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.environment import Addresses, aws_variables
from localcloud.service import free_port
from localcloud.state import StateFolder
from model_build.data.samples import write_samples
from tests.support.lambda_runtime import Invoke, lambda_runtime
from tests.support.local_cloud import LocalCloud, deployed_cloud
from tests.support.sam_app import FOLDERS
from tests.support.sam_local import SamLocal, address_for_containers, docker_problem


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
    # The usual ports are left to the page's commands, which another worker may type meanwhile.
    aws_url, sagemaker_url = (f"http://{address}:{free_port(address)}" for _ in range(2))
    StateFolder(folder).kept.move_to(Addresses(address, aws_url, sagemaker_url, access_key=""))
    with deployed_cloud(folder, "--bind", address) as cloud:
        for path in write_samples(folder / "samples"):
            cloud.upload(f"incoming/samples/{path.name}", path.read_bytes())
        yield cloud


@pytest.fixture(scope="session")
def sam_local(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> SamLocal:
    built = SamLocal(tmp_path_factory.mktemp("sam"), cloud.running)
    built.build()
    return built


@pytest.fixture(scope="session")
def start_lambda(sam_local: SamLocal) -> Iterator[Any]:
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
