"""Who needs what in a store: a record needs its tree and what it read, a tree needs its files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from millcert.errors import ConfigError, HashMismatchError, MillcertError, StoreError, UsageError
from millcert.model import Digest, parse_digest
from millcert.store.contents import Store
from millcert.tree import Tree

__all__ = ["Record", "Reference", "find_digest", "find_tree", "reachable", "records", "references", "tree_or_none"]

_MOST_TREE = 64 << 20  # bytes; a larger blob is not looked at as a tree
_TREE_START = b'{"entries":'


@dataclass(frozen=True)
class Record:
    """What a derivation gave: key, name when it was built, output, what it read, when it was last of use."""

    key: Digest
    name: str
    tree: Digest
    needs: tuple[Digest, ...]
    used: float
    path: Path


@dataclass(frozen=True)
class Reference:
    """One reason why something is needed, as a sentence's parts: who, and how."""

    holder: str
    role: str


def records(store: Store) -> Iterator[Record]:
    """Every record that can be read, by name and key; one that cannot counts as absent wherever it is looked up."""
    found = []
    for path in (store.root / "records").glob("*.json"):
        with contextlib.suppress(ValueError, KeyError, TypeError, ConfigError, FileNotFoundError):
            fields = json.loads(path.read_bytes())
            key, tree = parse_digest(str(fields["key"])), parse_digest(str(fields["tree"]))
            needs = tuple(parse_digest(str(need)) for need in fields.get("needs", ()))
            found.append(Record(key, str(fields.get("name", "")), tree, needs, path.stat().st_mtime, path))
    yield from sorted(found, key=lambda record: (record.name, record.key))


def tree_or_none(store: Store, digest: Digest) -> Tree | None:
    """A blob read as a tree, or None where it is no tree or not there."""
    blob = store.root / "blobs" / digest[:2] / digest
    try:
        with blob.open("rb") as stream:
            if blob.stat().st_size > _MOST_TREE or stream.read(len(_TREE_START)) != _TREE_START:
                return None
        return store.tree(digest)
    except (FileNotFoundError, StoreError, HashMismatchError, MillcertError):
        return None


def reachable(store: Store, roots: Iterable[Digest]) -> set[Digest]:
    """The blobs that some digests need: themselves, and the files of those that are trees."""
    found: set[Digest] = set()
    for digest in roots:
        if digest in found:
            continue
        found.add(digest)
        if tree := tree_or_none(store, digest):
            found.update(entry.digest for entry in tree.entries if entry.digest)
    return found


def find_digest(store: Store, start: str) -> Digest:
    """The one digest in the store that begins so; UsageError for none, or several."""
    if len(start) < 6 or not all(character in "0123456789abcdef" for character in start):
        raise UsageError("not the beginning of a sha256 digest", found=start, expected="6 to 64 hexadecimal digits")
    names = {path.name.removesuffix(".x") for path in (store.root / "blobs" / start[:2]).glob(f"{start}*")}
    names |= {record.key for record in records(store) if record.key.startswith(start)}
    if len(names) != 1:
        raise UsageError(
            "the store has nothing of that digest" if not names else "several digests begin so",
            found=start, digests=", ".join(sorted(names)[:8]) or None,
        )  # fmt: skip
    return Digest(names.pop())


def find_tree(store: Store, start: str) -> Digest:
    """The tree whose digest begins so, or that the derivation gave whose key does; UsageError for none, or several."""
    digest = find_digest(store, start)
    given = next((record.tree for record in records(store) if record.key == digest), digest)
    if tree_or_none(store, given) is None:
        raise UsageError("not a tree, nor a derivation whose tree is there", found=digest)
    return given


def references(store: Store, digest: Digest) -> Iterator[Reference]:
    """Why a digest is in the store: the steps that gave or read it, and the trees that hold it."""
    known = list(records(store))
    for record in known:
        name = f"{record.name or 'a step'} ({record.key[:12]})"
        if record.key == digest:
            yield Reference(name, f"is this derivation; it gave {record.tree}")
        if record.tree == digest:
            yield Reference(name, "gave this tree")
        if digest in record.needs:
            yield Reference(name, "reads it")
    for tree in sorted({tree for record in known for tree in (record.tree, *record.needs)}):
        for entry in _entries(store, tree):
            if entry[1] == digest:
                yield Reference(_name_of(tree, known), f"holds it as {entry[0]}")


def _entries(store: Store, digest: Digest) -> Iterator[tuple[str, Digest | None]]:
    tree = tree_or_none(store, digest)
    yield from ((entry.path, entry.digest) for entry in (tree.entries if tree else ()))


def _name_of(tree: Digest, known: Iterable[Record]) -> str:
    givers = [record.name for record in known if record.tree == tree and record.name]
    readers = [record.name for record in known if tree in record.needs and record.name]
    if givers:
        return f"the output of {givers[0]} ({tree[:12]})"
    return f"an input of {readers[0]} ({tree[:12]})" if readers else f"tree {tree[:12]}"
