"""Who may talk to the review desk: its own page, opened by whoever started it, and nobody else."""

import asyncio
import io
import json
import re
from typing import Any

import pytest
from PIL import Image
from starlette.applications import Starlette

from operations.checks import Check, ok, wrong
from operations.review.desk import Desk
from operations.review.server import LONGEST_SIDE, create_app
from operations.stack import Stack
from operations.status import Situation
from tests.support.review import put_doubtful

HOST = {"host": "127.0.0.1:4580"}
OWN = HOST | {"cookie": "scones_desk_4580=token; scones_desk_4581=other"}


@pytest.fixture
def app(stack: Stack) -> Starlette:
    put_doubtful(stack, "incoming/<script>alert(1)</script>.jpg")
    return create_app(stack, Desk(stack, "ada", 0.0), "token")


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

    path, _, query = path.partition("?")
    fields = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET" if body is None else "POST", "scheme": "http", "path": path}
    more = {"raw_path": path.encode(), "query_string": query.encode(), "headers": fields}
    asyncio.run(
        app({**scope, **more, "server": ("127.0.0.1", 4580), "client": ("127.0.0.1", 1)}, receive, send)
    )
    start, *parts = answers
    content = b"".join(part.get("body", b"") for part in parts)
    return start["status"], {n.decode(): v.decode() for n, v in start["headers"]}, content


@pytest.mark.parametrize(
    "headers",
    [
        *({**OWN, "host": host} for host in ("evil.example:4580", "127.0.0.1.evil.example")),
        *({**OWN, "origin": one} for one in ("https://evil.example", "null", "http://127.0.0.1:4566")),
        *({**OWN, "sec-fetch-site": site} for site in ("cross-site", "same-site")),
    ],
)
@pytest.mark.parametrize("path", ["/", "/waiting", "/photos/abc", "/bound"])
def test_other_pages_are_refused(app: Starlette, headers: dict[str, str], path: str) -> None:
    status, _, body = ask(app, path, headers)
    assert status in {400, 403}
    assert b"incoming" not in body


CHANGES = ["/decide", "/undo", "/live/drop"]
PAGES = ["/", "/waiting", "/photos/abc", "/bound", "/live", "/live/state", "/live/photo", "/favicon.ico"]


@pytest.mark.parametrize(
    ("path", "body"), [(path, None) for path in PAGES] + [(path, {}) for path in CHANGES]
)
@pytest.mark.parametrize("token", [None, "", "guess", "gu\xeass"])
def test_nobody_without_the_token_is_answered(
    app: Starlette, path: str, body: Any, token: str | None
) -> None:
    for tried in (path, f"{path}?token={token or ''}"):
        headers = HOST if token is None else {**HOST, "cookie": f"scones_desk_4580={token}"}
        status, answered, text = ask(app, tried, headers, body)
        assert (status, b"whole address" in text) == (403, True)
        assert "set-cookie" not in answered


@pytest.mark.parametrize("page", ["/", "/live"])
def test_the_printed_address_lets_in_and_keeps_the_token_out_of_the_history(
    app: Starlette, page: str
) -> None:
    status, headers, _ = ask(app, f"{page}?token=token", HOST)
    assert (status, headers["location"]) == (303, f"http://127.0.0.1:4580{page}")
    assert headers["set-cookie"] == "scones_desk_4580=token; HttpOnly; Path=/; SameSite=strict"
    status, _, body = ask(app, page, HOST | {"cookie": headers["set-cookie"].split(";")[0]})
    assert (status, b"token" in body) == (200, False)


def test_the_page_may_not_be_framed_and_runs_its_own_script_only(app: Starlette) -> None:
    status, headers, body = ask(app, "/", OWN)
    assert status == 200
    policy = headers["content-security-policy"]
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= {*policy.split("; ")}
    (nonce,) = set(re.findall(r"nonce-([^']+)'", policy))
    assert body.decode().count(f'nonce="{nonce}"') == 3
    assert headers["cache-control"] == "no-store"


def test_a_decision_goes_through_the_page(app: Starlette) -> None:
    mine = {**OWN, "origin": "http://127.0.0.1:4580"}
    waiting = json.loads(ask(app, "/waiting", OWN)[2])
    (photo,) = waiting["photos"]
    assert photo["key"] == "incoming/<script>alert(1)</script>.jpg", "in JSON; the page shows it as text"
    status, headers, body = ask(app, f"/photos/{photo['id']}", OWN)
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert max(Image.open(io.BytesIO(body)).size) <= LONGEST_SIDE
    decision = {"id": photo["id"], "label": "bicycle", "answer": "one"}
    decided = json.loads(ask(app, "/decide", mine, decision)[2])
    labels = ["bicycle", "motorcycle"]
    (answer,) = decided.pop("answers")
    assert (answer["id"], answer["label"], answer["photos"]) == ("one", "bicycle", 1)
    assert decided == {"problem": "", "decided": 1, "skipped": 0, "waiting": 0, "labels": labels}
    again = json.loads(ask(app, "/decide", mine, decision)[2])
    assert "not held here any more" in again["problem"]
    undone = json.loads(ask(app, "/undo", mine, {})[2])
    assert (undone["undone"], [one["id"] for one in undone["photos"]]) == ([photo["id"]], [photo["id"]])
    assert json.loads(ask(app, "/decide", mine, {**decision, "label": ""})[2])["skipped"] == 1
    assert json.loads(ask(app, "/undo", mine, {})[2])["undone"] == [photo["id"]]
    nothing = json.loads(ask(app, "/undo", mine, {})[2])
    assert (nothing["undone"], nothing["problem"]) == ([], "nothing to undo")


SENSELESS = [{}, [], "text", b"[" * 100_000, b"\xff", b"", {"id": "x"}, {"id": 7, "label": "bicycle"}]
SENSELESS += [{"id": "x", "label": label, "answer": "a"} for label in ("bus", "\ud800", ["bicycle"])]
SENSELESS += [{"id": "x", "label": "bicycle", "answer": 7}]


@pytest.mark.parametrize("body", SENSELESS, ids=range(len(SENSELESS)))
def test_what_makes_no_sense_is_a_bad_request(app: Starlette, body: Any) -> None:
    assert ask(app, "/decide", OWN, body)[0] == 400


def test_a_photo_that_is_not_held_is_not_shown(app: Starlette) -> None:
    assert ask(app, "/photos/0123456789ab", OWN)[0] == 404
    assert ask(app, "/live/photo?key=runs/1/manifest.jsonl&version=1", OWN)[0] == 400


def test_why_a_photo_cannot_be_shown_is_said(stack: Stack) -> None:
    put_doubtful(stack, "incoming/broken.jpg", body=b"no picture")
    app = create_app(stack, Desk(stack, "ada", 0.0), "token")
    (photo,) = json.loads(ask(app, "/waiting", OWN)[2])["photos"]
    status, _, sentence = ask(app, f"/photos/{photo['id']}", OWN)
    assert (status, b"cannot be shown" in sentence) == (415, True)


def test_what_is_wrong_is_said_to_pages(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def checks(_: Situation) -> list[Check]:
        asked.append(1)
        return [ok("rules", "4 enabled"), wrong("endpoint", "throttles", "scones model status")]

    monkeypatch.setattr(Situation, "checks", checks)
    shown = {"name": "endpoint", "status": "wrong", "detail": "throttles", "advice": "scones model status"}
    for _ in range(2):
        status, _, body = ask(app, "/live/status", OWN)
        assert (status, json.loads(body)) == (200, {"wrong": [shown]})
    assert len(asked) == 1  # pages share an answer
