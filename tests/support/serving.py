"""Requests to a serving container, as SageMaker sends them."""

import contextlib
import http.client
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from commandline.polling import Rhythm
from model_build.__main__ import main
from model_build.archive.package import DEFAULT_MODEL

RHYTHM = Rhythm(shortest_pause=0.05, longest_pause=0.2)
START_SECONDS = 60


def ask(
    port: int, method: str, path: str, body: bytes = b"", content_type: str = ""
) -> tuple[int, bytes, str]:
    """Send a request; return status, body and custom attributes of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Content-Type": content_type} if content_type else {})
        answer = connection.getresponse()
        attributes = answer.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
        return answer.status, answer.read(), attributes


def pings(port: int) -> bool:
    """Whether /ping is answered."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask(port, "GET", "/ping")[0] == 200
    return False


def check_answers(port: int, photos: Sequence[Path], capsys: pytest.CaptureFixture[str]) -> int:
    """Check that the shipped model answers what `predict` prints; return how many photos it classified."""
    main(["predict", "--model", str(DEFAULT_MODEL), "--json", *map(str, photos)])
    predicted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    classified = [answer for answer in predicted if answer["label"]]
    for answer in classified:
        kind = "image/png" if answer["file"].endswith("png") else "image/jpeg"
        photo = Path(answer["file"]).read_bytes()
        status, body, attributes = ask(port, "POST", "/invocations", photo, kind)
        assert status == 200
        assert body == json.dumps(answer["probabilities"]).encode()
        assert attributes.startswith("labels=bicycle,motorcycle;model_version=scones-1;neither=0.")
    return len(classified)
