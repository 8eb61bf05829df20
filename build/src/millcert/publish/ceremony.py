"""Ceremonies: drafts that change who may sign, made from what is in force now.

Each returns a draft; nothing is in force until enough keys have signed it and ``commit`` has checked them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from securesystemslib.signer import Key
from tuf.api.exceptions import UnsignedMetadataError

from millcert.keys import (
    Draft,
    Role,
    add_key,
    delegate,
    delegator_of,
    new_root,
    new_targets,
    remove_key,
    renew,
    role_of,
    set_threshold,
)
from millcert.keys.authority import Lifetimes
from millcert.keys.draft import AnyMetadata
from millcert.publish.state import State, free_version

__all__ = [
    "add_index",
    "authority_of",
    "change_role",
    "expiring",
    "renew_roles",
    "start",
]


def start(roles: Mapping[str, Role], now: datetime, lifetimes: Lifetimes) -> Draft:
    """A new index: its first root, to be signed by the root keys, and empty targets."""
    root = new_root(roles, now, lifetimes)
    metadata: dict[str, AnyMetadata] = {"root": root, "targets": new_targets(now, lifetimes)}
    return Draft(metadata, dict.fromkeys(metadata, 0), {name: (roles[name],) for name in metadata})


def add_index(
    state: State, index: str, maintainers: Role, publishers: Role, bits: int, now: datetime, lifetimes: Lifetimes
) -> Draft:
    """An index such as ``nightly/cpu``: its maintainers, its publishers, and 2**bits bins for its pages."""
    changed = delegate(state.role("targets"), index, maintainers, publishers, bits, now, lifetimes)
    return _draft(state, dict(changed))


def change_role(
    state: State, role: str, *, add: Sequence[Key] = (), remove: Sequence[str] = (), threshold: int | None = None,
    now: datetime, lifetimes: Lifetimes,
) -> Draft:  # fmt: skip
    """Rotate or revoke keys of a role, or change its threshold; what no longer verifies is signed anew as well."""
    delegator = delegator_of(role)
    current = state.root if delegator == "root" else state.role(delegator)
    changed: AnyMetadata = renew(current, delegator, now, lifetimes)
    for key in add:
        add_key(changed.signed, role, key)
    if threshold is not None:
        set_threshold(changed.signed, role, threshold)
    for keyid in remove:
        remove_key(changed.signed, role, keyid)
    role_of(changed.signed, role)  # refuses a threshold that the keys left cannot meet
    metadata = {delegator: changed}
    for name in _delegates(state, delegator):
        if not _still_verifies(changed, state, name):
            metadata[name] = renew(state.role(name), name, now, lifetimes)
    return _draft(state, metadata)


def renew_roles(state: State, roles: Iterable[str], now: datetime, lifetimes: Lifetimes) -> Draft:
    """The same metadata with a later expiry, for roles that are about to expire."""
    return _draft(
        state, {name: renew(state.root if name == "root" else state.role(name), name, now, lifetimes) for name in roles}
    )


def expiring(state: State, now: datetime, within: timedelta) -> dict[str, datetime]:
    """The roles, other than snapshot and timestamp, that expire within a time; when they do."""
    names = [name.removesuffix(".json") for name in state.snapshot.signed.meta]
    found = {"root": state.root.signed.expires} | {name: state.role(name).signed.expires for name in names}
    return {name: expires for name, expires in found.items() if expires <= now + within}


def _draft(state: State, metadata: dict[str, AnyMetadata]) -> Draft:
    for name, document in metadata.items():
        if name != "root":  # root versions have no gaps
            document.signed.version = free_version(state.site, name, document.signed.version)
    signers = {name: _signers(state, metadata, name) for name in metadata}
    return Draft(metadata, {name: state.version(name) for name in metadata}, signers)


def authority_of(state: State, name: str) -> Role:
    """The keys and threshold in force for a role."""
    delegator = delegator_of(name)
    return role_of(state.root.signed if delegator == "root" else state.role(delegator).signed, name)


def _signers(state: State, metadata: Mapping[str, AnyMetadata], name: str) -> tuple[Role, ...]:
    if name == "root":
        return authority_of(state, name), role_of(metadata[name].signed, name)
    delegator = delegator_of(name)
    return (role_of(metadata[delegator].signed, name) if delegator in metadata else authority_of(state, name),)


def _delegates(state: State, delegator: str) -> list[str]:
    names = [name.removesuffix(".json") for name in state.snapshot.signed.meta]
    return [name for name in names if delegator_of(name) == delegator]


def _still_verifies(delegator: AnyMetadata, state: State, name: str) -> bool:
    document = state.role(name)
    try:
        delegator.signed.verify_delegate(name, document.signed_bytes, document.signatures)
    except UnsignedMetadataError:
        return False
    return True
