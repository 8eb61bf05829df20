"""Ways in which a server can misbehave, for ``tests.support.index``."""

from __future__ import annotations

from tests.support.index import Fault, Handler

__all__ = ["altered", "cut", "endless", "redirect", "short", "silent_after", "status"]


def status(code: int) -> Fault:
    """Answer with a status and nothing useful."""

    def fault(handler: Handler) -> None:
        handler.send_whole(code, "text/plain", b"no")

    return fault


def cut(count: int) -> Fault:
    """Promise the whole file, send ``count`` bytes of what was asked for and close the connection."""

    def fault(handler: Handler) -> None:
        body = _body(handler)
        start = _start(handler)
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start : start + count])
        handler.close_connection = True

    return fault


def short(count: int) -> Fault:
    """Send a complete, well-formed answer that holds only the first ``count`` bytes."""

    def fault(handler: Handler) -> None:
        handler.send_whole(200, "application/octet-stream", _body(handler)[:count])

    return fault


def altered(handler: Handler) -> None:
    """Send as many bytes as promised, one of them another."""
    body = bytearray(_body(handler))
    body[len(body) // 2] ^= 1
    handler.send_file(bytes(body))


def endless(handler: Handler) -> None:
    """Send bytes until the client has had enough; 64 MiB, so that a client without a limit fills no disk."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
    handler.send_header("Connection", "close")
    handler.end_headers()
    for _ in range(1024):
        handler.wfile.write(b"\0" * 65536)
    handler.close_connection = True


def silent_after(count: int) -> Fault:
    """Send some bytes, then nothing, with the connection open until the test is over."""

    def fault(handler: Handler) -> None:
        body = _body(handler)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:count])
        handler.wfile.flush()
        handler.index.over.wait(60)
        handler.close_connection = True

    return fault


def redirect(target: str) -> Fault:
    """Send the client elsewhere."""

    def fault(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def _body(handler: Handler) -> bytes:
    body = handler.index.body(handler.path.rpartition("/")[2])
    assert body is not None
    return body


def _start(handler: Handler) -> int:
    asked = handler.headers.get("Range", "bytes=0-")
    return int(asked.removeprefix("bytes=").partition("-")[0]) if handler.index.ranges else 0
