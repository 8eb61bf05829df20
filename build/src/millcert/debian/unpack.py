"""Unpack a .deb into a folder without dpkg and without root; every member is checked before a byte is written.

Only what a root needs is made: files, folders, links. Owners, times and maintainer scripts are not used;
``/bin``, ``/lib`` and their like become ``/usr/bin``, ``/usr/lib`` (merged /usr, as Debian 12 installs it).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from millcert.debian.archive import Member, open_member, read_members
from millcert.debian.control import parse_stanza
from millcert.errors import UnsafeArchiveError

__all__ = ["DebControl", "Rules", "unpack"]

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_CONTROL_LIMIT = 16 << 20
_SET_ID = 0o6000


@dataclass(frozen=True)
class Rules:
    """What an archive may hold beyond plain files: limits in bytes and members, and the caller's choices."""

    set_id: Literal["refuse", "drop"] = "refuse"
    case_collisions: Literal["refuse", "allow"] = "refuse"
    max_bytes: int = 2 << 30
    max_members: int = 100_000


@dataclass(frozen=True)
class DebControl:
    """The control file of an unpacked package: its fields and its exact text."""

    package: str
    version: str
    architecture: str
    fields: dict[str, str]
    text: str


def unpack(deb: Path, into: Path, rules: Rules = Rules()) -> DebControl:
    """Unpack the data of a package into an existing folder and return its control data.

    Raises UnsafeArchiveError, with the offending path, for absolute paths and ``..``, links out of the tree, a write
    through a link, devices, set-id files, members given twice, a file another package brought, paths that differ only
    in case, more than the limits, and anything malformed. The folder then holds a part of the package: throw it away.
    """
    try:
        with deb.open("rb") as stream:
            control, data = read_members(stream)
            with _reading(stream, control, _CONTROL_LIMIT) as archive:
                found = _read_control(archive)
            with _reading(stream, data, rules.max_bytes) as archive:
                _Unpacking(into, rules).run(archive)
    except UnsafeArchiveError as error:
        raise UnsafeArchiveError(error.message, file=deb.name, **error.evidence) from error
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise UnsafeArchiveError("not a Debian package", file=deb.name, reason=error) from error
    return found


@contextlib.contextmanager
def _reading(stream: IO[bytes], member: Member, limit: int) -> Iterator[tarfile.TarFile]:
    bounded = open_member(stream, member, limit)
    with tarfile.open(fileobj=bounded, mode="r|") as archive:
        yield archive
    bounded.finish()


def _read_control(archive: tarfile.TarFile) -> DebControl:
    texts = [_bytes_of(archive, member) for member in archive if member.name.removeprefix("./") == "control"]
    if len(texts) != 1:
        raise UnsafeArchiveError("a package has exactly one control file", found=len(texts))
    text = texts[0].decode("utf-8")
    fields = parse_stanza(text)
    missing = [name for name in ("Package", "Version", "Architecture") if name not in fields]
    if missing:
        raise UnsafeArchiveError("the control file lacks a field", field=missing[0])
    return DebControl(fields["Package"], fields["Version"], fields["Architecture"], fields, text)


def _bytes_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member) if _is_file(member) else None
    if stream is None:
        raise UnsafeArchiveError("a control file that is not a file", type=repr(member.type))
    return stream.read()


def _is_file(member: tarfile.TarInfo) -> bool:
    # a sparse file would unpack to more than its archive holds, past every limit
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()


