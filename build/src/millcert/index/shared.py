"""A shared store: pinned files from a folder or a plain HTTP server that has the layout of a store.

It is believed in nothing: a file is taken only if it has the digest that a lock names. What derivations gave is
never taken from there, since no hash can tell a true answer from a false one; only building can.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from millcert.errors import FetchError
from millcert.index.configuration import read_configuration
from millcert.index.download import Download, Progress, download
from millcert.index.transport import AbsentError, Transport
from millcert.model import Digest, chunks_of
from millcert.store import Store

__all__ = ["Wanted", "bring"]


@dataclass(frozen=True)
class Wanted:
    """A pinned file: its name for readers, its digest, its size in bytes."""

    filename: str
    digest: Digest
    size: int


def bring(location: str, wanted: Iterable[Wanted], store: Store, progress: Progress) -> None:
    """Take what the store lacks and the shared store has; what neither has is left for the indexes.

    Raises HashMismatchError for altered bytes, FetchError where the location is no store or does not answer.
    """
    missing = [item for item in wanted if not store.has(item.digest)]
    if not missing:
        return
    if urlsplit(location).scheme in ("http", "https"):
        _from_server(location.rstrip("/"), missing, store, progress)
    else:
        _from_folder(Path(location), missing, store, progress)


def _from_server(address: str, missing: Iterable[Wanted], store: Store, progress: Progress) -> None:
    transport = Transport(read_configuration(os.environ), plain_http=True)
    for item in missing:
        path = f"{address}/blobs/{item.digest[:2]}/{item.digest}"
        file = Download(item.filename, item.digest, item.size, partial(str, path))
        with contextlib.suppress(AbsentError):
            download(file, store, transport, progress)


def _from_folder(folder: Path, missing: Iterable[Wanted], store: Store, progress: Progress) -> None:
    if not (folder / "blobs").is_dir():
        raise FetchError("not a store: it has no folder of blobs", folder=folder, fix="name the store's own folder")
    for item in missing:
        path = folder / "blobs" / item.digest[:2] / item.digest
        if not path.is_file():
            continue
        with path.open("rb") as stream:
            store.add_stream(chunks_of(stream), expected=item.digest)
        progress(item.filename, item.size, item.size)
