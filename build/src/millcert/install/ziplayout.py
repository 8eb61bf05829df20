"""The layout of a zip archive, read so strictly that no two readers can see different files in it.

Specification: APPNOTE 6.3.10. Python's ``zipfile`` believes the central directory, streaming readers believe the local
headers; an archive in which the two differ, or that has bytes neither accounts for, is refused (PyPI, August 2025).
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from millcert.errors import UnsafeArchiveError
from millcert.install.errors import HostileWheelError
from millcert.tree import check_path

__all__ = ["MOST_BYTES", "Entry", "contents", "read_layout"]

MOST_BYTES = 8 << 30  # of all files of an archive together
_MOST_ENTRIES = 60_000
_MOST_DIRECTORY = 32 << 20
_MOST_RATIO = 200  # above this size, deflated data that grows more than this is a bomb
_RATIO_FROM = 64 << 20
_PIECE = 1 << 20
_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<4s3L")
_STREAMED, _UTF8 = 0x0008, 0x0800
_KNOWN_FLAGS = _STREAMED | _UTF8 | 0x0006  # and the deflate levels
_AMBIGUOUS_EXTRAS = {0x0001: "zip64 sizes", 0x7075: "a second name", 0x9901: "encryption"}


@dataclass(frozen=True)
class Entry:
    """One file or folder of an archive; both of its headers say the same."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    start: int  # of the local header
    mode: int
    flags: int
    data: int = 0  # where the packed bytes begin

    @property
    def is_folder(self) -> bool:
        """Whether the entry only names a folder."""
        return self.name.endswith("/")


def read_layout(stream: IO[bytes], name: str) -> tuple[Entry, ...]:
    """The entries of an archive in the order of the file; HostileWheelError for anything ambiguous."""
    try:
        return _Reader(stream, name).entries()
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise HostileWheelError("not a whole zip archive", file=name, reason=error) from error


def contents(stream: IO[bytes], entry: Entry, name: str) -> Iterator[bytes]:
    """An entry's bytes, in pieces; HostileWheelError unless size and checksum are those of its headers."""
    stream.seek(entry.data)
    left, size, crc = entry.packed, 0, 0
    inflate = zlib.decompressobj(-15) if entry.method else None
    packed = b""
    try:
        while left or packed or (inflate and not inflate.eof):
            if not packed and left:
                packed = stream.read(min(left, _PIECE))
                left -= len(packed)
            piece = inflate.decompress(packed, _PIECE) if inflate else packed
            packed = inflate.unconsumed_tail if inflate else b""
            if not piece and not packed and not left:
                break  # what is here is not a whole stream
            size, crc = size + len(piece), zlib.crc32(piece, crc)
            if size > entry.size:
                raise HostileWheelError("an entry is longer than it says", file=name, path=entry.name)
            yield piece
    except zlib.error as error:
        raise HostileWheelError("an entry cannot be inflated", file=name, path=entry.name, reason=error) from error
    if inflate is not None and (not inflate.eof or inflate.unused_data):
        raise HostileWheelError("an entry's packed data does not end where it should", file=name, path=entry.name)
    if (size, crc) != (entry.size, entry.crc):
        raise HostileWheelError("an entry is not what its header says", file=name, path=entry.name, size=size)


