"""A signed index with one night, served, and a client that never saw it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.installing import Client, Stall, site, stall

from millcert.install.anchor import Anchor

__all__ = ["client", "site", "stall"]


@pytest.fixture
def client(stall: Stall, tmp_path: Path) -> Client:
    """Who installs."""
    return Client(tmp_path / "client", Anchor(stall.nightly.root))
