"""A started index for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.nightly import Nightly, memory_folder


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder that does not wait for a disk."""
    with memory_folder(tmp_path) as folder:
        yield folder


@pytest.fixture
def nightly(quick_path: Path) -> Nightly:
    """An index with one channel and variant, nightly/cpu, and nothing on it."""
    return Nightly.start(quick_path)
