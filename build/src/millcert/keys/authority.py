"""Who may sign what: the roles of the index, and pure functions that change them.

::

    root                    2 of 3 offline keys; names the keys of the four top roles
    ├─ timestamp, snapshot  online keys; say what is newest, and make one state of many files
    └─ targets              core maintainers, a threshold; delegates each index and signs no page itself
       └─ nightly-cpu       the maintainers of one index; name its publishers, sign no page either
          └─ nightly-cpu-pages-0 … -7   the publishers; sign the pages, spread over bins by the hash of their path

A change returns new metadata with the next version, a new expiry and no signatures. Time is an argument.
Source: The Update Framework specification 1.0, sections 4 to 6; TAP 15 (succinct hash bins).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    Root,
    SuccinctRoles,
    T,
    Targets,
)

from millcert.errors import UsageError
from millcert.keys.errors import CeremonyError

__all__ = [
    "DEFAULT_LIFETIMES",
    "TOP_ROLES",
    "Lifetimes",
    "Role",
    "add_key",
    "bin_names",
    "check_distinct_keys",
    "delegate",
    "delegator_of",
    "new_root",
    "new_targets",
    "remove_key",
    "renew",
    "role_of",
    "set_threshold",
    "variant_role",
]

TOP_ROLES = ("root", "targets", "snapshot", "timestamp")
_INDEX = re.compile(r"(?P<channel>[a-z]+)/(?P<variant>[a-z0-9]+)")
_PAGES = "-pages"


@dataclass(frozen=True)
class Lifetimes:
    """How long each kind of metadata is valid after it was signed."""

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=180)  # also the maintainers of each index
    pages: timedelta = timedelta(days=90)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(hours=36)

    def expiry(self, role: str, now: datetime) -> datetime:
        """When metadata of a role expires that is signed now, in whole seconds."""
        tops = {"root": self.root, "targets": self.targets, "snapshot": self.snapshot, "timestamp": self.timestamp}
        lifetime = tops.get(role, self.pages if _PAGES in role else self.targets)
        return (now + lifetime).replace(microsecond=0)


DEFAULT_LIFETIMES = Lifetimes()


@dataclass(frozen=True)
class Role:
    """The keys of a role and how many of them must sign."""

    keys: tuple[Key, ...]
    threshold: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.keys):
            raise CeremonyError(
                "a threshold that the keys cannot meet", threshold=self.threshold, keys=len(self.keys),
                fix="add keys in the same ceremony, or lower the threshold",
            )  # fmt: skip
        check_distinct_keys(self.keys)


def check_distinct_keys(keys: Iterable[Key]) -> None:
    """CeremonyError if one key stands twice, under two ids or spellings: it would meet a threshold alone."""
    seen: dict[bytes, str] = {}
    for key in keys:
        other = seen.setdefault(_material(key), key.keyid)
        if other != key.keyid:
            raise CeremonyError("one key under two ids would count twice", first=other, second=key.keyid)


def _material(key: Key) -> bytes:
    text = str(key.keyval["public"])
    if key.keytype == "ed25519":
        return bytes.fromhex(text)
    return load_pem_public_key(text.encode()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def variant_role(index: str) -> str:
    """The role of an index: ``nightly/cpu`` → ``nightly-cpu``; UsageError for anything else."""
    if not (match := _INDEX.fullmatch(index)):
        raise UsageError("not the name of an index", found=index, expected="<channel>/<variant>, such as nightly/cpu")
    return f"{match['channel']}-{match['variant']}"


def delegator_of(role: str) -> str:
    """The role whose metadata names the keys of a role."""
    if role in TOP_ROLES:
        return "root"
    return role.partition(_PAGES)[0] if _PAGES in role else "targets"


def bin_names(variant: Metadata[Targets]) -> tuple[str, ...]:
    """The roles that sign the pages of an index."""
    delegations = variant.signed.delegations
    if delegations is None or delegations.succinct_roles is None:
        raise CeremonyError("the role of an index delegates no pages")
    return tuple(delegations.succinct_roles.get_roles())


def role_of(delegator: Root | Targets, role: str) -> Role:
    """The keys and threshold of a role, as its delegator says; CeremonyError where it does not delegate it."""
    try:
        found = delegator.get_delegated_role(_member(delegator, role))
        return Role(tuple(delegator.get_key(keyid) for keyid in found.keyids), found.threshold)
    except ValueError as error:
        raise CeremonyError("there is no such role", role=role, reason=error) from error


def new_root(roles: Mapping[str, Role], now: datetime, lifetimes: Lifetimes) -> Metadata[Root]:
    """The first root, unsigned, with the keys of the four top roles."""
    root = Root(expires=lifetimes.expiry("root", now), consistent_snapshot=True)
    for name in TOP_ROLES:
        for key in roles[name].keys:
            root.add_key(key, name)
        root.roles[name].threshold = roles[name].threshold
    return Metadata(root)


def new_targets(now: datetime, lifetimes: Lifetimes) -> Metadata[Targets]:
    """The first top-level targets, unsigned, which delegates nothing yet."""
    return Metadata(Targets(expires=lifetimes.expiry("targets", now), delegations=Delegations({}, roles={})))


def delegate(
    targets: Metadata[Targets], index: str, maintainers: Role, publishers: Role, bits: int,
    now: datetime, lifetimes: Lifetimes,
) -> dict[str, Metadata[Targets]]:  # fmt: skip
    """Add an index: changed ``targets``, its new role, and its 2**bits empty bins, all unsigned, by role name."""
    name = variant_role(index)
    changed = renew(targets, "targets", now, lifetimes)
    delegations = changed.signed.delegations
    if delegations is None or delegations.roles is None:
        raise CeremonyError("targets delegates nothing", fix="start the index with `millcert keys init`")
    if name in delegations.roles:
        raise CeremonyError("the index is delegated already", index=index, fix="use `millcert keys rotate`")
    paths = [f"{index}/*.json", f"{index}/*/*.json"]
    delegations.roles[name] = DelegatedRole(name, [], maintainers.threshold, terminating=True, paths=paths)
    for key in maintainers.keys:
        changed.signed.add_key(key, name)
    bins = SuccinctRoles([], publishers.threshold, bits, name + _PAGES)
    role = Targets(expires=lifetimes.expiry(name, now), delegations=Delegations({}, succinct_roles=bins))
    for key in publishers.keys:
        role.add_key(key)
    documents = {"targets": changed, name: Metadata(role)}
    return documents | {bin: Metadata(Targets(expires=lifetimes.expiry(bin, now))) for bin in bins.get_roles()}


def add_key(delegator: Root | Targets, role: str, key: Key) -> None:
    """Authorise a key for a role, in place; CeremonyError if it is one of the role's keys in another spelling."""
    current = role_of(delegator, role)
    if key.keyid in {other.keyid for other in current.keys}:
        raise CeremonyError("the key has that role already", role=role, key=key.keyid)
    if isinstance(delegator, Targets) and _PAGES in role:
        delegator.add_key(key)
    else:
        delegator.add_key(key, role)
    role_of(delegator, role)


