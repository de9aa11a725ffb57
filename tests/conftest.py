"""What every test folder shares: the repository on the import path, and closed sockets for unit tests."""

import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import pytest_socket

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest) -> None:
    """Fail a unit test that opens a socket, instead of letting it depend on a network."""
    if (ROOT / "tests" / "unit") in request.path.parents:
        pytest_socket.disable_socket(allow_unix_socket=True)
    else:
        pytest_socket.enable_socket()


def pytest_configure() -> None:
    """Shells let what they start in the background ignore Ctrl-C, and what tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one worker of xdist, and so all that share the local cloud of tests/e2e."""
    for item in items:
        shares = item.path.parent.name == "e2e" and "state" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("e2e" if shares else str(item.path)))


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
