"""One local cloud for all tests here, deployed by the real `sam deploy` and `model_build deploy`."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.environment import isolated_environment
from tests.support.local_cloud import Listener, LocalCloud, deployed_cloud, run_program, without_rule
from tests.support.tiny_model import write_model

OUTCOME_EVENTS = {"source": ["scones.vehicle-classification"], "detail-type": ["Vehicle Classified"]}


def scones(state: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command line of scones to its end, against the local cloud of a state folder."""
    return run_program("commandline.scones", arguments, isolated_environment(LocalCloud.of(state).running))


def report(cloud: LocalCloud, *arguments: str) -> tuple[int, list[Any]]:
    """Run a command line with --json; return its exit code and its lines."""
    done = scones(cloud.folder, *arguments, "--json")
    assert done.stdout, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def offline() -> list[str]:
    """Return a prefix that runs a command with loopback as its only network."""
    prefix = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "offline"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no process a network of its own (unshare, ip)")
    return prefix


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that calls red things bicycles and green ones motorcycles, and is unsure in between."""
    return write_model(tmp_path_factory.mktemp("model"), ["red", "green"], names=["bicycle", "motorcycle"])


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Path]:
    """State folder of a local cloud on which the application is deployed."""
    folder = tmp_path_factory.mktemp("localcloud")
    with deployed_cloud(folder, "--model", model):
        yield folder


@pytest.fixture(scope="session")
def cloud(state: Path) -> LocalCloud:
    return LocalCloud.of(state)


@pytest.fixture(scope="session")
def published(cloud: LocalCloud) -> Listener:
    return Listener(cloud).to_events(OUTCOME_EVENTS)


@pytest.fixture(name="without_rule")
def _without_rule(cloud: LocalCloud) -> Iterator[None]:
    with without_rule(cloud):
        yield
