"""A folder served by somebody who misbehaves for some of its files, and files altered where they lie."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.serving import answering

__all__ = ["Fault", "alter", "dripping", "dropped", "endless", "misbehaving", "redirected"]


def alter(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


Fault = Callable[[SimpleHTTPRequestHandler], None]


@contextmanager
def misbehaving(folder: Path, suffix: str | tuple[str, ...], fault: Fault) -> Iterator[str]:
    """A server that answers honestly but for paths that end in ``suffix``, or in one of them."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0].endswith(suffix):
                return fault(self)
            return super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))) as address:
        yield address


def endless(handler: SimpleHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(1024):
            handler.wfile.write(b" " * 65536)
    except OSError:
        return
    handler.server.finished = True  # type: ignore[attr-defined]  # whoever reads 64 MiB has no limit


def dropped(handler: SimpleHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.close_connection = True


def redirected(handler: SimpleHTTPRequestHandler) -> None:
    handler.send_response(302)
    port = handler.server.server_address[1]
    handler.send_header("Location", f"http://localhost:{port}{handler.path}?")
    handler.end_headers()


def dripping(handler: SimpleHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.wfile.flush()
