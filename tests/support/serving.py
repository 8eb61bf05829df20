"""A server on loopback that a thread answers for as long as a test needs it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from typing import Any

__all__ = ["answering"]


@contextmanager
def answering(server: HTTPServer) -> Iterator[str]:
    """The server's address; it answers until the ``with`` block ends, and its port is free then."""
    tell = server.handle_error

    def handle_error(request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that hangs up is part of the tests
            tell(request, client_address)

    server.handle_error = handle_error  # type: ignore[method-assign]  # whatever class of server a test runs
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
