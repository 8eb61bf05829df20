"""Offline kits: one file with everything that an installation reads, for machines without a network.

A kit is a store's kit (a tar of blobs by digest) with one more blob that says where on the site each was. It carries no
trust: root, policy and Sigstore root are the reader's own, and every byte is verified as if it came from the index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from millcert.errors import ConfigError
from millcert.index import Progress
from millcert.install.errors import HostileWheelError, StaleIndexError
from millcert.install.source import KitSource, Source, Wanted
from millcert.model import Digest, canonical_json, parse_digest
from millcert.store import Store
from millcert.store.kit import export_kit, import_kit

__all__ = ["Kit", "Recorder", "open_kit", "reference_time", "write_kit"]

_LIST = "millcert-install.json"
_MOST_LIST = 16 << 20


@dataclass(frozen=True)
class Kit:
    """What a kit is for, and its files."""

    project: str
    index: str
    version: str
    source: KitSource


@dataclass
class Recorder:
    """A source that passes through, and remembers where on the site each file was."""

    source: Source
    store: Store
    paths: dict[str, Digest] = field(default_factory=dict)

    def read(self, path: str, limit: int) -> bytes:
        """A file, recorded only if it was there."""
        data = self.source.read(path, limit)
        self.paths[path] = self.store.add_bytes(data)
        return data

    def bring(self, wanted: Sequence[Wanted], store: Store, progress: Progress) -> None:
        """Pinned files, recorded."""
        self.source.bring(wanted, store, progress)
        self.paths |= {one.path: one.digest for one in wanted}


def write_kit(recorded: Recorder, project: str, index: str, version: str, into: IO[bytes]) -> int:
    """Write everything that was recorded; how many bytes of files."""
    fields = {"kit": 1, "project": project, "index": index, "version": version, "paths": recorded.paths}
    listing = canonical_json(fields)
    files = {digest: path for path, digest in recorded.paths.items()}
    files[recorded.store.add_bytes(listing)] = _LIST
    return export_kit(recorded.store, files, into)


def open_kit(path: Path, store: Store) -> Kit:
    """A kit's files, taken into a store; HostileWheelError, StoreError or HashMismatchError where it is not one."""
    try:
        with path.open("rb") as stream:
            files = import_kit(store, stream)
    except OSError as error:
        raise ConfigError("the kit cannot be read", file=path, reason=error.strerror) from error
    try:
        (digest,) = [digest for digest, name in files.items() if name == _LIST]
        if store.path(digest).stat().st_size > _MOST_LIST:
            raise ValueError("a list that is too long")
        document = json.loads(store.read(digest))
        paths = {str(name): parse_digest(found) for name, found in document["paths"].items()}
        if document["kit"] != 1 or not set(paths.values()) <= set(files):
            raise ValueError("not version 1, or a file that is not in the kit")
        project, index, version = (str(document[key]) for key in ("project", "index", "version"))
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise HostileWheelError("not an installation kit", file=path, reason=error) from error
    return Kit(project, index, version, KitSource(paths, store))


def reference_time(as_of: datetime, max_age: timedelta, now: datetime) -> datetime:
    """The moment by which a kit's metadata must not have run out: at most ``max_age`` before ``as_of``.

    ``as_of`` may not lie in the future, where metadata that is long revoked elsewhere would be judged by a wrong clock.
    """
    if as_of > now + timedelta(minutes=10):
        raise StaleIndexError("--as-of is in the future", found=as_of, now=now, fix="set the clock, or name a past one")
    return as_of - max_age
