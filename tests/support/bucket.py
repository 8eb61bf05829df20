"""A bucket on loopback: a server that takes PUT, with ``If-None-Match: *``, from who has the secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from tests.support.serving import answering

__all__ = ["SECRET", "Bucket", "bucket"]

SECRET = {"Authorization": "Bearer of good news"}


class Bucket(BaseHTTPRequestHandler):
    """A server that takes PUT, with ``If-None-Match: *``, from who has the secret."""

    files: dict[str, tuple[bytes, str]]
    log: list[str]
    torn: list[str]

    def _answer(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self) -> None:
        found = self.files.get(unquote(self.path))
        self._answer(404) if found is None else self._answer(200, found[0], Content_Type=found[1])

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        path, data = unquote(self.path), self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != SECRET["Authorization"]:
            return self._answer(403)
        if self.headers["If-None-Match"] == "*" and path in self.files:
            return self._answer(412)
        self.log.append(path)
        kept = data[: len(data) // 2] if path in self.torn else data
        self.files[path] = kept, self.headers["Content-Type"]
        return self._answer(201)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def bucket() -> Iterator[tuple[str, type[Bucket]]]:
    handler = type("Bucket", (Bucket,), {"files": {}, "log": [], "torn": []})
    with answering(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as address:
        yield f"{address}/site", handler
