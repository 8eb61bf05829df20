"""The static tree that a web server or bucket serves, and the only code that writes to it.

A name is written once (``create``), apart from the few that are replaced as a whole by a rename
(``replace``): ``tuf/timestamp.json``, and the views that are derived from what it signs. Work in
progress, the publishers' lock and the journal are in ``.publish/``, which need not be served.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from millcert.errors import DiskFullError, HashMismatchError
from millcert.model import Digest, digest_of_file
from millcert.publish.errors import BusyError, NameTakenError, SiteStateError
from millcert.tree import check_path

__all__ = ["PRIVATE", "FolderSite", "Site"]

PRIVATE = ".publish"


class Site(Protocol):
    """What publishing needs of the place where the index lives; paths are relative, with ``/``."""

    def read(self, path: str) -> bytes | None:
        """The bytes at a path, or None."""

    def exists(self, path: str) -> bool:
        """Whether there is something at a path."""

    def create(self, path: str, chunks: Iterable[bytes], digest: Digest) -> None:
        """Write a name once; the same bytes again are fine, NameTakenError for others."""

    def replace(self, path: str, data: bytes) -> None:
        """Put bytes at a path in one step, over what was there."""

    def remove(self, path: str) -> None:
        """Remove a file of the private folder, if it is there."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the index against other publishers; BusyError if one is at work."""


class FolderSite:
    """A site in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / PRIVATE).mkdir(parents=True, exist_ok=True)

    def read(self, path: str) -> bytes | None:
        """The bytes at a path, or None."""
        try:
            return self._at(path).read_bytes()
        except FileNotFoundError:
            return None

    def exists(self, path: str) -> bool:
        """Whether there is something at a path."""
        return self._at(path).exists()

    def create(self, path: str, chunks: Iterable[bytes], digest: Digest) -> None:
        """Write a name once, its bytes streamed and checked; a crash leaves either nothing or the whole file."""
        target = self._at(path)
        if target.exists():
            return _check_same(target, path, digest)
        with self._temporary() as temporary:
            found = _write(temporary, chunks)
            if found != digest:
                raise HashMismatchError("the bytes changed on their way", file=path, expected=digest, found=found)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return _check_same(target, path, digest)
            _sync(target.parent)
        return None

    def replace(self, path: str, data: bytes) -> None:
        """Put bytes at a path in one step, over what was there."""
        target = self._at(path)
        with self._temporary() as temporary:
            _write(temporary, [data])
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
            _sync(target.parent)

    def remove(self, path: str) -> None:
        """Remove a file of the private folder, if it is there."""
        if not path.startswith(f"{PRIVATE}/"):
            raise SiteStateError("a published name is never removed", path=path)
        self._at(path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the index against other publishers on this machine; the lock dies with its process."""
        with (self.root / PRIVATE / "lock").open("wb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    "another publisher holds the index", index=self.root, fix="run again when it has finished"
                ) from None
            for leftover in (self.root / PRIVATE).glob("*.part"):
                leftover.unlink(missing_ok=True)
            yield

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        path = self.root / PRIVATE / f"{os.getpid()}-{secrets.token_hex(8)}.part"
        try:
            yield path
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(
                    "no space is left for the index; what is published is untouched",
                    index=self.root, fix="free some space, then run the same command again",
                ) from error  # fmt: skip
            raise
        finally:
            path.unlink(missing_ok=True)

    def _at(self, path: str) -> Path:
        return self.root / check_path(path)


def _write(path: Path, chunks: Iterable[bytes]) -> Digest:
    hasher = hashlib.sha256()
    with path.open("wb") as stream:
        for chunk in chunks:
            hasher.update(chunk)
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    path.chmod(0o644)
    return Digest(hasher.hexdigest())


def _check_same(target: Path, path: str, digest: Digest) -> None:
    if (found := digest_of_file(target)) != digest:
        raise NameTakenError(
            "the name is taken by other bytes", file=path, published=found, refused=digest,
            fix="publish under a new version: a name that was published once never changes",
        )  # fmt: skip


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
