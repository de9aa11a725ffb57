"""A registry on loopback that takes what `docker push` sends: manifests are kept, of blobs the sizes."""

import hashlib
import http.server
import json
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import parse_qs, urlparse


class Registry(http.server.ThreadingHTTPServer):
    """Docker's registry API, as far as pushing needs it; `manifests` are (media type, document) by tag."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.manifests: dict[str, tuple[str, dict[str, Any]]] = {}
        self.blobs: dict[str, int] = {}
        self.host = f"127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        """Listen until the block ends."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        """Answer that this is a registry, and what it has."""
        kind, name = self.path.split("/")[-2:]
        if self.path == "/v2/":
            self._answer(200)
        elif kind == "blobs" and name in self.server.blobs:
            self._answer(200, length=self.server.blobs[name])
        elif kind == "manifests" and name in self.server.manifests:
            self._answer(200)
        else:
            self._answer(404)

    do_HEAD = do_GET  # noqa: N815 - the base class looks for this name

    def do_POST(self) -> None:
        """Begin the upload of a blob, whose size its parts add up to."""
        self._body()
        self._answer(202, {"Location": f"http://{self.server.host}{self.path.rstrip('/')}/{id(self)}?size=0"})

    def do_PATCH(self) -> None:
        """Take a part of a blob."""
        size = self._size() + len(self._body())
        path = urlparse(self.path).path
        place = f"http://{self.server.host}{path}?size={size}"
        self._answer(202, {"Location": place, "Range": f"0-{size - 1}"})

    def do_PUT(self) -> None:
        """Take a manifest, or the end of a blob."""
        size, body = self._size(), self._body()
        if "/manifests/" in self.path:
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            manifest = self.headers["Content-Type"], json.loads(body)
            self.server.manifests |= {self.path.rpartition("/")[2]: manifest, digest: manifest}
        else:
            digest = parse_qs(urlparse(self.path).query)["digest"][0]
            self.server.blobs[digest] = size + len(body)
        self._answer(201, {"Docker-Content-Digest": digest})

    def _size(self) -> int:
        return int(parse_qs(urlparse(self.path).query).get("size", ["0"])[0])

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while length := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(
        self, status: int, headers: Mapping[str, str] = MappingProxyType({}), length: int = 0
    ) -> None:
        self.send_response(status)
        for name, value in {"Docker-Distribution-Api-Version": "registry/2.0", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Write nothing."""
