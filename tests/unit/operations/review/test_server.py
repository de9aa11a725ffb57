"""Who may talk to the review desk: its own page on this machine, and nobody else."""

import asyncio
import io
import json
import re
from typing import Any

import pytest
from PIL import Image
from starlette.applications import Starlette

from operations.review.desk import Desk, Settings
from operations.review.server import LONGEST_SIDE, TOKEN_HEADER, create_app
from operations.stack import Stack
from tests.support.photo_files import encode, picture
from tests.support.review import put_doubtful

OWN = {"host": "127.0.0.1:4580"}


@pytest.fixture
def app(stack: Stack) -> Starlette:
    put_doubtful(stack, "incoming/<script>alert(1)</script>.jpg")
    return create_app(stack, Desk(stack, Settings("ada", 0.0)))


def ask(
    app: Starlette, path: str, headers: dict[str, str], body: Any = None
) -> tuple[int, dict[str, str], bytes]:
    """Send one request without a network; returns status, headers and body of the answer."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: Any) -> None:
        answers.append(message)

    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET" if body is None else "POST",
        "scheme": "http",
        "headers": fields,
    }
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"server": ("127.0.0.1", 4580), "client": ("127.0.0.1", 1)}
    asyncio.run(app(scope, receive, send))
    start = next(one for one in answers if one["type"] == "http.response.start")
    content = b"".join(one.get("body", b"") for one in answers if one["type"] == "http.response.body")
    return start["status"], {n.decode(): v.decode() for n, v in start["headers"]}, content


def page_of(app: Starlette) -> tuple[str, str]:
    """Return the page and its token."""
    _, _, body = ask(app, "/", OWN)
    found = re.search(r'"token": "([^"]+)"', body.decode())
    assert found
    return body.decode(), found[1]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:4580"},
        {"host": "127.0.0.1.evil.example"},
        {**OWN, "origin": "https://evil.example"},
        {**OWN, "origin": "null"},
        {**OWN, "origin": "http://127.0.0.1:4566"},
        {**OWN, "sec-fetch-site": "cross-site"},
        {**OWN, "sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/waiting", "/photos/abc", "/bound"])
def test_other_pages_are_refused(app: Starlette, headers: dict[str, str], path: str) -> None:
    status, _, body = ask(app, path, headers)
    assert status in {400, 403}
    assert b"incoming" not in body


@pytest.mark.parametrize("path", ["/decide", "/undo", "/live/drop"])
@pytest.mark.parametrize("token", [None, "", "guess", "gu\xeass"])
def test_changes_need_the_token_of_the_page(app: Starlette, path: str, token: str | None) -> None:
    headers = OWN if token is None else {**OWN, TOKEN_HEADER: token}
    status, _, body = ask(app, path, headers, {"id": "x", "label": "bicycle"})
    assert (status, b"load it again" in body) == (403, True)


def test_the_page_may_not_be_framed_and_runs_its_own_script_only(app: Starlette) -> None:
    status, headers, body = ask(app, "/", OWN)
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    (nonce,) = set(re.findall(r"nonce-([^']+)'", policy))
    assert body.decode().count(f'nonce="{nonce}"') == 3
    assert headers["cache-control"] == "no-store"


def test_a_decision_goes_through_the_page(app: Starlette) -> None:
    _, token = page_of(app)
    mine = {**OWN, TOKEN_HEADER: token, "origin": "http://127.0.0.1:4580"}
    waiting = json.loads(ask(app, "/waiting", OWN)[2])
    (photo,) = waiting["photos"]
    assert photo["key"] == "incoming/<script>alert(1)</script>.jpg", (
        "text, in JSON; the page shows it as text"
    )

    status, headers, body = ask(app, f"/photos/{photo['id']}", OWN)
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert max(Image.open(io.BytesIO(body)).size) <= LONGEST_SIDE

    decision = {"id": photo["id"], "label": "bicycle"}
    decided = json.loads(ask(app, "/decide", mine, decision)[2])
    labels = ["bicycle", "motorcycle"]
    assert decided == {"problem": "", "decided": 1, "waiting": 0, "can_undo": True, "labels": labels}
    again = json.loads(ask(app, "/decide", mine, decision)[2])
    assert "not held here any more" in again["problem"]
    undone = json.loads(ask(app, "/undo", mine, {})[2])
    assert (undone["id"], [one["id"] for one in undone["photos"]]) == (photo["id"], [photo["id"]])
    nothing = json.loads(ask(app, "/undo", mine, {})[2])
    assert (nothing["id"], nothing["problem"]) == (None, "nothing to undo")


SENSELESS = [{}, [], "text", b"[" * 100_000, b"\xff", b"", {"id": "x"}, {"id": 7, "label": "bicycle"}]
SENSELESS += [{"id": "x", "label": label} for label in ("bus", "\ud800", ["bicycle"])]


@pytest.mark.parametrize("body", SENSELESS, ids=range(len(SENSELESS)))
def test_what_makes_no_sense_is_a_bad_request(app: Starlette, body: Any) -> None:
    _, token = page_of(app)
    assert ask(app, "/decide", {**OWN, TOKEN_HEADER: token}, body)[0] == 400


def test_a_photo_that_is_not_held_is_not_shown(app: Starlette) -> None:
    assert ask(app, "/photos/0123456789ab", OWN)[0] == 404


def test_a_photo_is_shown_if_the_workflow_reads_it_and_otherwise_it_is_said_why(stack: Stack) -> None:
    put_doubtful(stack, "incoming/odd.jpg", body=encode(picture(), "HEIF"))
    put_doubtful(stack, "incoming/broken.jpg", body=b"no picture")
    app = create_app(stack, Desk(stack, Settings("ada", 0.0)))
    photos = json.loads(ask(app, "/waiting", OWN)[2])["photos"]
    answers = {one["key"]: ask(app, f"/photos/{one['id']}", OWN) for one in photos}
    status, headers, shown = answers["incoming/odd.jpg"]
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(shown)).size == (240, 160)
    status, _, sentence = answers["incoming/broken.jpg"]
    assert (status, b"cannot be shown" in sentence) == (415, True)
