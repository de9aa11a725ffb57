"""Pages of other origins, and names rebound to loopback: no server of ours does anything for them."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Error, Page, Response

from tests.browser.conftest import REBOUND, RunningDesk
from tests.support.local_cloud import LocalCloud


@pytest.fixture(scope="module")
def foreign_page() -> Iterator[str]:
    """Serve an empty page from another port, hence another origin."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


def servers(cloud: LocalCloud, desk: RunningDesk) -> dict[str, str]:
    return {"ministack": cloud.running.aws_url, "sagemaker": cloud.running.sagemaker_url, "desk": desk.url}


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """Open a page whose refused requests are no failure of the test."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


REQUESTS = """async (url) => {
  const simple = {mode: "no-cors", method: "POST", headers: {"Content-Type": "text/plain"}};
  const answers = [];
  for (const [path, options] of [
    ["/", {mode: "no-cors"}],
    ["/?Action=CreateQueue&QueueName=stolen", {...simple, body: "Action=CreateQueue&QueueName=stolen"}],
    ["/2015-03-31/functions", {...simple, body: "{}"}],
    ["/endpoints/x/invocations", {...simple, body: "x"}],
    ["/decide", {...simple, body: "{}"}],
    ["/waiting", {}],
  ]) {
    try { answers.push((await fetch(url + path, options)).type); } catch (error) { answers.push("refused"); }
  }
  const image = new Image();
  image.src = url + "/?Action=CreateQueue&QueueName=stolen";
  await image.decode().catch(() => {});
  return answers;
}"""


def test_a_page_of_another_origin_is_refused_by_every_server(
    cloud: LocalCloud, desk: RunningDesk, foreign_page: str, stranger: Page
) -> None:
    stranger.goto(desk.page())  # the browser has the desk's cookie
    for name, url in servers(cloud, desk).items():
        statuses: list[tuple[str, int]] = []

        def note(response: Response, url: str = url, statuses: list[tuple[str, int]] = statuses) -> None:
            if response.url.startswith(url):
                statuses.append((response.url.removeprefix(url), response.status))

        stranger.on("response", note)
        stranger.goto(foreign_page)
        answers = stranger.evaluate(REQUESTS, url)
        assert statuses, name
        assert {status for _, status in statuses} <= {403}, (name, statuses)
        assert answers[-1] == "refused", "what could be read must not be"
    queues = cloud.client("sqs").list_queues(QueueNamePrefix="stolen").get("QueueUrls", [])
    assert queues == []


def test_a_name_that_is_rebound_to_loopback_is_refused_by_every_server(
    cloud: LocalCloud, desk: RunningDesk, stranger: Page
) -> None:
    for name, url in servers(cloud, desk).items():
        statuses: list[int] = []
        stranger.on("response", lambda response, statuses=statuses: statuses.append(response.status))
        with contextlib.suppress(Error):  # an answer that is not a page is downloaded
            stranger.goto(url.replace("127.0.0.1", REBOUND) + "/")
        assert statuses, name
        assert set(statuses) <= {400, 403}, name
