"""A tree: what a folder holds, as a sorted list that has one digest.

Only what a reproducible build may depend on is kept: relative path, kind, content, executable bit, link
target. Times, owners and other mode bits are not part of a tree.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from millcert.errors import StoreError, UnsafeArchiveError
from millcert.model import Digest, canonical_json, parse_digest

__all__ = ["Entry", "Kind", "Tree", "check_path", "parse_tree", "scan_tree"]

Kind = Literal["file", "folder", "link"]


_UNCLEAN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # surrogates stand for bytes that are not UTF-8


@dataclass(frozen=True)
class Entry:
    """One path of a tree; ``digest`` and ``size`` for files, ``target`` for links."""

    path: str
    kind: Kind
    digest: Digest | None = None
    size: int = 0
    executable: bool = False
    target: str = ""

    def as_dict(self) -> dict[str, object]:
        """The entry as canonical JSON holds it: only the fields that its kind has."""
        if self.kind == "link":
            return {"path": self.path, "kind": "link", "target": self.target}
        if self.kind == "folder":
            return {"path": self.path, "kind": "folder"}
        fields: dict[str, object] = {"path": self.path, "kind": "file", "digest": self.digest, "size": self.size}
        return fields | {"executable": True} if self.executable else fields


@dataclass(frozen=True)
class Tree:
    """Entries in the order of their paths."""

    entries: tuple[Entry, ...]

    def to_bytes(self) -> bytes:
        """The canonical form, whose sha256 is the tree's digest."""
        ordered = sorted(self.entries, key=lambda entry: entry.path)
        return canonical_json({"tree": 1, "entries": [entry.as_dict() for entry in ordered]})

    def folders(self) -> set[str]:
        """Every folder of the tree; those with something in them have no entry of their own."""
        found = {entry.path for entry in self.entries if entry.kind == "folder"}
        for entry in self.entries:
            parent = entry.path.rpartition("/")[0]
            while parent and parent not in found:
                found.add(parent)
                parent = parent.rpartition("/")[0]
        return found

    def file(self, path: str) -> Entry:
        """The file at a path; StoreError where the tree has none."""
        for entry in self.entries:
            if entry.path == path and entry.kind == "file":
                return entry
        raise StoreError("the tree has no such file", path=path, files=", ".join(e.path for e in self.entries[:8]))


def check_path(path: str) -> str:
    """A relative path that stays inside; UnsafeArchiveError for anything else."""
    parts = path.split("/")
    bad = not path or path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in parts)
    if bad or not _is_clean(path):
        raise UnsafeArchiveError("a path that leaves its tree or cannot be a file name", path=repr(path))
    return path


def _is_clean(text: str) -> bool:
    return _UNCLEAN.search(text) is None


def parse_tree(data: bytes) -> Tree:
    """A tree from its canonical form; StoreError where the bytes are not one."""
    try:
        document = json.loads(data)
        if document["tree"] != 1:
            raise ValueError(f"tree format {document['tree']!r}")
        tree = Tree(tuple(_entry(fields) for fields in document["entries"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("not the description of a tree", reason=error) from error
    _check_nesting(tree)
    return tree


def _check_nesting(tree: Tree) -> None:
    """Each path once, and none below a file or a link: unpacking would write through it."""
    leaves = {entry.path for entry in tree.entries if entry.kind != "folder"}
    if len({entry.path for entry in tree.entries}) != len(tree.entries):
        raise UnsafeArchiveError("a tree with one path twice")
    for folder in tree.folders():
        if folder in leaves:
            raise UnsafeArchiveError("a path below a file or a link", path=folder)


def _entry(fields: dict[str, object]) -> Entry:
    kind = fields["kind"]
    path = check_path(str(fields["path"]))
    if kind == "file":
        size = fields["size"]
        if not isinstance(size, int):
            raise ValueError("size is not a number")
        return Entry(path, "file", parse_digest(str(fields["digest"])), size, bool(fields.get("executable")))
    if kind == "link":
        return Entry(path, "link", target=_link_target(path, str(fields["target"])))
    if kind == "folder":
        return Entry(path, "folder")
    raise ValueError(f"kind {kind!r}")


def scan_tree(folder: Path) -> Iterator[Entry]:
    """What is in a folder, without content digests; refuses devices, sockets, set-id files and links that leave it."""
    for base, folders, files in os.walk(folder):
        folders.sort()
        here = Path(base)
        for name in sorted([*folders, *files]):
            path = here / name
            relative = check_path(path.relative_to(folder).as_posix())
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                yield Entry(relative, "link", target=_link_target(relative, str(path.readlink())))
            elif mode & (stat.S_ISUID | stat.S_ISGID):
                raise UnsafeArchiveError("a set-user-id or set-group-id file or folder", path=relative, mode=oct(mode))
            elif stat.S_ISDIR(mode):
                yield Entry(relative, "folder")
            elif not stat.S_ISREG(mode):
                raise UnsafeArchiveError("neither a file, a folder nor a link", path=relative, mode=oct(mode))
            else:
                yield Entry(relative, "file", executable=bool(mode & stat.S_IXUSR))


def _link_target(path: str, target: str) -> str:
    inside = PurePosixPath(target.lstrip("/")) if target.startswith("/") else PurePosixPath(path).parent / target
    depth = 0
    for part in inside.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            raise UnsafeArchiveError("a link that leaves its tree", path=path, target=target)
    if not _is_clean(target):
        raise UnsafeArchiveError("a link's target that cannot be written down", path=path, target=repr(target))
    return target
