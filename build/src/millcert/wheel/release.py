"""From a built plan to dist/: each wheel with its SBOM and its unsigned provenance, placed whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from millcert.files import place
from millcert.hermetic.build import Built
from millcert.model import Digest
from millcert.store import Store
from millcert.wheel.plan import PlannedWheel

__all__ = ["ReleasedWheel", "release_wheel"]


@dataclass(frozen=True)
class ReleasedWheel:
    """A wheel in dist/: where it is, what it is, and whether anything had to be built for it."""

    planned: PlannedWheel
    path: Path
    digest: Digest
    size: int
    cached: bool
    seconds: float


def release_wheel(store: Store, planned: PlannedWheel, built: Built, dist: Path) -> ReleasedWheel:
    """Copy one built wheel and its SBOM from the store to ``dist``; the provenance is the caller's to add."""
    source = store.tree_file(built.tree, planned.filename)
    digest = store.tree(built.tree).file(planned.filename).digest
    assert digest is not None
    target = dist / planned.filename
    place(target, source.read_bytes())
    place(dist / f"{planned.filename}.cdx.json", planned.sbom)
    return ReleasedWheel(planned, target, digest, target.stat().st_size, built.cached, built.end - built.start)
