"""Debian packages without dpkg: locks, downloads, and a checked unpacker."""

from __future__ import annotations

import os
from functools import partial

from millcert.debian.apt import find_archive
from millcert.debian.lockfile import DebianLock, DebianPackage, parse_lock, read_lock, render_lock
from millcert.debian.unpack import DebControl, Rules, unpack
from millcert.errors import LockError
from millcert.index.configuration import read_configuration
from millcert.index.download import Download, Progress, download_all
from millcert.index.transport import AbsentError, Transport
from millcert.store import Store

__all__ = [
    "DebControl",
    "DebianLock",
    "DebianPackage",
    "Rules",
    "SupersededError",
    "fetch",
    "parse_lock",
    "read_lock",
    "render_lock",
    "unpack",
]


class SupersededError(LockError):
    """The mirror no longer has a pinned package: expected of security updates, never of a frozen suite."""


def fetch(lock: DebianLock, store: Store, progress: Progress | None = None) -> None:
    """Bring every locked package that the store lacks, from the mirror of this machine's apt configuration.

    Raises SupersededError, FetchError, HashMismatchError, DiskFullError.
    """
    missing = [package for package in lock.packages if not store.has(package.digest)]
    if not missing:
        return
    roots = {suite: find_archive(suite, os.environ).address for suite in {_suite(package) for package in missing}}
    transport = Transport(read_configuration(os.environ), plain_http=True)
    wanted = [
        Download(package.filename, package.digest, package.size, partial(_address, package, roots))
        for package in lock.packages
    ]
    try:
        download_all(wanted, store, transport, progress or _silent)
    except AbsentError as error:
        raise SupersededError(
            "the mirror no longer has a locked package: a newer version took its place",
            lock=lock.path, **error.evidence, fix=f"run `millcert lock debian/{lock.path.stem}` and commit the result",
        ) from error  # fmt: skip


def _suite(package: DebianPackage) -> str:
    return "bookworm-security" if package.security else "bookworm"


def _address(package: DebianPackage, roots: dict[str, str]) -> str:
    return roots[_suite(package)] + package.pool


def _silent(filename: str, received: int, size: int) -> None:
    """No progress is shown."""
