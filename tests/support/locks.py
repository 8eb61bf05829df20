"""A small project with ``lockfiles/`` whose index is on loopback, for tests of locking."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from millcert.index import IndexClient, read_configuration
from millcert.lock import Lock, read_lock
from millcert.lock.purposes import find_sources
from millcert.lock.relock import Outcome, Relocker, Upgrade

__all__ = ["LockProject"]

NAMESPACES = """
upstream = "pypi"
[owned.ours]
names = ["wootz", "millcert"]
prefixes = ["wootz-"]
"""
PURPOSES = """
[default]
architectures = ["x86_64"]
pythons = ["3.11"]
glibc = "2.36"
[runtime]
architectures = ["x86_64", "aarch64"]
pythons = ["3.11", "3.13"]
glibc = "2.28"
"""
KEEP = Upgrade()
_KEPT = ("PATH", "HOME", "PYTHONPATH")


@dataclass
class LockProject:
    """The folder of a project; ``environ`` is what the person who locks has."""

    root: Path
    upstream: str
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "namespaces.toml").write_text(NAMESPACES)
        (self.folder / "purposes.toml").write_text(PURPOSES)
        kept = {key: value for key, value in os.environ.items() if key in _KEPT}
        self.environ = {**kept, "PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": self.upstream, **self.environ}

    @property
    def folder(self) -> Path:
        """Its lockfiles."""
        return self.root / "lockfiles"

    def ask(self, label: str, *lines: str) -> None:
        """Write a ``.in`` file."""
        path = self.folder / f"{label}.in"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))

    def lock(self, label: str = "tools/any", upgrade: Upgrade = KEEP, *, check: bool = False) -> Outcome:
        """Make one lock anew, as the command does."""
        (source,) = find_sources(self.folder, (label,))
        relocker = Relocker(self.folder, IndexClient(read_configuration(self.environ)))
        return relocker.relock(source, upgrade, check=check)

    def read(self, label: str = "tools/any") -> Lock:
        """What is locked."""
        return read_lock(self.folder / f"{label}.txt")

    def text(self, label: str = "tools/any") -> str:
        """The lock's text."""
        return (self.folder / f"{label}.txt").read_text()
