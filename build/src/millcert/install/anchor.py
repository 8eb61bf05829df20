"""Where trust in an index begins: a TUF root, and a floor below which the index is too old even for a new client.

An anchor is shipped with a release of the client, or named by its user. It is JSON, ``{"root": <root metadata>,
"floor": {"timestamp": 412, "time": "2026-11-01T00:00:00Z"}}``; a bare root is an anchor without a floor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from millcert.install.errors import AnchorError
from millcert.model import Digest, canonical_json, digest_of

__all__ = ["Anchor", "parse_anchor", "read_anchor"]

_SHIPPED = "anchor.json"
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Anchor:
    """The first root's bytes, the least timestamp version to accept, and a time that has passed for certain."""

    root: bytes
    version: int = 0
    time: datetime = _NO_TIME

    @property
    def digest(self) -> Digest:
        """The sha256 of the root: what state about this index is kept under."""
        return digest_of(self.root)

    def to_bytes(self) -> bytes:
        """The anchor as a file holds it."""
        floor = {"timestamp": self.version, "time": self.time.isoformat()}
        return canonical_json({"root": self.root.decode(), "floor": floor})


def read_anchor(path: Path | None) -> Anchor:
    """The anchor in a file, else the one that was shipped; AnchorError where there is none."""
    if path is not None:
        try:
            return parse_anchor(path.read_bytes())
        except OSError as error:
            raise AnchorError("the root cannot be read", file=path, reason=error.strerror) from error
    shipped = resources.files("millcert.install") / _SHIPPED
    if not shipped.is_file():
        raise AnchorError(
            "no root is shipped with this build of millcert, and none was named",
            fix="name the index's first root with --root FILE, from a place that the index cannot change",
        )
    return parse_anchor(shipped.read_bytes())


def parse_anchor(data: bytes) -> Anchor:
    """An anchor, or a bare root, from its bytes; whether the root is signed is for the TUF client to say."""
    try:
        fields = json.loads(data)
        if "signed" in fields:
            return Anchor(data)
        floor = fields["floor"]
        time = datetime.fromisoformat(floor["time"])
        return Anchor(fields["root"].encode(), int(floor["timestamp"]), time.astimezone(UTC))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnchorError("neither a TUF root nor a root with a floor", reason=error) from error