class _Reader:
    """Reads the directory at the end, then holds every local header and every byte between against it."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.stream, self.name = stream, name
        self.length = stream.seek(0, 2)

    def refuse(self, message: str, **evidence: object) -> HostileWheelError:
        return HostileWheelError(message, file=self.name, **evidence, fix="do not use the file")

    def at(self, offset: int, count: int) -> bytes:
        self.stream.seek(offset)
        data = self.stream.read(count)
        if len(data) != count:
            raise self.refuse("the archive is cut off", offset=offset)
        return data

    def entries(self) -> tuple[Entry, ...]:
        directory, count = self._directory()
        entries = sorted(self._central(directory, count), key=lambda entry: entry.start)
        _check_names(self, entries)
        end, found = 0, []
        for entry in entries:
            if entry.start != end:
                kind = "entries overlap" if entry.start < end else "bytes that belong to no entry"
                raise self.refuse(kind, path=entry.name, expected=end, found=entry.start)
            data = self._check_local(entry)
            end = data + entry.packed + self._descriptor(entry, data)
            found.append(Entry(**{**vars(entry), "data": data}))
        if end != self.start:
            raise self.refuse("bytes between the entries and the directory", expected=end, found=self.start)
        return tuple(found)

    def _directory(self) -> tuple[bytes, int]:
        if self.length < _END.size:
            raise self.refuse("not a zip archive")
        magic, disk, first, here, count, size, start, comment = _END.unpack(self.at(self.length - _END.size, _END.size))
        if magic != b"PK\x05\x06" or comment:
            raise self.refuse("data past the end of the archive, or a comment", expected="the end record is the end")
        if disk or first or here != count or count == 0xFFFF or 0xFFFFFFFF in (size, start):
            raise self.refuse("an archive in several parts, or in zip64 form")
        if start + size != self.length - _END.size or size > _MOST_DIRECTORY or count > _MOST_ENTRIES:
            raise self.refuse("the directory is not where, or not as large as, it should be", entries=count)
        self.start = start
        return self.at(start, size), count

    def _central(self, directory: bytes, count: int) -> Iterator[Entry]:
        at = 0
        for _ in range(count):
            (
                magic, made, _, flags, method, _, _, crc, packed, size, named, extra, comment, disk, _, mode, start
            ) = _CENTRAL.unpack_from(directory, at)  # fmt: skip
            at += _CENTRAL.size
            if magic != b"PK\x01\x02" or disk or comment:
                raise self.refuse("a damaged directory, or an entry with a comment", entry=at)
            name = self._decode(directory[at : at + named], flags)
            _check_extra(self, directory[at + named : at + named + extra], name)
            at += named + extra
            kind = (mode >> 16) if made >> 8 == 3 else 0  # only Unix says what kind of file it is
            yield Entry(name, method, crc, packed, size, start, kind, flags)
        if at != len(directory):
            raise self.refuse("the directory has more entries than its end record says", expected=count)

    def _decode(self, raw: bytes, flags: int) -> str:
        return raw.decode("utf-8" if flags & _UTF8 else "ascii")

    def _check_local(self, entry: Entry) -> int:
        """The offset of the entry's data; refuses a local header that says anything else than the directory."""
        magic, _, flags, method, _, _, crc, packed, size, named, extra = _LOCAL.unpack(
            self.at(entry.start, _LOCAL.size)
        )
        rest = self.at(entry.start + _LOCAL.size, named + extra)
        _check_extra(self, rest[named:], entry.name)
        streamed = bool(flags & _STREAMED)
        stated = [(0, 0, 0)] if streamed else []
        same = self._decode(rest[:named], flags) == entry.name and (flags, method) == (entry.flags, entry.method)
        if magic != b"PK\x03\x04" or not same:
            raise self.refuse("the local header names another file than the directory", path=entry.name)
        if (crc, packed, size) not in [(entry.crc, entry.packed, entry.size), *stated]:
            raise self.refuse("the local header states another size or checksum than the directory", path=entry.name)
        if flags & ~_KNOWN_FLAGS or method not in (0, 8):
            raise self.refuse("an entry that is encrypted or packed in an unusual way", path=entry.name, method=method)
        if method == 0 and entry.packed != entry.size:
            raise self.refuse("a stored entry with two sizes", path=entry.name)
        return int(entry.start + _LOCAL.size + named + extra)

    def _descriptor(self, entry: Entry, data: int) -> int:
        if not entry.flags & _STREAMED:
            return 0
        found = _DESCRIPTOR.unpack(self.at(data + entry.packed, _DESCRIPTOR.size))
        if found != (b"PK\x07\x08", entry.crc, entry.packed, entry.size):
            raise self.refuse("the record after an entry disagrees with the directory", path=entry.name)
        return int(_DESCRIPTOR.size)


def _check_extra(reader: _Reader, extra: bytes, path: str) -> None:
    at = 0
    while at < len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind in _AMBIGUOUS_EXTRAS or at + 4 + size > len(extra):
            raise reader.refuse("an extra field that readers read differently", path=path,
                                found=_AMBIGUOUS_EXTRAS.get(kind, "too long"))  # fmt: skip
        at += 4 + size


def _check_names(reader: _Reader, entries: list[Entry]) -> None:
    """Each name once, however a file system compares names; no file that is also a folder; nothing but files."""
    total = sum(entry.size for entry in entries)
    if total > MOST_BYTES or (total > _RATIO_FROM and total > _MOST_RATIO * reader.length):
        raise reader.refuse("an archive that unpacks to too much", bytes=total, limit=MOST_BYTES)
    seen: dict[str, str] = {}
    for entry in entries:
        try:
            check_path(entry.name.removesuffix("/"))
        except UnsafeArchiveError as error:
            raise reader.refuse("a path that leaves the wheel", path=repr(entry.name)) from error
        if stat.S_IFMT(entry.mode) not in (0, stat.S_IFDIR if entry.is_folder else stat.S_IFREG) or (
            entry.is_folder and entry.size
        ):
            raise reader.refuse("an entry that is no plain file", path=entry.name, mode=oct(entry.mode))
        key = _folded(entry.name.removesuffix("/"))
        if key in seen:
            raise reader.refuse("two entries of one name", first=seen[key], second=entry.name)
        seen[key] = entry.name
    files = {_folded(entry.name) for entry in entries if not entry.is_folder}
    for entry in entries:
        parts = entry.name.removesuffix("/").split("/")
        if any(_folded("/".join(parts[:end])) in files for end in range(1, len(parts))):
            raise reader.refuse("a file that is also a folder", path=entry.name)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
