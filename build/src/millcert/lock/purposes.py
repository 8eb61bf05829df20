"""What each lock is for: the targets whose wheels it keeps, from ``lockfiles/purposes.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from millcert.errors import ConfigError, UsageError
from millcert.lock.selection import Target

__all__ = ["LockSource", "find_sources", "targets_of"]


@dataclass(frozen=True, order=True)
class LockSource:
    """A ``.in`` file and the lock beside it, called by ``purpose/variant``."""

    purpose: str
    variant: str
    requirements: Path
    lock: Path

    @property
    def label(self) -> str:
        """How the command line calls it."""
        return f"{self.purpose}/{self.variant}"


def find_sources(folder: Path, wanted: tuple[str, ...]) -> list[LockSource]:
    """The locks that ``wanted`` names (``purpose`` or ``purpose/variant``), or all; UsageError for an unknown one."""
    known = sorted(_source(path) for path in folder.glob("*/*.in"))
    if not wanted:
        return known
    chosen = [source for source in known if source.label in wanted or source.purpose in wanted]
    labels = {source.label for source in chosen} | {source.purpose for source in chosen}
    if unknown := sorted(set(wanted) - labels):
        raise UsageError("there is no such lock", found=unknown[0], known=", ".join(source.label for source in known))
    return chosen


def _source(path: Path) -> LockSource:
    purpose = path.parent.name
    suffix = ".lock" if purpose == "debian" else ".txt"
    return LockSource(purpose, path.stem, path, path.with_suffix(suffix))


def targets_of(source: LockSource, purposes: bytes) -> tuple[Target, ...]:
    """The targets of a lock: its own table, else its purpose's, else ``[default]``; the first one is resolved for."""
    try:
        tables = tomllib.loads(purposes.decode())
        fields = {**tables["default"], **tables.get(source.purpose, {}), **tables.get(source.label, {})}
        return _targets(fields)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError("purposes.toml is not what it should be", lock=source.label, reason=error) from error


def _targets(fields: Mapping[str, object]) -> tuple[Target, ...]:
    architectures, pythons, glibc = fields["architectures"], fields["pythons"], str(fields["glibc"])
    if not isinstance(architectures, list) or not isinstance(pythons, list) or not glibc.startswith("2."):
        raise ValueError("architectures and pythons are lists, glibc a version 2.x")
    return tuple(
        Target(str(architecture), _version(str(python)), int(glibc.removeprefix("2.")))
        for architecture, python in product(architectures, pythons)
    )


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
