"""The download against a server of our own: digests, going on where it stopped, and what goes wrong."""

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_build.data import download as archives
from model_build.data.download import download
from model_build.errors import ArchiveError

CONTENT = bytes(range(256)) * 5000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class _Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at every path but /missing; /broken ends too early, /plain knows no ranges."""

    ranges: list[str | None]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.path == "/missing":
            self.send_error(404)
            return
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        start = int(match[1]) if match and self.path != "/plain" else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : 1000 if self.path == "/broken" else None])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        """Quiet."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as serving:
        serving.ranges = []
        threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True).start()
        yield serving
        serving.shutdown()


def _url(server: _Server, path: str = "/file") -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"


def test_a_download_ends_in_its_place(server: _Server, tmp_path: Path) -> None:
    target = download(_url(server), MD5, tmp_path / "new" / "file.tar.gz")
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file.tar.gz"]


def test_a_download_goes_on_where_it_stopped(server: _Server, tmp_path: Path) -> None:
    target = tmp_path / "file.tar.gz"
    with pytest.raises(ArchiveError, match=r"could not download .*1000 of 1280000.* resume"):
        download(_url(server, "/broken"), MD5, target)
    assert not target.exists()
    assert download(_url(server), MD5, target).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


@pytest.mark.parametrize(
    ("path", "there"), [("/plain", 1000), ("/file", len(CONTENT))], ids=["no ranges: anew", "whole: checked"]
)
def test_a_part_that_cannot_go_on(server: _Server, tmp_path: Path, path: str, there: int) -> None:
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT[:there])
    assert download(_url(server, path), MD5, tmp_path / "file.tar.gz").read_bytes() == CONTENT


def test_a_wrong_digest_leaves_nothing(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=f"has MD5 {MD5}, expected 0000: the download was deleted"):
        download(_url(server), "0000", tmp_path / "file.tar.gz")
    assert not list(tmp_path.iterdir())


def test_a_server_that_has_no_such_file(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"could not download .*404.* or put the file at"):
        download(_url(server, "/missing"), MD5, tmp_path / "file.tar.gz")


def test_cifar100_is_downloaded_once(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "data_folders", lambda: [tmp_path / "data"])
    monkeypatch.setattr(archives, "CIFAR_100_URL", _url(server))
    monkeypatch.setattr(archives, "CIFAR_100_MD5", MD5)
    path = archives.find_or_download_cifar100()
    assert path == tmp_path / "data" / "cifar-100-python.tar.gz"
    assert archives.find_or_download_cifar100() == path
    assert len(server.ranges) == 1
