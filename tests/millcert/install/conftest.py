"""A signed index with one night, served, and a client that never saw it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.installing import Client, Stall
from tests.support.nightly import memory_folder, serve

from millcert.install.anchor import Anchor


@pytest.fixture
def stall(tmp_path: Path) -> Iterator[Stall]:
    """The index."""
    with memory_folder(tmp_path) as folder:
        yield Stall.open(folder)


@pytest.fixture
def site(stall: Stall) -> Iterator[str]:
    """Its address."""
    with serve(stall.nightly.site.root) as (address, _):
        yield address


@pytest.fixture
def client(stall: Stall, tmp_path: Path) -> Client:
    """Who installs."""
    return Client(tmp_path / "client", Anchor(stall.nightly.root))
