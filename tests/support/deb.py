"""Debian packages made for tests: honest ones and ones no tool would make."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Iterable
from pathlib import Path

__all__ = ["CONTROL", "ar", "entry", "make_deb", "tar"]

CONTROL = (
    "Package: thing\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Nobody <n@x.example>\nDescription: a thing\n more\n"
)
Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, data: bytes = b"", **fields: object) -> Entry:
    """One tar member; ``fields`` are those of tarfile.TarInfo."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar(entries: Iterable[Entry]) -> bytes:
    """A tar file with exactly these members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data) if data else None)
    return out.getvalue()


def ar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An ar file with exactly these members."""
    out = bytearray(b"!<arch>\n")
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return bytes(out)


def make_deb(
    path: Path, entries: Iterable[Entry], *, control: str = CONTROL, compression: str = "xz", package: str = "thing"
) -> Path:
    """A package whose data archive holds exactly these members."""
    pack = {"xz": lzma.compress, "gz": lambda data: gzip.compress(data, mtime=0), "": bytes}[compression]
    suffix = f".{compression}" if compression else ""
    control = control.replace("Package: thing", f"Package: {package}")
    members = [
        ("debian-binary", b"2.0\n"),
        (f"control.tar{suffix}", pack(tar([entry("./control", control.encode())]))),
        (f"data.tar{suffix}", pack(tar(entries))),
    ]
    path.write_bytes(ar(members))
    return path
