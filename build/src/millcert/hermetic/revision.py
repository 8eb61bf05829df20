"""Which sources are built: the commit, its time, and whether the working tree agrees with it."""

from __future__ import annotations

import datetime
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from millcert.errors import ConfigError

__all__ = ["Revision", "ignored_files", "read_revision", "version_of"]


@dataclass(frozen=True)
class Revision:
    """A commit: its id, its time in seconds, whether files differ from it, whether it carries the release's tag."""

    commit: str
    time: int
    dirty: bool
    tags: tuple[str, ...]
    remote: str


def read_revision(root: Path) -> Revision:
    """The state of the git checkout at ``root``; ConfigError where it is none."""
    commit, time = _git(root, "log", "-1", "--format=%H %ct").split()
    dirty = bool(_git(root, "status", "--porcelain")) or _differs(root)
    tags = tuple(_git(root, "tag", "--points-at", "HEAD").split())
    return Revision(commit, int(time), dirty, tags, _remote(root))


def _differs(root: Path) -> bool:
    """Whether a file's bytes are not the commit's: git can be told not to look, and its filters change what it sees."""
    for line in filter(None, _git(root, "ls-tree", "-r", "-z", "HEAD").split("\0")):
        about, _, name = line.partition("\t")
        mode, kind, identity = about.split()
        path = root / name
        if kind != "blob":
            continue  # a submodule is named by its commit
        if (mode == "120000") != path.is_symlink() or not (path.is_symlink() or path.is_file()):
            return True
        data = str(path.readlink()).encode() if mode == "120000" else path.read_bytes()
        hasher = hashlib.sha1(usedforsecurity=False) if len(identity) == 40 else hashlib.sha256()
        hasher.update(b"blob %d\0" % len(data) + data)
        if hasher.hexdigest() != identity:
            return True
    return False


def ignored_files(folder: Path) -> frozenset[Path]:
    """Files below a folder that git neither knows nor counts as a change; none where there is no git checkout."""
    try:
        listed = _git(folder, "ls-files", "-z", "--others", "--ignored", "--exclude-standard")
    except ConfigError:
        return frozenset()
    return frozenset(folder / name for name in listed.split("\0") if name)


def _remote(root: Path) -> str:
    # a clone of a folder has that folder's path as its remote, which says nothing to anyone else
    address = subprocess.run(["git", "-C", root, "config", "remote.origin.url"], capture_output=True, text=True).stdout
    return address.strip() if "://" in address and not address.startswith("file:") and "@" not in address else ""


def _git(root: Path, *args: str) -> str:
    # safe.directory: a checkout owned by another user (a CI runner's) is read, and nothing in it is run
    command = ["git", "-C", str(root), "-c", f"safe.directory={root.resolve()}", "-c", "core.quotePath=false", *args]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise ConfigError("git is not installed", fix="apt-get install git") from None
    except subprocess.CalledProcessError as error:
        raise ConfigError(
            "the project is not a git checkout with a commit", folder=root, git=error.stderr.strip()
        ) from error
    return result.stdout.strip()


def version_of(base: str, variant: str, revision: Revision) -> str:
    """The version of one variant's wheel (PEP 440): a release at its tag, else a nightly dated by its commit.

    >>> version_of("0.1.0", "cu129", Revision("c0ffee", 1795392000, False, (), ""))
    '0.1.0.dev20261123+cu129'
    """
    local = f"{variant}.dirty" if revision.dirty else variant
    if f"v{base}" in revision.tags:
        return f"{base}+{local}"
    day = datetime.datetime.fromtimestamp(revision.time, datetime.UTC).strftime("%Y%m%d")
    return f"{base}.dev{day}+{local}"
