"""From a built plan to dist/: each wheel with its SBOM and its unsigned provenance, placed whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from millcert.errors import DiskFullError
from millcert.hermetic.build import Built
from millcert.model import Digest
from millcert.store import Store
from millcert.wheel.plan import PlannedWheel

__all__ = ["ReleasedWheel", "place", "release_wheel"]


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


def place(path: Path, data: bytes) -> None:
    """Write a file so that it is seen whole or not at all; equal bytes are left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.read_bytes() == data:
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "no space is left; the file was not written", file=path, fix="free some space and run again"
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