@dataclass
class _Unpacking:
    """One package on its way into a folder."""

    into: Path
    rules: Rules
    kinds: dict[str, str] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    folded: dict[str, str] = field(default_factory=dict)

    def run(self, archive: tarfile.TarFile) -> None:
        for number, member in enumerate(archive):
            if number >= self.rules.max_members:
                raise UnsafeArchiveError("the package has more members than allowed", limit=self.rules.max_members)
            path = self._path(member.name)
            if path:
                self._claim(path, member)
                self._make(archive, member, path)
        for name in _MERGED:
            if (self.into / "usr" / name).is_dir() and not (self.into / name).is_symlink():
                (self.into / name).symlink_to(f"usr/{name}")

    def _path(self, name: str) -> str:
        """The path below the folder; empty for the root itself."""
        bare = name.removeprefix("./").rstrip("/")
        if bare in ("", "."):
            return ""
        parts = bare.split("/")
        if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or not name.isprintable():
            raise UnsafeArchiveError("a path that leaves its tree or cannot be a file name", path=repr(name))
        return "/".join(["usr", *parts] if parts[0] in _MERGED else parts)

    def _claim(self, path: str, member: tarfile.TarInfo) -> None:
        kind = "folder" if member.isdir() else "other"
        # merged /usr makes ./lib and ./usr/lib one folder; two of anything else is a trick
        if self.kinds.setdefault(path, kind) != kind or (kind == "other" and path in self.claimed):
            raise UnsafeArchiveError("one path given twice", path=path)
        self.claimed.add(path)
        while path and self.rules.case_collisions == "refuse":
            if (other := self.folded.setdefault(path.casefold(), path)) != path:
                raise UnsafeArchiveError("two paths that differ only in case", path=path, other=other)
            path = path.rpartition("/")[0]

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if member.mode & _SET_ID and not member.isdir() and not member.issym() and self.rules.set_id == "refuse":
            raise UnsafeArchiveError("a set-user-id or set-group-id file", path=path, mode=oct(member.mode))
        target = self._below(path)
        if member.isdir():
            self._folder(target, path)
            return
        if os.path.lexists(target):
            raise UnsafeArchiveError("a file that another package brought already", path=path)
        if _is_file(member):
            stream = archive.extractfile(member)
            assert stream is not None
            _write(target, stream, executable=bool(member.mode & 0o100))
        elif member.issym():
            target.symlink_to(_check_link(path, member.linkname))
        elif member.islnk():
            self._hard_link(target, path, member.linkname)
        else:
            raise UnsafeArchiveError("neither a file, a folder nor a link", path=path, type=repr(member.type))

    def _below(self, path: str) -> Path:
        """The place of a path, its parents made, none of them a link."""
        here = self.into
        for part in path.split("/")[:-1]:
            here = here / part
            if here.is_symlink() or (here.exists() and not here.is_dir()):
                raise UnsafeArchiveError("a path through something that is not a folder", path=path, found=here.name)
            here.mkdir(exist_ok=True, mode=0o755)
        return self.into / path

    def _folder(self, target: Path, path: str) -> None:
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise UnsafeArchiveError("a folder where something else stands already", path=path)
        target.mkdir(exist_ok=True, mode=0o755)

    def _hard_link(self, target: Path, path: str, linkname: str) -> None:
        source = self._path(linkname)
        if self.kinds.get(source) != "other" or (self.into / source).is_symlink() or source == path:
            raise UnsafeArchiveError("a hard link to something that is not an earlier file", path=path, target=linkname)
        self._below(source)
        target.hardlink_to(self.into / source)


def _check_link(path: str, target: str) -> str:
    """A symbolic link's target that stays below the root, read as the root's own ``/``."""
    depth = 0 if target.startswith("/") else path.count("/")
    for part in target.split("/"):
        depth += {"..": -1, "": 0, ".": 0}.get(part, 1)
        if depth < 0:
            raise UnsafeArchiveError("a link that leaves its tree", path=path, target=target)
    if not target or not target.isprintable():
        raise UnsafeArchiveError("a link without a proper target", path=path, target=repr(target))
    return target


def _write(target: Path, stream: IO[bytes], *, executable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(target, flags, 0o755 if executable else 0o644)
    with os.fdopen(descriptor, "wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
        # the umask of the caller is not part of a package
        os.fchmod(out.fileno(), 0o755 if executable else 0o644)
