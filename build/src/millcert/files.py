"""Files that are seen whole or not at all: a reader, or a crash, finds the old bytes or the new ones."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from millcert.errors import DiskFullError

__all__ = ["place", "replacing", "write_atomically"]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream that takes the file's place when the ``with`` block ends, and vanishes where it fails."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "no space is left; the file was not written", file=path, fix="free some space and run again"
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file in one step."""
    with replacing(path) as stream:
        stream.write(data)


def place(path: Path, data: bytes) -> None:
    """Write a file, its folder too; equal bytes are left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (path.is_file() and path.read_bytes() == data):
        write_atomically(path, data)
