"""Built files held against one another: which differ, in which member first, and where."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from millcert.model import Digest
from millcert.store.difference import first_difference

__all__ = ["Comparison", "compare", "explain", "first_cause"]

_MOST_LINES = 60


@dataclass(frozen=True)
class Comparison:
    """One file over several builds: its digest in each by the build's name (None where it is absent)."""

    file: str
    digests: Mapping[str, Digest | None]

    @property
    def identical(self) -> bool:
        """Whether every build has the file, with the same bytes."""
        return len(set(self.digests.values())) == 1 and None not in self.digests.values()

    @property
    def odd(self) -> str:
        """The first build that is not like the first one."""
        values = list(self.digests.items())
        return next(name for name, digest in values if digest != values[0][1] or digest is None)


def compare(runs: Mapping[str, Mapping[str, Digest]]) -> list[Comparison]:
    """Every file of any build, by name."""
    names = sorted({name for files in runs.values() for name in files})
    return [Comparison(name, {run: files.get(name) for run, files in runs.items()}) for name in names]


def first_cause(one: Path, other: Path) -> str:
    """Where two versions of a file first differ: for wheels the first member that does, else the byte."""
    if not (zipfile.is_zipfile(one) and zipfile.is_zipfile(other)):
        return first_difference(one, other)
    with zipfile.ZipFile(one) as left, zipfile.ZipFile(other) as right:
        names = [archive.namelist() for archive in (left, right)]
        if set(names[0]) != set(names[1]):
            return f"members in only one of them: {', '.join(sorted(set(names[0]) ^ set(names[1]))[:4])}"
        # RECORD holds the others' hashes: it differs because something else does
        for name in sorted(names[0], key=lambda name: (name.endswith(".dist-info/RECORD"), name)):
            if left.read(name) != right.read(name):
                return f"{name} {_bytes(left.read(name), right.read(name))}"
        if names[0] != names[1]:
            return "the order of the members"
        for name in names[0]:
            a, b = left.getinfo(name), right.getinfo(name)
            for field in ("date_time", "external_attr", "compress_type", "create_system", "compress_size"):
                if getattr(a, field) != getattr(b, field):
                    return f"{name}: {field} is {getattr(a, field)} and {getattr(b, field)}"
    return f"the archive itself, {first_difference(one, other)}"


def _bytes(a: bytes, b: bytes) -> str:
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"at byte {at}: {a[at : at + 16]!r} and {b[at : at + 16]!r}"


def explain(one: Path, other: Path) -> str:
    """What diffoscope says of two files, cut to its beginning, or how it failed; empty where it is not installed."""
    if shutil.which("diffoscope") is None:
        return ""
    command = ["diffoscope", "--text", "-", str(one), str(other)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if result.returncode not in (0, 1):  # as of diff: the same, or not
        last = "".join(result.stderr.splitlines()[-1:])
        return f"diffoscope failed with status {result.returncode}: {last}"
    return "\n".join(result.stdout.splitlines()[:_MOST_LINES])
