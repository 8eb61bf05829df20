"""What a release of millcert ships about its project's own index, so that a first use is protected too.

One JSON file, ``millcert/data/index.json``: the index's address, a root and a floor (see ``anchor``), the policy that
says who may sign, and the Sigstore root where that is not the public-good one. ``millcert keys ship`` writes it from an
index that verifies. A checkout, or a distribution by somebody else, carries none, and then all of it must be named.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from urllib.parse import urlsplit

from millcert.attest.policy import Policy, parse_policy
from millcert.attest.trust import TrustRoot, parse_trusted_root, public_good
from millcert.errors import MillcertError, UsageError
from millcert.install.anchor import Anchor, anchor_of
from millcert.install.errors import AnchorError
from millcert.model import canonical_json, digest_of
from millcert.publish.state import State, metadata_path

__all__ = ["SHIPPED", "Shipped", "parse_shipped", "read_shipped", "ship"]

SHIPPED = "index.json"
_FORMAT = "millcert-index/1"
_WHERE = "shipped with millcert"


@dataclass(frozen=True)
class Shipped:
    """An index and everything by which a client trusts it; ``sigstore`` is empty for the public-good instance."""

    address: str
    anchor: Anchor
    policy: bytes
    sigstore: bytes = b""

    def to_bytes(self) -> bytes:
        """The file as a release holds it."""
        fields = {
            "format": _FORMAT, "address": self.address, "policy": self.policy.decode(),
            "sigstore": self.sigstore.decode(),
        }  # fmt: skip
        return canonical_json(fields | self.anchor.as_dict())

    def rules(self) -> Policy:
        """Who may sign."""
        return parse_policy(self.policy)

    def sigstore_root(self) -> TrustRoot:
        """By whom signers are certified."""
        return parse_trusted_root(self.sigstore, _WHERE) if self.sigstore else public_good()


def read_shipped(lacking: str) -> Shipped:
    """What this distribution ships; AnchorError where it ships nothing, which says what was ``lacking`` then."""
    file = resources.files("millcert").joinpath("data", SHIPPED)
    if not file.is_file():
        raise AnchorError(
            "this distribution of millcert ships no index of its own", lacking=lacking,
            fix="name --index-url, --root and --policy, the files from a place that the index cannot change",
        )  # fmt: skip
    return parse_shipped(file.read_bytes())


def parse_shipped(data: bytes) -> Shipped:
    """The shipped file from its bytes, its policy and roots parsed; AnchorError where it is not one."""
    try:
        fields = json.loads(data)
        if fields["format"] != _FORMAT:
            raise ValueError(f"format {fields['format']!r}, expected {_FORMAT!r}")
        found = Shipped(
            _checked(fields["address"]), anchor_of(fields), fields["policy"].encode(), fields["sigstore"].encode()
        )
        found.rules(), found.sigstore_root()
    except (ValueError, KeyError, TypeError, AttributeError, MillcertError) as error:
        raise AnchorError(
            "the index that is shipped with millcert is damaged", file=SHIPPED, reason=error, fix="reinstall millcert"
        ) from error
    return found


def ship(state: State, trusted_root: bytes, address: str, policy: bytes, sigstore: bytes, now: datetime) -> Shipped:
    """What a release made now should ship: the root in force, and the timestamp in force as the floor.

    ``state`` was verified from ``trusted_root``, which must be the same at every release: clients remember the index
    by it. UsageError where the timestamp has run out (no client could use such an index) or the address is not https.
    """
    timestamp = state.timestamp.signed
    if timestamp.expires <= now:
        raise UsageError(
            "the index's timestamp has run out, so it is no floor",
            expired=timestamp.expires,
            fix="millcert index refresh",
        )
    root = state.site.read(metadata_path("root", state.version("root")))
    assert root is not None  # the state was verified through it
    anchor = Anchor(root, timestamp.version, now.replace(microsecond=0), digest_of(trusted_root))
    shipped = Shipped(_checked(address), anchor, policy, sigstore)
    shipped.rules(), shipped.sigstore_root()
    return shipped


def _checked(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise UsageError("the index's address is not https", found=address)
    return address
