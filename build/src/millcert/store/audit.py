"""Checking a whole store: every blob against its name, every tree against its description, every record's needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from millcert.errors import MillcertError
from millcert.model import Digest, digest_of_file, parse_digest
from millcert.store.contents import Store
from millcert.store.references import Record, records, tree_or_none

__all__ = ["Problem", "Report", "verify"]


@dataclass(frozen=True)
class Problem:
    """Something that is not what its name says; it was set aside or forgotten, so that it will be made again."""

    path: str
    reason: str


@dataclass(frozen=True)
class Report:
    """How much was checked, in pieces and bytes, and what was wrong."""

    blobs: int
    trees: int
    records: int
    size: int
    problems: tuple[Problem, ...]


def verify(store: Store) -> Report:
    """Read every byte of the store. What is wrong is put out of use, so that the next build makes it again."""
    problems: list[Problem] = []
    blobs, size = 0, 0
    for path in sorted((store.root / "blobs").glob("*/*")):
        blobs, size = blobs + 1, size + path.stat().st_size
        name = path.name.removesuffix(".x")
        if path.parent.name != name[:2] or digest_of_file(path) != name:
            store.set_aside(path)
            problems.append(Problem(f"blobs/{path.parent.name}/{path.name}", "the bytes are not those of its name"))
    trees = sorted(path.name for path in (store.root / "trees").iterdir())
    problems += [problem for name in trees for problem in _tree(store, name)]
    known = list(records(store))
    problems += [problem for record in known for problem in _record(store, record)]
    unread = set((store.root / "records").iterdir()) - {record.path for record in known}
    for path in sorted(unread):
        store.set_aside(path)
        problems.append(Problem(f"records/{path.name}", "cannot be read"))
    return Report(blobs, len(trees), len(known), size, tuple(problems))


def _tree(store: Store, name: str) -> Iterator[Problem]:
    try:
        store.checkout(parse_digest(name))
    except MillcertError as error:
        folder = store.root / "trees" / name
        if folder.exists():
            store.set_aside(folder)
        yield Problem(
            f"trees/{name}", f"{error.message} ({error.evidence.get('file') or error.evidence.get('path', '')})"
        )


def _record(store: Store, record: Record) -> Iterator[Problem]:
    name = f"records/{record.path.name}"
    tree = tree_or_none(store, record.tree)
    if record.path.stem != record.key:
        store.set_aside(record.path)
        yield Problem(name, "the record of another derivation")
    elif tree is None:
        store.forget(record.key)
        yield Problem(name, f"{record.name}: the tree it gave is not there")
    elif missing := [entry.path for entry in tree.entries if entry.digest and not _is_there(store, entry.digest)]:
        store.forget(record.key)
        yield Problem(name, f"{record.name}: of the tree it gave, {missing[0]} is not there")


def _is_there(store: Store, digest: Digest) -> bool:
    return store.has(digest) or store.has(digest, executable=True)
