"""A local cloud with the application, the review desk on it, and the system's Chromium."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from localcloud.access import LocalSession
from operations.review.desk import Desk
from operations.review.server import create_app
from operations.stack import Stack
from tests.e2e.conftest import cloud, model, published, state
from tests.support.local_cloud import LocalCloud
from tests.support.review import review_stack
from tests.unit.operations.conftest import aws

__all__ = ["aws", "cloud", "model", "published", "state"]

expect.set_options(timeout=20_000)  # other processes may keep this one waiting
SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
TOKEN = "token"  # noqa: S105
REBOUND = "evil.example"
"""A name that the browser resolves to loopback, as a page's own name server could."""


@dataclass(frozen=True)
class RunningDesk:
    """A review desk that is served: its address without the token, and its session."""

    url: str
    desk: Desk

    def page(self, name: str = "") -> str:
        """Return a page's whole address."""
        return f"{self.url}/{name}?token={TOKEN}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium, which must be installed."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "no Chromium found: install it (Debian: apt install chromium), or run .ci/install-chromium"
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a page in a profile of its own; fail the test if the page logs an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert errors == []


def look(page: Page, name: str) -> None:
    """Take a picture of a page; fail if anything sticks out of it or hinders anybody."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert [(name, one["id"]) for one in Axe().run(page).response["violations"]] == []


def stack_of(local: LocalCloud) -> Stack:
    """Return the stack that is deployed on a local cloud."""
    return Stack("scones", local.outputs, LocalSession(local.running))


@contextmanager
def served(stack: Stack) -> Iterator[RunningDesk]:
    """Serve the review desk of a stack on a free port."""
    session = Desk(stack, "ada", audit=0.0)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(stack, session, TOKEN), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield RunningDesk(f"http://127.0.0.1:{listener.getsockname()[1]}", session)
    server.should_exit = True
    thread.join(10)
    session.close()
    listener.close()


@pytest.fixture
def desk(cloud: LocalCloud) -> Iterator[RunningDesk]:
    """Serve the review desk of the local cloud."""
    with served(stack_of(cloud)) as running:
        yield running


@pytest.fixture
def stack(aws: None) -> Stack:
    """Make a small stack in this process, whose records and messages a test puts there."""
    del aws
    return review_stack()


@pytest.fixture
def small_desk(stack: Stack) -> Iterator[RunningDesk]:
    """Serve the review desk of the small stack."""
    with served(stack) as running:
        yield running