def remove_key(delegator: Root | Targets, role: str, keyid: str) -> None:
    """Take a role from a key (a prefix of its id will do), in place; CeremonyError if none or several match."""
    current = role_of(delegator, role)
    found = [key.keyid for key in current.keys if key.keyid.startswith(keyid)]
    if len(found) != 1:
        raise CeremonyError("no key of the role has that id, or several have", role=role, key=keyid, keys=len(found))
    if isinstance(delegator, Targets) and _PAGES in role:
        delegator.revoke_key(found[0])
    else:
        delegator.revoke_key(found[0], role)


def set_threshold(delegator: Root | Targets, role: str, threshold: int) -> None:
    """Change how many keys of a role must sign, in place; CeremonyError where the keys cannot meet it."""
    Role(role_of(delegator, role).keys, threshold)
    delegator.get_delegated_role(_member(delegator, role)).threshold = threshold


def renew(metadata: Metadata[T], role: str, now: datetime, lifetimes: Lifetimes) -> Metadata[T]:
    """A copy with the next version, a new expiry, and no signatures."""
    changed = Metadata(copy.deepcopy(metadata.signed))
    changed.signed.version += 1
    changed.signed.expires = lifetimes.expiry(role, now)
    return changed


def _member(delegator: Root | Targets, role: str) -> str:
    """The name to ask the delegator for: the pages of an index are one role there, any bin stands for it."""
    if isinstance(delegator, Targets) and role.endswith(_PAGES) and delegator.delegations:
        bins = delegator.delegations.succinct_roles
        if bins is not None and bins.name_prefix == role:
            return next(iter(bins.get_roles()))
    return role
