"""The user's programs are answered, other users and web pages are not."""

import asyncio
import sys
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from localcloud.access_guard import is_own_host, refusal, user_of
from localcloud.ministack.server import guarded

KEY = "0A1B2C3D"
SIGNED = {"authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20261130/us-east-1/s3/aws4_request"}


def refused(headers: dict[str, str], path: str = "/", query: str = "") -> str | None:
    return refusal(headers, path, query, KEY)


OWN = "127.0.0.1:4566 127.0.0.1 [::1]:4566 172.17.0.1:4566 LocalHost. localhost:4566 photos.localhost:4566"
FOREIGN = "evil.example:4566 localhost.evil.example 127.0.0.1.evil.example [evil.example]:1 notlocalhost"


@pytest.mark.parametrize("host", [*OWN.split(), "host.docker.internal:4566"])
def test_addresses_and_own_names_are_answered(host: str) -> None:
    assert is_own_host(host)
    assert refused({**SIGNED, "host": host}) is None


@pytest.mark.parametrize("host", ["", *FOREIGN.split()])
def test_a_name_that_could_be_rebound_is_refused(host: str) -> None:
    assert not is_own_host(host)
    assert "localhost" in str(refused({**SIGNED, "host": host}))


@pytest.mark.parametrize(
    "header",
    [
        *(("origin", page) for page in ("https://evil.example", "null", "http://127.0.0.1:4566")),
        *(("sec-fetch-site", site) for site in ("cross-site", "same-site")),
    ],
)
def test_pages_are_refused(header: tuple[str, str]) -> None:
    page = {**SIGNED, "host": "127.0.0.1:4566", header[0]: header[1]}
    assert refused(page) == "a local cloud does not answer web pages"


@pytest.mark.parametrize(
    ("authorization", "query"),
    [
        ("", ""),
        ("Basic dGVzdDp0ZXN0", ""),
        (f"Bearer {KEY}", f"key={KEY}"),
        ("AWS4-HMAC-SHA256 Credential=000000000000/20261130/us-east-1/s3/aws4_request", ""),
        (f"AWS4-HMAC-SHA256 Credential={KEY[:-1]}/20261130/us-east-1/s3/aws4_request", ""),
        ("AWS test:signature", ""),
        ("AWS4-HMAC-SHA256 Credential=/20261130", ""),
        ("", "X-Amz-Credential=test%2F20261130"),
        ("", "AWSAccessKeyId=test"),
    ],
)
def test_others_are_refused_but_for_the_health_check(authorization: str, query: str) -> None:
    headers = {"host": "127.0.0.1:4566", "authorization": authorization}
    assert "env.sh" in str(refused(headers, "/2015-03-31/functions", query))
    assert "env.sh" in str(refusal(headers, "/_ministack/reset", query, ""))
    assert refused(headers, "/_ministack/health", query) is None


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        # An address that the user typed
        ({"sec-fetch-site": "none"}, f"X-Amz-Credential={KEY}%2F20261130&X-Amz-Signature=0"),
        ({"authorization": f"AWS {KEY}:sig"}, ""),
        ({}, f"a=b&AWSAccessKeyId={KEY}"),
    ],
)
def test_presigned_addresses_and_older_signatures_are_answered(headers: dict[str, str], query: str) -> None:
    assert refused({"host": "127.0.0.1:4566", **headers}, query=query) is None


TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 0100007F:11D6 {state} 00000000:00000000 00:00000000 00000000 {user} 0 1 1 0000 20 4
"""


@pytest.mark.skipif(sys.byteorder == "big", reason="the table is a little-endian processor's")
@pytest.mark.parametrize(
    ("client", "state", "user"),
    [
        (("127.0.0.1", 0x1F90), "01", 65534),
        (("127.0.0.1", 0x1F90), "06", None),  # closed: its user is shown as 0
        (("127.0.0.1", 0x1F91), "01", None),
        (("127.0.0.2", 0x1F90), "01", None),
        (("::1", 0x1F90), "01", None),
    ],
)
def test_another_user_is_recognized(
    tmp_path: Path, client: tuple[str, int], state: str, user: int | None
) -> None:
    table = tmp_path / "tcp"
    table.write_text(TABLE.format(state=state, user=65534))
    assert user_of(client, (table, tmp_path / "missing")) == user


def request(kind: str, headers: dict[str, str]) -> tuple[list[str], list[dict[str, Any]]]:
    """Send one request through the guard; returns the kinds of scope that arrived, and what was answered."""
    application, send = AsyncMock(), AsyncMock()
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "path": "/", "query_string": b"", "headers": encoded}
    guard: Any = guarded(application, KEY)
    asyncio.run(guard(scope, AsyncMock(), send))
    arrived = [call.args[0]["type"] for call in application.await_args_list]
    return arrived, [call.args[0] for call in send.await_args_list]


def test_the_guard_passes_programs_and_the_servers_own_start_and_refuses_pages() -> None:
    assert request("http", {**SIGNED, "host": "127.0.0.1:4566"}) == (["http"], [])
    assert request("lifespan", {}) == (["lifespan"], [])
    page = {**SIGNED, "host": "127.0.0.1:4566", "origin": "https://evil.example"}
    arrived, answers = request("http", page)
    assert (arrived, answers[0]["status"]) == ([], 403)
    arrived, answers = request("websocket", page)
    assert (arrived, answers[0]["type"]) == ([], "websocket.close")
