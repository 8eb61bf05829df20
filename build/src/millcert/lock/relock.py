"""Making locks: resolve, read the assigned index, check, and write in one step or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from millcert.errors import LockError
from millcert.files import write_atomically
from millcert.index.client import IndexClient
from millcert.index.page import IndexFile
from millcert.lock.assembly import assemble, by_index
from millcert.lock.lockfile import Lock, parse_lock, read_lock, render_lock
from millcert.lock.namespaces import Namespaces, read_namespaces
from millcert.lock.purposes import LockSource, targets_of
from millcert.lock.requirements import read_requirements
from millcert.lock.resolver import Resolution, resolve
from millcert.names import NormalizedName

__all__ = ["Move", "Outcome", "Relocker", "Upgrade", "moves", "refuse_change"]

Move = tuple[str, str | None, str | None]  # a name, its version before and after


@dataclass(frozen=True)
class Upgrade:
    """Which pins may move although they still fit: none, some, or all."""

    everything: bool = False
    names: frozenset[NormalizedName] = frozenset()

    def keeps(self, lock: Lock | None) -> dict[NormalizedName, str]:
        """The versions that a new resolution should stay with."""
        if lock is None or self.everything:
            return {}
        return {pin.name: pin.version for pin in lock.pins if pin.name not in self.names}


@dataclass(frozen=True)
class Outcome:
    """What relocking did to one lock: each changed project with its version before and after."""

    source: LockSource
    changed: bool
    moves: tuple[Move, ...]


class Relocker:
    """Makes the locks of one project; ``folder`` is its ``lockfiles``."""

    def __init__(self, folder: Path, client: IndexClient) -> None:
        self.folder = folder
        self.client = client
        self.namespaces: Namespaces = read_namespaces(folder / "namespaces.toml")

    def relock(self, source: LockSource, upgrade: Upgrade, *, check: bool = False) -> Outcome:
        """One lock made anew. With ``check`` nothing is written and a lock that would change is a LockError."""
        old = _existing(source)
        data = self._make(source, upgrade.keeps(old))
        moved = moves(_versions(old), _versions(parse_lock(data, source.lock)))
        changed = not source.lock.exists() or source.lock.read_bytes() != data
        if check and changed:
            refuse_change(source, moved)
        if changed:
            write_atomically(source.lock, data)
        return Outcome(source, changed, moved)

    def _make(self, source: LockSource, previous: Mapping[NormalizedName, str]) -> bytes:
        targets = targets_of(source, (self.folder / "purposes.toml").read_bytes())
        wanted = read_requirements(source.requirements, self.folder.parent)
        resolved: dict[str, list[Resolution]] = {}
        for index, group in by_index(wanted, self.namespaces).items():
            configuration = self.client.configuration
            resolved[index] = resolve(group, previous, targets[0], index=index, configuration=configuration)
        pins = assemble(resolved, wanted, targets, self.namespaces, self.client.page, self._size)
        return render_lock(pins, f"Made by `millcert lock {source.label}` from {source.requirements.name}.")

    def _size(self, file: IndexFile) -> int:
        return self.client.transport.size(file.url)


def _existing(source: LockSource) -> Lock | None:
    try:
        return read_lock(source.lock) if source.lock.exists() else None
    except LockError:
        return None  # a broken lock gives no preferences; the new one replaces it


def _versions(lock: Lock | None) -> dict[str, str]:
    return {pin.name: pin.version for pin in lock.pins} if lock else {}


def moves(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Move, ...]:
    """What changed between two sets of versions, by name."""
    names = sorted(before.keys() | after.keys())
    return tuple((name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name))


def refuse_change(source: LockSource, moved: Sequence[Move]) -> NoReturn:
    """Raise the LockError of a lock that no longer is what its requirements give."""
    raise LockError(
        "the lock is not what its requirements and indexes give",
        file=source.lock, changes=", ".join(f"{n} {a} -> {b}" for n, a, b in moved) or "text only",
        fix=f"run `millcert lock {source.label}` and commit the result",
    )  # fmt: skip
