"""A wheel read as hostile: the archive, RECORD both ways, names, and what it would put where.

Sources: the binary distribution format (PEP 427 and its successors on the packaging site), PEP 376, PEP 770 (SBOMs),
and the rules that PyPI has enforced on uploaded zip files since 2025.
"""

from __future__ import annotations

import base64
import csv
import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from typing import IO

from packaging.metadata import InvalidMetadata, Metadata
from packaging.requirements import Requirement
from packaging.tags import parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from millcert.errors import MillcertError
from millcert.install.errors import HostileWheelError
from millcert.install.ziplayout import Entry, contents, read_layout
from millcert.names import NormalizedName, normalize

__all__ = ["THIRD_PARTY", "CheckedWheel", "check_wheel"]

THIRD_PARTY = ("*.data/scripts/*", "*.data/headers/*", "*.data/data/share/*")
"""What a wheel that a signed index has by hash may bring besides its packages."""

_MOST_TEXT = 32 << 20
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_AT_START = ("sitecustomize", "usercustomize")  # modules that every interpreter imports when it starts


@dataclass(frozen=True)
class CheckedWheel:
    """A wheel that passed, and what later checks need of it; ``files`` maps each path to its sha256 in hex."""

    filename: str
    name: NormalizedName
    version: Version
    metadata: bytes
    requires: tuple[Requirement, ...]
    requires_python: str
    sboms: Mapping[str, bytes]
    files: Mapping[str, str]

    def installed(self) -> frozenset[str]:
        """The paths below site-packages that it writes, ``.data`` folders resolved."""
        return frozenset(_target(path) for path in self.files)


def check_wheel(path: Path, filename: str = "", declared: Sequence[str] = ()) -> CheckedWheel:
    """Read a wheel completely; HostileWheelError for anything that is not exactly what it declares.

    ``declared``: ``fnmatch`` patterns of the ``.pth`` and ``.data`` files that it may bring; none by default.
    """
    filename = filename or path.name
    try:
        with path.open("rb") as stream:
            return _Check(stream, filename, declared).run()
    except MillcertError:
        raise
    except (InvalidWheelFilename, InvalidVersion, InvalidMetadata, ExceptionGroup, ValueError, csv.Error) as error:
        raise HostileWheelError("not a wheel", file=filename, reason=error) from error


