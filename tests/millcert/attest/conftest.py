"""One loopback Sigstore for all tests of a process, and a wheel to sign."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.sigstore import Server, shared_server
from tests.support.sigstore.scene import Scene


@pytest.fixture(scope="session")
def server() -> Server:
    """The test instance over HTTP."""
    return shared_server()


@pytest.fixture
def scene(tmp_path: Path, server: Server) -> Scene:
    """A wheel with its statement, unsigned."""
    return Scene(tmp_path, server.instance)
