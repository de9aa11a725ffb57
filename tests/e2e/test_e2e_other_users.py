"""Another user of this machine gets nothing out of a local cloud, and runs nothing in it."""

import os
import urllib.error
import urllib.request
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.support.local_cloud import LocalCloud, wait_until

NOBODY = 65534
GUESSED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20261130/us-east-1/lambda/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


def become_nobody() -> None:
    """Become another user if root runs the tests; whoever else does sends no signature below."""
    ask("http://127.0.0.1:9/", {}, None)  # loads all modules while this process may read them
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def ask(url: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
    try:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor()
        )
        with opener.open(urllib.request.Request(url, body, headers), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def readable(folder: Path) -> list[str]:
    return [str(Path(top) / name) for top, _, names in os.walk(folder) for name in names]


def test_nobody_else_is_answered_or_can_read_a_file(cloud: LocalCloud, state: Path) -> None:
    running = cloud.running
    cloud.upload("incoming/mine.jpg", b"a photo")
    desk = running.desk_url.partition("?")[0]
    asked: dict[str, tuple[str, bytes | None]] = {
        "create a function": (f"{running.aws_url}/2015-03-31/functions", b"{}"),
        "invoke a function": (f"{running.aws_url}/2015-03-31/functions/x/invocations", b"{}"),
        "list photos": (f"{running.aws_url}/{cloud.outputs['PhotoBucketName']}", None),
        "a photo": (f"{running.aws_url}/{cloud.outputs['PhotoBucketName']}/incoming/mine.jpg", None),
        "reset": (f"{running.aws_url}/_ministack/reset", b""),
        "configure": (f"{running.aws_url}/_ministack/config", b"{}"),
        "create a model": (running.sagemaker_url, b"{}"),
        "an answer": (f"{running.sagemaker_url}/endpoints/scones-vehicle-classifier/invocations", b"x"),
        "the desk": (desk, None),
        "its photos": (f"{desk}waiting", None),
        "a decision": (f"{desk}decide", b"{}"),
    }
    wait_until(lambda: ask(desk, {}, None)[0])  # `up` does not wait for the desk
    assert desk.startswith("http://127.0.0.1:")
    assert ask(running.desk_url, {}, None)[0] == 200, "its whole address lets in"
    with ProcessPoolExecutor(1, get_context("spawn"), become_nobody) as somebody:
        answers = {
            (what, bool(headers)): somebody.submit(ask, url, headers, body).result()
            for what, (url, body) in asked.items()
            for headers in ({}, *([GUESSED] if os.getuid() == 0 else []))
        }
        health = somebody.submit(ask, f"{running.aws_url}/_ministack/health", {}, None).result()
        files = somebody.submit(readable, state).result()

    assert {what: status for what, (status, _) in answers.items() if status != 403} == {}
    secrets = (running.access_key, running.desk_url.partition("token=")[2], "mine.jpg")
    assert not any(secret.encode() in body for _, body in answers.values() for secret in secrets)
    assert health[0] == 200
    assert state.stat().st_mode & 0o077 == 0
    if os.getuid() == 0:
        assert files == []
