from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.index import Listed, LoopbackIndex, loopback_index
from tests.support.nightly import make_wheel

from millcert.index import ClientConfiguration, IndexClient, Transport
from millcert.lock import LockedFile, Pin
from millcert.model import parse_digest
from millcert.names import normalize
from millcert.store import Store

Prepare = Callable[..., tuple[Pin, LockedFile]]


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with loopback_index() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def client(index: LoopbackIndex) -> IndexClient:
    """A client that waits neither for silence nor between tries."""
    configuration = ClientConfiguration(index.url, timeout=0.5)
    return IndexClient(configuration, Transport(configuration, sleep=lambda _: None))


@pytest.fixture
def prepare(index: LoopbackIndex, tmp_path: Path) -> Prepare:
    """List a wheel of random content and return it as a lock would pin it."""

    def prepared(name: str = "thing", size: int = 300_000, **page: object) -> tuple[Pin, LockedFile]:
        wheel = make_wheel(tmp_path / "wheels", name, "1.0", content=os.urandom(size))
        return pin_of(index.add(wheel, **page), name)

    return prepared


def pin_of(listed: Listed, name: str) -> tuple[Pin, LockedFile]:
    from hashlib import sha256

    digest = parse_digest(sha256(listed.data).hexdigest())
    file = LockedFile(listed.filename, digest, len(listed.data))
    return Pin(normalize(name), "1.0", "pypi", (file,)), file
