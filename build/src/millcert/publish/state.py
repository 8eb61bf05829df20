"""What is published now, each byte of it verified from the trusted root before it is used.

A publisher extends what it finds. If it trusted its own tree, whoever can write to the bucket could slip a
line into a page and have the next night sign it; so the publisher reads as a client does, except that it
accepts expired metadata, which it is about to renew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tuf.api.exceptions import LengthOrHashMismatchError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from millcert.keys import delegator_of, variant_role
from millcert.keys.authority import Lifetimes
from millcert.publish.errors import SiteStateError
from millcert.publish.site import Site

__all__ = ["TIMESTAMP", "TUF", "Lifetimes", "State", "free_version", "load_state", "metadata_path"]

TUF = "tuf"
TIMESTAMP = f"{TUF}/timestamp.json"
_FIX = "restore the tree from a mirror that verifies, then run again"


@dataclass
class State:
    """One consistent snapshot of the index; roles and pages are read and verified when they are asked for."""

    site: Site
    root: Metadata[Root]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    timestamp_bytes: bytes
    _roles: dict[str, Metadata[Targets]] = field(default_factory=dict)

    def version(self, role: str) -> int:
        """The version in force of any role; 0 where there is none."""
        tops: dict[str, Metadata[Any]] = {"root": self.root, "timestamp": self.timestamp, "snapshot": self.snapshot}
        if (top := tops.get(role)) is not None:
            return int(top.signed.version)
        meta = self.snapshot.signed.meta.get(f"{role}.json")
        return meta.version if meta else 0

    def has(self, role: str) -> bool:
        """Whether a role is part of the index."""
        return f"{role}.json" in self.snapshot.signed.meta

    def role(self, name: str) -> Metadata[Targets]:
        """A targets role, verified against the snapshot and its delegator."""
        if (known := self._roles.get(name)) is not None:
            return known
        if (meta := self.snapshot.signed.meta.get(f"{name}.json")) is None:
            raise SiteStateError("the index has no such role", role=name, fix="add it with `millcert keys delegate`")
        path = metadata_path(name, meta.version)
        data = _read(self.site, path)
        delegator = self.root.signed if name == "targets" else self.role(delegator_of(name)).signed
        try:
            meta.verify_length_and_hashes(data)
            document = _parse(data, Targets, path)
            delegator.verify_delegate(name, document.signed_bytes, document.signatures)
        except (LengthOrHashMismatchError, UnsignedMetadataError, ValueError) as error:
            raise SiteStateError("metadata does not verify", file=path, reason=error, fix=_FIX) from error
        if document.signed.version != meta.version:
            raise SiteStateError("metadata of another version", file=path, expected=meta.version, fix=_FIX)
        self._roles[name] = document
        return document

    def page_role(self, path: str) -> str:
        """The role that signs a page (or would): the bin that its path falls into."""
        index = "/".join(path.split("/")[:2])
        delegations = self.role(variant_role(index)).signed.delegations
        if delegations is None or delegations.succinct_roles is None:
            raise SiteStateError("the role of the index delegates no pages", page=path)
        return str(delegations.succinct_roles.get_role_for_target(path))

    def target(self, path: str) -> TargetFile | None:
        """What the index signs for a page, or None where it has no such page."""
        return self.role(self.page_role(path)).signed.targets.get(path)

    def page(self, path: str) -> bytes | None:
        """A page's verified bytes, or None where the index has no such page."""
        if (target := self.target(path)) is None:
            return None
        stored = target.get_prefixed_paths()[0]
        data = _read(self.site, stored)
        try:
            target.verify_length_and_hashes(data)
        except LengthOrHashMismatchError as error:
            raise SiteStateError("a page is not the signed one", file=stored, reason=error, fix=_FIX) from error
        return data


def load_state(site: Site, trusted_root: bytes, *, before: int | None = None, floor: int = 0) -> State:
    """The published state, verified from ``trusted_root`` on through every later root.

    ``before``: stop at the root preceding that version, to finish a ceremony that was cut short.
    ``floor``: SiteStateError for a timestamp older than this version (a tree that was put back in time).
    """
    root = _parse(trusted_root, Root, "trusted root")
    _verify_root(root, None)
    while before is None or root.signed.version + 1 < before:
        path = metadata_path("root", root.signed.version + 1)
        if (data := site.read(path)) is None:
            break
        following = _parse(data, Root, path)
        _verify_root(following, root)
        root = following
    data = _read(site, TIMESTAMP)
    timestamp = _top(root, data, Timestamp, TIMESTAMP)
    if timestamp.signed.version < floor:
        raise SiteStateError(
            "the index is older than it should be", expected=f"version {floor} or later",
            found=timestamp.signed.version, fix=_FIX,
        )  # fmt: skip
    meta = timestamp.signed.snapshot_meta
    path = metadata_path("snapshot", meta.version)
    snapshot_bytes = _read(site, path)
    try:
        meta.verify_length_and_hashes(snapshot_bytes)
    except LengthOrHashMismatchError as error:
        raise SiteStateError("the snapshot is not the signed one", file=path, reason=error, fix=_FIX) from error
    return State(site, root, timestamp, _top(root, snapshot_bytes, Snapshot, path), data)


def metadata_path(role: str, version: int) -> str:
    """Where a version of a role is stored."""
    return f"{TUF}/{version}.{role}.json"


def free_version(site: Site, role: str, version: int) -> int:
    """The first version from ``version`` on whose name is free: a name a crash left behind is not written again."""
    while site.exists(metadata_path(role, version)):
        version += 1
    return version


def _top(root: Metadata[Root], data: bytes, kind: Any, path: str) -> Metadata[Any]:
    document = _parse(data, kind, path)
    try:
        root.signed.verify_delegate(kind.type, document.signed_bytes, document.signatures)
    except UnsignedMetadataError as error:
        raise SiteStateError(
            "metadata is not signed by the keys of the root", file=path, reason=error,
            fix="finish a ceremony that was cut short with `millcert keys commit`, or restore the tree",
        ) from error  # fmt: skip
    return document


def _verify_root(root: Metadata[Root], previous: Metadata[Root] | None) -> None:
    try:
        verdict = root.signed.get_root_verification_result(
            previous.signed if previous else None, root.signed_bytes, root.signatures
        )
    except ValueError as error:
        raise SiteStateError("the root is out of order", reason=error, fix=_FIX) from error
    if not verdict:
        raise SiteStateError("the root is not signed by enough keys", version=root.signed.version, fix=_FIX)


def _read(site: Site, path: str) -> bytes:
    data = site.read(path)
    if data is None:
        raise SiteStateError(
            "a file of the index is missing", file=path, fix="start the index with `millcert keys init`"
        )
    return data


def _parse(data: bytes, kind: Any, path: str) -> Metadata[Any]:
    try:
        document: Metadata[Any] = Metadata.from_bytes(data)
    except DeserializationError as error:
        raise SiteStateError("not TUF metadata", file=path, reason=error, fix=_FIX) from error
    if not isinstance(document.signed, kind):
        raise SiteStateError("metadata of another kind", file=path, expected=kind.type, found=document.signed.type)
    return document
