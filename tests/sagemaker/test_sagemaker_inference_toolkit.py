"""AWS's inference toolkit in front of our handlers: status, type and text of its answers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tiny_model import write_photo


class Request:
    """What the toolkit asks its server about a request, and says about its answer."""

    def __init__(self, model_dir: Path, content_type: str) -> None:
        self.system_properties = {"model_dir": str(model_dir)}
        self.request_processor = [self]
        self.status, self.content_type = 200, ""
        self._headers = {"Content-Type": content_type, "Accept": "application/json"}

    def get_request_properties(self) -> dict[str, str]:
        """Return the headers."""
        return self._headers

    def set_response_content_type(self, _: int, content_type: str) -> None:
        """Take the type of the answer."""
        self.content_type = content_type

    def set_response_status(self, code: int, phrase: str) -> None:
        """Take the status of an error."""
        assert "\n" not in phrase
        self.status = code


@pytest.fixture
def ask(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, str], tuple[Request, str]]:
    """Return what asks the toolkit, which has loaded the model."""
    monkeypatch.setattr(sys, "path", [str(model_dir / "code"), *sys.path])
    monkeypatch.delitem(sys.modules, "inference", raising=False)
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "inference.py")
    from sagemaker_inference.transformer import Transformer  # noqa: PLC0415 - reads the environment

    transformer = Transformer()

    def ask(body: bytes, content_type: str) -> tuple[Request, str]:
        request = Request(model_dir, content_type)
        return request, transformer.transform([{"body": body}], request)[0]

    return ask


def test_a_photo_is_answered(ask: Callable[[bytes, str], tuple[Request, str]], tmp_path: Path) -> None:
    request, answer = ask(write_photo(tmp_path / "photo.png", "blue").read_bytes(), "image/png")

    assert (request.status, request.content_type) == (200, "application/json")
    assert json.loads(answer)[1] > 0.9


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [("image/png", b"text", 400), ("image/png", b"", 400), ("text/csv", b"x", 415)],
)
def test_a_bad_request_keeps_its_status(
    ask: Callable[[bytes, str], tuple[Request, str]], content_type: str, body: bytes, status: int
) -> None:
    assert ask(body, content_type)[0].status == status
