"""What somebody with a mirror, or with some stolen keys, could put in front of a TUF client."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from securesystemslib.signer import Signer
from tests.support.nightly import Nightly
from tuf.api.metadata import Metadata, MetaFile

__all__ = ["forge", "page_role", "resign"]


def page_role(nightly: Nightly, path: str = "nightly/cpu/wootz/index.json") -> str:
    """The bin that signs a page."""
    return str(nightly.state().page_role(path))


def forge(nightly: Nightly, role: str, change: Callable[[Any], None], keys: Sequence[Signer]) -> None:
    """Put a changed role into the tree, signed by ``keys``; snapshot and timestamp are signed with their real keys.

    ``millcert`` itself refuses to do this: the files are written past it.
    """
    state = nightly.state()
    document: Metadata[Any] = Metadata.from_bytes(_read(nightly, f"{state.version(role)}.{role}.json"))
    change(document.signed)
    data = resign(document, keys)
    _write(nightly, f"{document.signed.version}.{role}.json", data)
    snapshot: Metadata[Any] = Metadata.from_bytes(_read(nightly, f"{state.version('snapshot')}.snapshot.json"))
    snapshot.signed.meta[f"{role}.json"] = _meta(document.signed.version, data)
    snapshot_bytes = resign(snapshot, nightly.keys["snapshot"])
    _write(nightly, f"{snapshot.signed.version}.snapshot.json", snapshot_bytes)
    timestamp: Metadata[Any] = Metadata.from_bytes(_read(nightly, "timestamp.json"))
    timestamp.signed.snapshot_meta = _meta(snapshot.signed.version, snapshot_bytes)
    _write(nightly, "timestamp.json", resign(timestamp, nightly.keys["timestamp"]))


def resign(document: Metadata[Any], keys: Sequence[Signer]) -> bytes:
    """The next version of some metadata, signed by these keys alone."""
    document.signed.version += 1
    document.signatures.clear()
    for key in keys:
        document.sign(key, append=True)
    return document.to_bytes()


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


def _read(nightly: Nightly, name: str) -> bytes:
    return (nightly.site.root / "tuf" / name).read_bytes()


def _write(nightly: Nightly, name: str, data: bytes) -> None:
    (nightly.site.root / "tuf" / name).write_bytes(data)
