"""The nouns that every layer shares: digests, and canonical JSON to hash and sign."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NewType

from millcert.errors import ConfigError

__all__ = ["CHUNK", "Digest", "canonical_json", "chunks_of", "digest_of", "digest_of_file", "parse_digest"]

Digest = NewType("Digest", str)  # 64 lower-case hexadecimal digits of a sha256
CHUNK = 1 << 20

_HEX64 = re.compile(r"[0-9a-f]{64}")


def parse_digest(text: str) -> Digest:
    """A sha256 digest written as 64 lower-case hex digits, with or without ``sha256:`` before it."""
    bare = text.removeprefix("sha256:")
    if not _HEX64.fullmatch(bare):
        raise ConfigError("not a sha256 digest", found=repr(text)[:120], expected="64 lower-case hexadecimal digits")
    return Digest(bare)


def digest_of(data: bytes) -> Digest:
    """The sha256 of some bytes."""
    return Digest(hashlib.sha256(data).hexdigest())


def chunks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """The rest of a binary stream in chunks of 1 MiB, so that memory stays constant."""
    while chunk := stream.read(CHUNK):
        yield chunk


def digest_of_file(path: Path) -> Digest:
    """The sha256 of a file's bytes, streamed."""
    with path.open("rb") as stream:
        return Digest(hashlib.file_digest(stream, "sha256").hexdigest())


def canonical_json(value: object) -> bytes:
    """One byte form per value: sorted keys, no spaces, UTF-8, no NaN; ends without a newline."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
