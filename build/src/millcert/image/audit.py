"""Freshness: which packages of an image the Debian mirror has newer versions of, and whether for security."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from millcert.debian import DebianPackage

__all__ = ["Outdated", "audit"]


@dataclass(frozen=True)
class Outdated:
    """A package whose locked version is not what the mirror would give today; ``newest`` is empty if it is gone."""

    name: str
    locked: str
    newest: str
    security: bool

    def as_dict(self) -> dict[str, object]:
        """The finding as JSON has it."""
        return {"name": self.name, "locked": self.locked, "newest": self.newest, "security": self.security}


def audit(locked: Iterable[DebianPackage], newest: Iterable[DebianPackage]) -> list[Outdated]:
    """What the lock lacks against a fresh resolution of the same requirements; security updates first."""
    fresh = {package.label: package for package in newest}
    old = {package.label: package for package in locked}
    found = [
        Outdated(
            name, old[name].version if name in old else "", fresh[name].version if name in fresh else "",
            name in fresh and fresh[name].security,
        )
        for name in sorted(old.keys() | fresh.keys())
        if name not in old or name not in fresh or old[name].version != fresh[name].version
    ]  # fmt: skip
    return sorted(found, key=lambda item: (not item.security, item.name))
