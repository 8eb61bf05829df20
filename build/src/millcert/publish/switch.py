"""Puts a draft into force: metadata under names that were never used, then one rename of the timestamp.

Before the rename nothing that a client follows has changed; after it everything has. The views for clients
without TUF follow from what the timestamp now signs; which pages they are of is noted in a journal first, so that
a later run finishes them if this one dies in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from millcert.keys import Draft, UnsignedError, delegator_of, renew, role_of
from millcert.keys.authority import Lifetimes
from millcert.model import digest_of
from millcert.publish.errors import LostRaceError, NameTakenError, SiteStateError
from millcert.publish.site import Site
from millcert.publish.state import TIMESTAMP, State, free_version, metadata_path
from millcert.publish.views import views_of, write_journal, write_views

__all__ = ["commit"]

AnyMetadata = Metadata[Any]


def commit(
    site: Site, state: State | None, draft: Draft, signers: Sequence[Signer], now: datetime, lifetimes: Lifetimes
) -> int:
    """Put a draft into force and return the new timestamp version; the caller holds the site's lock.

    Raises UnsignedError where signatures are missing, LostRaceError where the index moved on since the draft.
    """
    _check_base(state, draft)
    _check_signed(state, draft)
    changed = _changed_pages(site, state, draft)
    views: dict[str, bytes] = {}
    for path, page in changed.items():
        views |= views_of(site, path, page, state.page(path) if state else None)
    root = draft.metadata["root"] if "root" in draft.metadata else _in_force(state).root
    for name, document in draft.metadata.items():
        _create(site, metadata_path(name, document.signed.version), document.to_bytes())
    snapshot = _snapshot(site, state, draft, now, lifetimes)
    _sign(root, "snapshot", snapshot, signers)
    snapshot_bytes = snapshot.to_bytes()
    _create(site, metadata_path("snapshot", snapshot.signed.version), snapshot_bytes)
    meta = MetaFile(snapshot.signed.version, len(snapshot_bytes), {"sha256": digest_of(snapshot_bytes)})
    fresh = Timestamp(expires=lifetimes.expiry("timestamp", now))
    timestamp = renew(state.timestamp, "timestamp", now, lifetimes) if state else Metadata(fresh)
    timestamp.signed.snapshot_meta = meta
    _sign(root, "timestamp", timestamp, signers)
    timestamp_bytes = timestamp.to_bytes()
    write_journal(site, timestamp_bytes, changed)
    if site.read(TIMESTAMP) != (state.timestamp_bytes if state else None):
        raise LostRaceError("another publisher was quicker", fix="run the same command again")
    site.replace(TIMESTAMP, timestamp_bytes)
    write_views(site, views)
    return int(timestamp.signed.version)


def _changed_pages(site: Site, state: State | None, draft: Draft) -> dict[str, bytes]:
    """The pages that a draft brings, checked to be on the site: projects that others need first, then the lists."""
    found: dict[str, bytes] = {}
    for name, document in draft.metadata.items():
        if not isinstance(document.signed, Targets):
            continue
        known = state.role(name).signed.targets if state and state.has(name) else {}
        for path, target in document.signed.targets.items():
            if known.get(path) == target:
                continue
            if _in_force(state).page_role(path) != name:
                raise SiteStateError("a page in a role that does not sign it", page=path, role=name)
            page = site.read(target.get_prefixed_paths()[0])
            if page is None or digest_of(page) != target.hashes["sha256"]:
                raise SiteStateError("a page that the draft signs is not on the site", page=path)
            found[path] = page
    ours = {path: b'"pylock":' in page for path, page in found.items()}
    return {path: found[path] for path in sorted(found, key=lambda path: (path.count("/") == 2, ours[path], path))}


def _check_base(state: State | None, draft: Draft) -> None:
    for name, version in draft.base.items():
        current = state.version(name) if state else 0
        if current != version:
            raise LostRaceError(
                "the index moved on since the draft was made", role=name, drafted_on=version, now=current,
                fix="make the draft again",
            )  # fmt: skip


def _check_signed(state: State | None, draft: Draft) -> None:
    """Everything new is signed by whom the index says, and everything old still is."""
    draft.check_complete()
    for name, document in draft.metadata.items():
        if name == "root":
            _verify_root(document, state)
        else:
            _verify(_delegator(state, draft, name), name, document)
    for name in _left_behind(state, draft):
        _verify(_delegator(state, draft, name), name, _in_force(state).role(name))


def _left_behind(state: State | None, draft: Draft) -> list[str]:
    """Roles that are not in the draft, although who may sign them is."""
    if state is None:
        return []
    names = [name.removesuffix(".json") for name in state.snapshot.signed.meta]
    return [name for name in names if name not in draft.metadata and delegator_of(name) in draft.metadata]


def _delegator(state: State | None, draft: Draft, name: str) -> Root | Targets:
    delegator = delegator_of(name)
    if delegator in draft.metadata:
        return draft.metadata[delegator].signed  # type: ignore[no-any-return]  # a draft holds several kinds
    current = _in_force(state)
    return current.root.signed if delegator == "root" else current.role(delegator).signed


def _in_force(state: State | None) -> State:
    if state is None:
        raise SiteStateError("there is no index yet", fix="start it with `millcert keys init`")
    return state


def _verify(delegator: Root | Targets, name: str, document: AnyMetadata) -> None:
    try:
        delegator.verify_delegate(name, document.signed_bytes, document.signatures)
    except (UnsignedMetadataError, ValueError) as error:
        raise UnsignedError(
            "metadata is not signed by enough of its keys",
            role=name,
            reason=error,
            fix="add it to the draft, and sign it",
        ) from error


def _verify_root(document: AnyMetadata, state: State | None) -> None:
    previous = state.root.signed if state else None
    if not document.signed.get_root_verification_result(previous, document.signed_bytes, document.signatures):
        raise UnsignedError("the root is not signed by enough keys of the old root and of the new one", role="root")


def _snapshot(
    site: Site, state: State | None, draft: Draft, now: datetime, lifetimes: Lifetimes
) -> Metadata[Snapshot]:  # fmt: skip
    fresh = Snapshot(expires=lifetimes.expiry("snapshot", now), meta={})
    snapshot = renew(state.snapshot, "snapshot", now, lifetimes) if state else Metadata(fresh)
    snapshot.signed.version = free_version(site, "snapshot", snapshot.signed.version)
    for name, document in draft.metadata.items():
        if name != "root":
            data = document.to_bytes()
            snapshot.signed.meta[f"{name}.json"] = MetaFile(
                document.signed.version, len(data), {"sha256": digest_of(data)}
            )
    return snapshot


def _sign(root: Metadata[Root], name: str, document: AnyMetadata, signers: Sequence[Signer]) -> None:
    role = role_of(root.signed, name)
    wanted = {key.keyid for key in role.keys}
    for signer in signers:
        if signer.public_key.keyid in wanted:
            document.sign(signer, append=True)
    try:
        root.signed.verify_delegate(name, document.signed_bytes, document.signatures)
    except UnsignedMetadataError as error:
        raise UnsignedError(
            f"the {name} key is needed to put the change into force", reason=error,
            could_sign=", ".join(sorted(keyid[:12] for keyid in wanted)), fix="name its key document with --key",
        ) from error  # fmt: skip


def _create(site: Site, path: str, data: bytes) -> None:
    try:
        site.create(path, [data], digest_of(data))
    except NameTakenError as error:
        raise LostRaceError(
            "another publisher took the version", file=path, fix="run the same command again, or make the draft again"
        ) from error