class _Check:
    def __init__(self, stream: IO[bytes], filename: str, declared: Sequence[str]) -> None:
        self.stream, self.filename, self.declared = stream, filename, declared
        self.name, self.version, _, self.tags = parse_wheel_filename(filename)

    def refuse(self, message: str, **evidence: object) -> HostileWheelError:
        return HostileWheelError(message, file=self.filename, **evidence, fix="do not use the file")

    def run(self) -> CheckedWheel:
        self.entries = {e.name: e for e in read_layout(self.stream, self.filename) if not e.is_folder}
        self.info = self._info()
        record = self._record()
        self._check_declared()
        metadata = self._text("METADATA")
        parsed = Metadata.from_email(metadata, validate=False)
        if (canonicalize_name(parsed.name), parsed.version) != (self.name, self.version):
            raise self.refuse("METADATA is of another release", found=f"{parsed.name} {parsed.version}")
        self._check_tags()
        sboms = {
            name: self._read(entry) for name, entry in self.entries.items() if name.startswith(f"{self.info}/sboms/")
        }
        return CheckedWheel(
            self.filename, normalize(self.name), self.version, metadata, tuple(parsed.requires_dist or ()),
            str(parsed.requires_python or ""), sboms, record,
        )  # fmt: skip

    def _info(self) -> str:
        """The one dist-info folder, which must be of this name and version."""
        folders = {name.partition("/")[0] for name in self.entries if "/" in name}
        found = [folder for folder in folders if folder.lower().endswith((".dist-info", ".egg-info"))]
        if len(found) != 1:
            raise self.refuse("a wheel has exactly one dist-info folder", found=", ".join(sorted(found)) or "none")
        name, _, version = found[0].removesuffix(".dist-info").partition("-")
        if (canonicalize_name(name), Version(version)) != (self.name, self.version):
            raise self.refuse("the dist-info folder is of another release", found=found[0])
        return found[0]

    def _record(self) -> dict[str, str]:
        """RECORD exactly: every file has one line with its sha256 and size, every line has its file."""
        text = self._text("RECORD").decode("utf-8")
        rows: dict[str, tuple[str, str]] = {}
        for row in csv.reader(text.splitlines(), strict=True):
            if len(row) != 3 or row[0] in rows:
                raise self.refuse("RECORD has a malformed line, or a file twice", line=",".join(row)[:200])
            rows[row[0]] = (row[1], row[2])
        signatures = {f"{self.info}/{name}" for name in _UNRECORDED}
        if extra := sorted(set(self.entries) - set(rows) - signatures):
            raise self.refuse("a file that RECORD does not name", path=extra[0], files=len(extra))
        if lacking := sorted(set(rows) - set(self.entries)):
            raise self.refuse("RECORD names a file that is not there", path=lacking[0], files=len(lacking))
        found = {}
        for name, entry in self.entries.items():
            digest = self._digest(entry)
            if name not in signatures:
                expected = (f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}", str(entry.size))
                if rows[name] != expected:
                    raise self.refuse("a file is not what RECORD says", path=name,
                                      expected=",".join(rows[name]), found=",".join(expected))  # fmt: skip
                found[name] = digest.hex()
        return found

    def _check_declared(self) -> None:
        """Nothing runs when an interpreter starts, and nothing is put outside site-packages, undeclared."""
        for name in self.entries:
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.declared):
                continue
            target = _target(name)
            folder, _, rest = name.partition("/")
            if target.endswith(".pth") and "/" not in target:
                raise self.refuse("a .pth file: its lines run whenever Python starts", path=name)
            if target.partition("/")[0].partition(".")[0] in _AT_START:
                raise self.refuse("a module that runs whenever Python starts", path=name)
            if folder.lower().endswith(".data") and not rest.startswith(("purelib/", "platlib/")):
                raise self.refuse("a file outside the packages that was not declared", path=name)
            if folder.lower().endswith(".data") and folder != self.info.removesuffix(".dist-info") + ".data":
                raise self.refuse("a data folder of another release", path=name)

    def _check_tags(self) -> None:
        message = BytesParser().parsebytes(self._text("WHEEL"))
        if not str(message["Wheel-Version"]).startswith("1."):
            raise self.refuse("a wheel of an unknown version", found=message["Wheel-Version"])
        stated = {tag for line in message.get_all("Tag", []) for tag in parse_tag(str(line))}
        if stated != set(self.tags):
            raise self.refuse("the file name and WHEEL name different platforms",
                              found=", ".join(sorted(map(str, stated)))[:300])  # fmt: skip

    def _text(self, name: str) -> bytes:
        entry = self.entries.get(f"{self.info}/{name}")
        if entry is None:
            raise self.refuse("a file that every wheel has is missing", path=f"{self.info}/{name}")
        return self._read(entry)

    def _read(self, entry: Entry) -> bytes:
        if entry.size > _MOST_TEXT:
            raise self.refuse("a metadata file is too large", path=entry.name, size=entry.size, limit=_MOST_TEXT)
        return b"".join(contents(self.stream, entry, self.filename))

    def _digest(self, entry: Entry) -> bytes:
        hasher = hashlib.sha256()
        for piece in contents(self.stream, entry, self.filename):
            hasher.update(piece)
        return hasher.digest()


def _target(path: str) -> str:
    """Where a file lands, relative to site-packages where it lands there."""
    folder, _, rest = path.partition("/")
    if folder.lower().endswith(".data") and rest.startswith(("purelib/", "platlib/")):
        return rest.partition("/")[2]
    return path
