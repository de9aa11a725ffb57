"""One local cloud for all tests here, deployed by the real `sam deploy` and `model_build deploy`."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from localcloud.environment import isolated_environment
from localcloud.state import StateFolder
from tests.support.local_cloud import Listener, LocalCloud
from tests.support.tiny_model import write_model

ROOT = Path(__file__).resolve().parents[2]
OUTCOME_EVENTS = {"source": ["scones.vehicle-classification"], "detail-type": ["Vehicle Classified"]}


def localcloud(*arguments: str | Path, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command of localcloud to its end, behind a prefix such as `env`."""
    environment = {name: value for name, value in os.environ.items() if name != "SCONES_STATE"}
    return _run("localcloud", arguments, environment, prefix)


def operations(state: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of operations to its end, against the local cloud of a state folder."""
    running = StateFolder(state).load()
    assert running is not None
    return _run("operations", arguments, isolated_environment(running))


def model_build(state: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of model_build to its end, against the local cloud of a state folder."""
    running = StateFolder(state).load()
    assert running is not None
    return _run("model_build", arguments, isolated_environment(running))


def _run(
    program: str,
    arguments: Sequence[str | Path],
    environment: Mapping[str, str],
    prefix: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", program, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


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
    done = localcloud("up", "--state", folder, "--model", model)
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    stopped = localcloud("down", "--state", folder)
    assert stopped.returncode == 0, stopped.stderr


@pytest.fixture(scope="session")
def cloud(state: Path) -> LocalCloud:
    """Return that local cloud."""
    running = StateFolder(state).load()
    assert running is not None
    return LocalCloud(running, state)


@pytest.fixture(scope="session")
def published(cloud: LocalCloud) -> Listener:
    """Everything that is published about outcomes."""
    return Listener(cloud).to_events(OUTCOME_EVENTS)


@pytest.fixture
def without_rule(cloud: LocalCloud) -> Iterator[None]:
    """Disable the rule that starts the workflow."""
    events = cloud.client("events")
    (rule,) = [rule["Name"] for rule in events.list_rules()["Rules"] if "PhotoUploaded" in rule["Name"]]
    events.disable_rule(Name=rule)
    yield
    events.enable_rule(Name=rule)
