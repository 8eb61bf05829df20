"""What differs between two trees: entry by entry, and in a changed file the first byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from millcert.model import CHUNK, Digest
from millcert.store.contents import Store
from millcert.tree import Entry

__all__ = ["Difference", "compare_trees", "first_difference"]


@dataclass(frozen=True)
class Difference:
    """One path that is not the same in both trees, and how."""

    path: str
    kind: Literal["only in the first", "only in the second", "changed"]
    detail: str = ""


def compare_trees(store: Store, first: Digest, second: Digest) -> Iterator[Difference]:
    """The differences in the order of their paths."""
    before = {entry.path: entry for entry in store.tree(first).entries}
    after = {entry.path: entry for entry in store.tree(second).entries}
    for path in sorted(before.keys() | after.keys()):
        one, other = before.get(path), after.get(path)
        if one is None or other is None:
            yield Difference(path, "only in the second" if one is None else "only in the first")
        elif one != other:
            yield Difference(path, "changed", _detail(store, one, other))


def _detail(store: Store, one: Entry, other: Entry) -> str:
    if one.kind != other.kind:
        return f"{one.kind} → {other.kind}"
    if one.kind == "link":
        return f"{one.target} → {other.target}"
    if one.digest == other.digest:
        return "executable" if other.executable else "not executable"
    assert one.digest is not None and other.digest is not None
    paths = [store.path(entry.digest, executable=entry.executable) for entry in (one, other) if entry.digest]
    return first_difference(*paths)


def first_difference(one: Path, other: Path) -> str:
    """Where two files first differ, with a few bytes of both, and their sizes."""
    offset = 0
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            a, b = left.read(CHUNK), right.read(CHUNK)
            if a != b:
                at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
                sizes = f"{one.stat().st_size} and {other.stat().st_size} bytes"
                return f"at byte {offset + at}: {a[at : at + 16]!r} and {b[at : at + 16]!r}; {sizes}"
            if not a:
                return "equal"
            offset += len(a)
