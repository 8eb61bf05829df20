"""The two layers of a .deb: an ``ar`` file with three members, two of them compressed tar files (deb(5))."""

from __future__ import annotations

import io
import lzma
import zlib
from dataclasses import dataclass
from typing import IO

from millcert.errors import UnsafeArchiveError

__all__ = ["Bounded", "Member", "open_member", "read_members"]

_MAGIC = b"!<arch>\n"
_HEADER = 60
_XZ_MEMORY = 256 << 20


@dataclass(frozen=True)
class Member:
    """Where one ar member lies in the file; offset and size in bytes."""

    name: str
    offset: int
    size: int


def read_members(stream: IO[bytes]) -> tuple[Member, Member]:
    """The control and data members of a .deb.

    Raises UnsafeArchiveError for anything but ``debian-binary`` 2.x, ``control.tar*`` and ``data.tar*``, in this order,
    each once and nothing behind them.
    """
    end = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise UnsafeArchiveError("not a Debian package: no ar file")
    members: list[Member] = []
    while (position := stream.tell()) < end:
        members.append(_member(stream.read(_HEADER), position + _HEADER, end))
        stream.seek(members[-1].offset + members[-1].size + members[-1].size % 2)
    names = [member.name for member in members]
    if [name.partition(".tar")[0] for name in names] != ["debian-binary", "control", "data"]:
        raise UnsafeArchiveError(
            "a Debian package has exactly three members",
            found=", ".join(names), expected="debian-binary, control.tar, data.tar",
        )  # fmt: skip
    stream.seek(members[0].offset)
    if not stream.read(members[0].size).startswith(b"2."):
        raise UnsafeArchiveError("not version 2 of the Debian package format")
    return members[1], members[2]


def _member(header: bytes, offset: int, end: int) -> Member:
    size = header[48:58].rstrip(b" ")
    if len(header) != _HEADER or header[58:] != b"`\n" or not size.isdigit():
        raise UnsafeArchiveError("a broken ar header", offset=offset - _HEADER)
    if offset + int(size) > end:
        raise UnsafeArchiveError("the package is truncated", expected=offset + int(size), found=end)
    name = header[:16].decode("ascii", "replace").rstrip(" ").removesuffix("/")
    return Member(name, offset, int(size))


def open_member(stream: IO[bytes], member: Member, limit: int) -> Bounded:
    """The tar bytes of a member, decompressed as they are read, at most ``limit`` of them."""
    kind = member.name.rpartition(".")[2]
    if kind not in ("tar", "xz", "gz"):
        raise UnsafeArchiveError("a compression that Debian 12 does not use", member=member.name, expected="gz or xz")
    stream.seek(member.offset)
    return Bounded(stream, member, kind, limit)


class Bounded(io.RawIOBase):
    """A readable stream that refuses to become longer than its limit."""

    def __init__(self, stream: IO[bytes], member: Member, kind: str, limit: int) -> None:
        self._stream, self._left = stream, member.size
        self._kind, self._name = kind, member.name
        self._limit, self._given = limit, 0
        self._ready = b""
        self._xz = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY) if kind == "xz" else None
        self._gz = zlib.decompressobj(wbits=31) if kind == "gz" else None

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: object) -> int:
        """As io.RawIOBase says; UnsafeArchiveError past the limit or for broken compression."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # the base class types it as an opaque buffer
        while not self._ready:
            try:
                self._ready, finished = self._more(len(view))
            except (lzma.LZMAError, zlib.error, EOFError) as error:
                raise UnsafeArchiveError("broken compression", member=self._name, reason=error) from error
            if finished and not self._ready:
                return 0
        piece, self._ready = self._ready[: len(view)], self._ready[len(view) :]
        view[: len(piece)] = piece
        self._given += len(piece)
        if self._given > self._limit:
            raise UnsafeArchiveError("the package unpacks to more than allowed", member=self._name, limit=self._limit)
        return len(piece)

    def finish(self) -> None:
        """Read what a tar reader left over, so that checksums at the end count; it may hold nothing but zeros."""
        while rest := self.read(1 << 16):
            if rest.strip(b"\0"):
                raise UnsafeArchiveError("data behind the end of an archive", member=self._name)
        inner = self._xz or self._gz
        if self._left or (inner is not None and inner.unused_data):
            raise UnsafeArchiveError("data behind the end of a compressed member", member=self._name)

    def _more(self, wanted: int) -> tuple[bytes, bool]:
        """Some decompressed bytes, and whether the member has ended."""
        if self._xz is not None:
            if self._xz.eof:
                return b"", True
            data = self._raw(1 << 16) if self._xz.needs_input else b""
            if not data and self._xz.needs_input:
                raise EOFError("truncated")
            return self._xz.decompress(data, wanted), False
        if self._gz is not None:
            if self._gz.eof:
                return b"", True
            data = self._gz.unconsumed_tail or self._raw(1 << 16)
            if not data:
                raise EOFError("truncated")
            return self._gz.decompress(data, wanted), False
        data = self._raw(wanted)
        return data, not data

    def _raw(self, count: int) -> bytes:
        data = self._stream.read(min(count, self._left))
        self._left -= len(data)
        return data
