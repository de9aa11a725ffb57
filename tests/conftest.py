"""What every test folder shares: the repository on the import path, and closed sockets for unit tests."""

import functools
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import pytest_socket
from botocore.loaders import JSONFileLoader
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parents[1]
OWN_CLOUDS = {f"tests/e2e/test_e2e_{name}.py" for name in ("keep", "pages")}
sys.path.insert(0, str(ROOT))


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest) -> None:
    """Fail a unit test that opens a socket, instead of letting it depend on a network."""
    if (ROOT / "tests" / "unit") in request.path.parents:
        pytest_socket.disable_socket(allow_unix_socket=True)
    else:
        pytest_socket.enable_socket()


@pytest.fixture(scope="session", autouse=True)
def _service_models_are_read_once() -> Iterator[None]:
    """Share service models, whose reading takes longer than most tests that make a session."""
    loader = JSONFileLoader()
    with mock.patch.object(JSONFileLoader, "load_file", staticmethod(functools.cache(loader.load_file))):
        yield


def pytest_configure() -> None:
    """Shells let what they start in the background ignore Ctrl-C, and what tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Let one more worker than processors run: a quarter of the time, tests wait for a local cloud."""
    del config
    return (os.cpu_count() or 1) + 1


class FileScheduling(LoadFileScheduling):
    """Sends a file's tests to one worker, and so all of tests/e2e that share a local cloud."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "tests/e2e" if file.startswith("tests/e2e/") and file not in OWN_CLOUDS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    """Return what gives out tests to workers, if there are any."""
    return FileScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a check that did not run is a check that failed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and in CI it must run: {report.longrepr}"
    return report
