"""Reading Simple API indexes and downloading locked files: the only networked step of a build."""

from __future__ import annotations

import os
from collections.abc import Iterable

from millcert.index.client import IndexClient
from millcert.index.configuration import ClientConfiguration, read_configuration
from millcert.index.download import Progress
from millcert.index.page import IndexFile, MalformedPageError, ProjectPage, Reservation, parse_page
from millcert.index.transport import AbsentError, InsecureAddressError, OversizeError, Transport, UnavailableError
from millcert.lock.lockfile import LockedFile, Pin
from millcert.store import Store

__all__ = [
    "AbsentError",
    "ClientConfiguration",
    "IndexClient",
    "IndexFile",
    "InsecureAddressError",
    "MalformedPageError",
    "OversizeError",
    "Progress",
    "ProjectPage",
    "Reservation",
    "Transport",
    "UnavailableError",
    "fetch",
    "parse_page",
    "read_configuration",
]


def fetch(wanted: Iterable[tuple[Pin, LockedFile]], store: Store, progress: Progress | None = None) -> None:
    """Bring every locked file that the store lacks, from the indexes of this machine's configuration.

    Raises FetchError (AbsentError, UnavailableError, ...), HashMismatchError, DiskFullError.
    """
    missing = list(wanted)
    if all(store.has(file.digest) for _, file in missing):
        return  # a complete store needs neither pip nor a network
    IndexClient(read_configuration(os.environ)).fetch(missing, store, progress or _silent)


def _silent(filename: str, received: int, size: int) -> None:
    """No progress is shown."""
