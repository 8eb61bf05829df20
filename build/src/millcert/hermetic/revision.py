"""Which sources are built: the commit, its time, and whether the working tree agrees with it."""

from __future__ import annotations

import datetime
import subprocess
from dataclasses import dataclass
from pathlib import Path

from millcert.errors import ConfigError

__all__ = ["Revision", "read_revision", "version_of"]


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
    dirty = bool(_git(root, "status", "--porcelain"))
    tags = tuple(_git(root, "tag", "--points-at", "HEAD").split())
    return Revision(commit, int(time), dirty, tags, _remote(root))


def _remote(root: Path) -> str:
    # a clone of a folder has that folder's path as its remote, which says nothing to anyone else
    address = subprocess.run(["git", "-C", root, "config", "remote.origin.url"], capture_output=True, text=True).stdout
    return address.strip() if "://" in address and not address.startswith("file:") and "@" not in address else ""


def _git(root: Path, *args: str) -> str:
    # safe.directory: a checkout owned by another user (a CI runner's) is read, and nothing in it is run
    command = ["git", "-C", str(root), "-c", f"safe.directory={root.resolve()}", *args]
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
