"""A started index for each test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nightly import Nightly


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: publishing waits for the disk at every file."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def nightly(quick_path: Path) -> Nightly:
    """An index with one channel and variant, nightly/cpu, and nothing on it."""
    return Nightly.start(quick_path)
