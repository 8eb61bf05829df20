"""Kits: pinned inputs as one tar archive, for builders without a network. Equal inputs give equal bytes."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Container, Mapping
from typing import IO

from millcert.errors import HashMismatchError, StoreError, UnsafeArchiveError
from millcert.model import Digest, canonical_json, chunks_of, parse_digest
from millcert.store.contents import Store

__all__ = ["export_kit", "import_kit"]

_LIST = "millcert-kit.json"
_BLOB = re.compile(r"blobs/([0-9a-f]{64})")
_MOST_LIST = 64 << 20


def export_kit(store: Store, files: Mapping[Digest, str], into: IO[bytes]) -> int:
    """Write the blobs, named by ``files`` for their readers, to a stream; how many bytes they have.

    Raises StoreError where the store lacks one, HashMismatchError where one was altered.
    """
    if missing := sorted(name for digest, name in files.items() if not store.has(digest)):
        raise StoreError(
            "the store lacks files that the locks name",
            missing=len(missing),
            first=missing[0],
            fix="run `millcert fetch`",
        )
    sizes = {digest: store.path(digest).stat().st_size for digest in sorted(files)}
    listed = [{"sha256": digest, "size": sizes[digest], "file": files[digest]} for digest in sizes]
    listing = canonical_json({"kit": 1, "blobs": listed})
    with tarfile.open(fileobj=into, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(_member(_LIST, len(listing)), io.BytesIO(listing))
        for digest, size in sizes.items():
            with store.path(digest).open("rb") as stream:
                archive.addfile(_member(f"blobs/{digest}", size), stream)
    return sum(sizes.values())


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o444, 0
    return member


def import_kit(store: Store, stream: IO[bytes]) -> dict[Digest, str]:
    """Take the blobs of a kit into the store, each checked; their names by digest.

    Raises UnsafeArchiveError for anything that is not a kit, HashMismatchError for altered bytes, StoreError for a kit
    that lacks something. What was taken before stays: it was checked.
    """
    files: dict[Digest, str] | None = None
    seen: set[Digest] = set()
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if files is None:
                    files = _listing(archive, member)
                else:
                    seen.add(_take(store, archive, member, files))
    except (tarfile.TarError, EOFError) as error:
        raise UnsafeArchiveError("not a readable kit", reason=error) from error
    if files is None or files.keys() - seen:
        raise StoreError("the kit is not whole", missing=len(set(files or ()) - seen), fix="bring the kit again")
    return files


def _listing(archive: tarfile.TarFile, member: tarfile.TarInfo) -> dict[Digest, str]:
    stream = archive.extractfile(member) if member.isreg() and member.size <= _MOST_LIST else None
    if member.name != _LIST or stream is None:
        raise UnsafeArchiveError("not a kit: it does not begin with its list", expected=_LIST, found=member.name)
    try:
        document = json.loads(stream.read())
        if document["kit"] != 1:
            raise ValueError(f"kit format {document['kit']!r}")
        return {parse_digest(blob["sha256"]): str(blob["file"]) for blob in document["blobs"]}
    except (ValueError, KeyError, TypeError) as error:
        raise UnsafeArchiveError("the kit's list cannot be read", reason=error) from error


def _take(store: Store, archive: tarfile.TarFile, member: tarfile.TarInfo, files: Container[str]) -> Digest:
    matched = _BLOB.fullmatch(member.name)
    stream = archive.extractfile(member) if member.isreg() else None
    if matched is None or stream is None or matched[1] not in files:
        raise UnsafeArchiveError("a member of the kit that its list does not name", path=member.name)
    digest = Digest(matched[1])
    if not store.has(digest):
        try:
            store.add_stream(chunks_of(stream), expected=digest)
        except HashMismatchError as error:
            raise HashMismatchError("a file of the kit was altered", **error.evidence) from error
    return digest
