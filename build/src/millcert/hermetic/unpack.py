"""Unpacking pinned wheels as build inputs: files only, inside the folder, each name once."""

from __future__ import annotations

import fnmatch
import re
import shutil
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path

from millcert.errors import UnsafeArchiveError
from millcert.tree import check_path

__all__ = ["unpack_wheel"]

_MOST_BYTES = 8 << 30
_MOST_FILES = 100_000


def unpack_wheel(wheel: Path, into: Path, exclude: Sequence[str] = ()) -> None:
    """Unpack a wheel's members below ``into``, a ``.data`` folder as it is; UnsafeArchiveError for hostile ones.

    ``exclude`` are ``fnmatch`` patterns of members that are checked and left out.
    """
    left_out = [re.compile(fnmatch.translate(pattern)) for pattern in exclude]
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check(wheel, members)
            for member in members:
                if not any(pattern.match(member.filename) for pattern in left_out):
                    _extract(archive, member, into / member.filename)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UnsafeArchiveError("not a readable wheel", file=wheel.name, reason=error) from error


def _check(wheel: Path, members: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    if len(members) > _MOST_FILES or sum(member.file_size for member in members) > _MOST_BYTES:
        raise UnsafeArchiveError("a wheel that unpacks to too much", file=wheel.name, files=len(members))
    for member in members:
        check_path(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise UnsafeArchiveError("a wheel member that is no plain file", file=wheel.name, path=member.filename)
        if member.filename.casefold() in seen:
            raise UnsafeArchiveError("a wheel with one name twice", file=wheel.name, path=member.filename)
        seen.add(member.filename.casefold())


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.exists():
        # namespace packages ship the same empty __init__.py in several wheels; anything else is a conflict
        if target.is_file() and not target.is_symlink() and target.read_bytes() == archive.read(member):
            return
        raise UnsafeArchiveError("two archives with different files of one name", path=member.filename)
    with archive.open(member) as source, target.open("xb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    executable = (member.external_attr >> 16) & stat.S_IXUSR
    target.chmod(0o755 if executable else 0o644)
