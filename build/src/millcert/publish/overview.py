"""What is in force, and what a draft would change, as rows for people and machines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from millcert.keys import TOP_ROLES, Draft, Role, bin_names, role_of
from millcert.publish.state import State

__all__ = ["describe", "describe_draft", "roles_of_key"]

_Row = dict[str, Any]


def describe(state: State) -> list[_Row]:
    """The roles of an index: version, expiry, threshold and keys; the bins of an index's pages are one row."""
    rows = [
        _row(name, state.version(name), _expiry(state, name), role_of(state.root.signed, name)) for name in TOP_ROLES
    ]
    targets = state.role("targets").signed
    for name in (targets.delegations.roles or {}) if targets.delegations else {}:
        variant = state.role(name)
        rows.append(_row(name, state.version(name), variant.signed.expires, role_of(targets, name)))
        bins = bin_names(variant)
        expires = min(state.role(bin).signed.expires for bin in bins)
        newest = max(state.version(bin) for bin in bins)
        rows.append(_row(f"{name}-pages", newest, expires, role_of(variant.signed, bins[0])))
    return rows


def describe_draft(draft: Draft) -> list[_Row]:
    """A draft's documents, and how many signatures each still lacks."""
    missing = draft.missing()
    return [
        _row(name, document.signed.version, document.signed.expires, draft.signers[name][-1])
        | {"replaces": draft.base[name], "missing": missing.get(name, 0)}
        for name, document in draft.metadata.items()
    ]


def roles_of_key(state: State, keyid: str) -> list[str]:
    """The roles that a key has (a prefix of its id will do), by the names that ``change_role`` takes."""
    return [row["role"] for row in describe(state) if any(one.startswith(keyid) for one in row["keyids"])]


def _row(name: str, version: int, expires: datetime, role: Role) -> _Row:
    return {
        "role": name, "version": version, "expires": f"{expires:%Y-%m-%d %H:%M}Z", "threshold": role.threshold,
        "keyids": [key.keyid for key in role.keys],
        "keys": ", ".join(_label(key.keyid, key.unrecognized_fields.get("x-millcert-name")) for key in role.keys),
    }  # fmt: skip


def _label(keyid: str, name: object) -> str:
    return f"{name} {keyid[:12]}" if name else keyid[:12]


def _expiry(state: State, name: str) -> datetime:
    documents: dict[str, Any] = {"root": state.root, "snapshot": state.snapshot, "timestamp": state.timestamp}
    expires: datetime = (documents.get(name) or state.role(name)).signed.expires
    return expires
