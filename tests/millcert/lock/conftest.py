from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.index import LoopbackIndex, loopback_index
from tests.support.locks import LockProject
from tests.support.nightly import make_wheel


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LoopbackIndex]:
    """``app`` 1.0 and 1.1, which needs ``base``; ``base`` 1.0 and 2.0."""
    with loopback_index() as running:
        for version in ("1.0", "1.1"):
            running.add(make_wheel(tmp_path / "wheels", "app", version, requires=["base>=1"]))
        for version in ("1.0", "2.0"):
            running.add(make_wheel(tmp_path / "wheels", "base", version))
        yield running


@pytest.fixture
def project(index: LoopbackIndex, tmp_path: Path) -> LockProject:
    project = LockProject(tmp_path / "project", index.url)
    project.ask("tools/any", "app")
    return project
