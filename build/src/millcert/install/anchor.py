"""Where trust in an index begins: a TUF root, and a floor below which the index is too old even for a new client.

An anchor is shipped with a release of the client, or named by its user. It is JSON, ``{"root": <root metadata>,
"floor": {"timestamp": 412, "time": "2026-11-01T00:00:00Z"}}``; a bare root is an anchor without a floor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from millcert.errors import ConfigError
from millcert.install.errors import AnchorError
from millcert.model import Digest, digest_of, parse_digest

__all__ = ["Anchor", "anchor_of", "parse_anchor", "read_anchor"]

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Anchor:
    """A root's bytes, the least timestamp version to accept, and a time that has passed for certain.

    ``index``: what this machine remembers the index under, so that a release with a later root forgets nothing.
    """

    root: bytes
    version: int = 0
    time: datetime = _NO_TIME
    index: Digest | None = None

    @property
    def digest(self) -> Digest:
        """What state about this index is kept under: the sha256 of its first root."""
        return self.index or digest_of(self.root)

    def as_dict(self) -> dict[str, Any]:
        """The anchor as a file holds it."""
        floor = {"timestamp": self.version, "time": self.time.isoformat()}
        return {"root": self.root.decode(), "floor": floor, "index": self.digest}


def read_anchor(path: Path) -> Anchor:
    """The anchor, or the bare root, in a file."""
    try:
        return parse_anchor(path.read_bytes())
    except OSError as error:
        raise AnchorError("the root cannot be read", file=path, reason=error.strerror) from error


def parse_anchor(data: bytes) -> Anchor:
    """An anchor, or a bare root, from its bytes; whether the root is signed is for the TUF client to say."""
    try:
        fields = json.loads(data)
        return Anchor(data) if "signed" in fields else anchor_of(fields)
    except (ValueError, TypeError) as error:
        raise AnchorError("neither a TUF root nor a root with a floor", reason=error) from error


def anchor_of(fields: Mapping[str, Any]) -> Anchor:
    """An anchor from its fields."""
    try:
        floor = fields["floor"]
        time = datetime.fromisoformat(floor["time"])
        index = parse_digest(fields["index"]) if "index" in fields else None
        return Anchor(fields["root"].encode(), int(floor["timestamp"]), time.astimezone(UTC), index)
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise AnchorError("neither a TUF root nor a root with a floor", reason=error) from error
