"""Signing keys of the index, and the ceremonies that change who may sign what.

``keyfile``   a key as one JSON document: public half, and private half encrypted, on a token, or behind a command
``signer``    opens such a document for signing
``authority`` pure functions: the roles, keys and thresholds of root, targets, variants and their pages
``draft``     metadata that waits for enough signatures, collected on several machines and merged
"""

from millcert.keys.authority import (
    DEFAULT_LIFETIMES,
    TOP_ROLES,
    Lifetimes,
    Role,
    add_key,
    bin_names,
    check_distinct_keys,
    delegate,
    delegator_of,
    new_root,
    new_targets,
    remove_key,
    renew,
    role_of,
    set_threshold,
    variant_role,
)
from millcert.keys.draft import Draft, read_draft, write_draft
from millcert.keys.errors import CeremonyError, KeyRefusedError, UnsignedError
from millcert.keys.keyfile import KeyDocument, create_key, external_key, read_key, token_key, write_key
from millcert.keys.signer import Secrets, open_signer

__all__ = [
    "DEFAULT_LIFETIMES",
    "TOP_ROLES",
    "CeremonyError",
    "Draft",
    "KeyDocument",
    "KeyRefusedError",
    "Lifetimes",
    "Role",
    "Secrets",
    "UnsignedError",
    "add_key",
    "bin_names",
    "check_distinct_keys",
    "create_key",
    "delegate",
    "delegator_of",
    "external_key",
    "new_root",
    "new_targets",
    "open_signer",
    "read_draft",
    "read_key",
    "remove_key",
    "renew",
    "role_of",
    "set_threshold",
    "token_key",
    "variant_role",
    "write_draft",
    "write_key",
]
