"""A lock of Debian packages: one line each, ``name version architecture size sha256 pool-path``, sorted, no host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from millcert.errors import LockError
from millcert.model import Digest, parse_digest

__all__ = ["DebianLock", "DebianPackage", "parse_lock", "read_lock", "render_lock"]

# Debian policy 5.6.1 (name), 5.6.12 (version); the pool path is what the archive's signed list says
_LINE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+) (?P<version>[0-9][A-Za-z0-9.+:~-]*) (?P<architecture>amd64|arm64|all)"
    r" (?P<size>[0-9]{1,12}) (?P<digest>[0-9a-f]{64})"
    r" (?P<pool>pool/(?:updates/)?main/[A-Za-z0-9][A-Za-z0-9+./~_-]*\.deb)"
)


@dataclass(frozen=True, order=True)
class DebianPackage:
    """One pinned package; ``size`` in bytes, ``pool`` its path below the archive's root."""

    name: str
    version: str
    architecture: str
    size: int
    digest: Digest
    pool: str

    @property
    def label(self) -> str:
        """How tables call it: its name, with the architecture where that is not amd64."""
        return f"{self.name}:arm64" if self.architecture == "arm64" else self.name

    @property
    def filename(self) -> str:
        """The file's name."""
        return PurePosixPath(self.pool).name

    @property
    def security(self) -> bool:
        """Whether the file lies in the security archive, which drops superseded versions."""
        return self.pool.startswith("pool/updates/")


@dataclass(frozen=True)
class DebianLock:
    """The packages of one root or image, in the order of their names; of several architectures where it has them."""

    path: Path
    packages: tuple[DebianPackage, ...]

    def for_architecture(self, architecture: str) -> DebianLock:
        """The packages of one architecture; LockError where the lock has none of its own."""
        found = tuple(package for package in self.packages if package.architecture in (architecture, "all"))
        if not any(package.architecture == architecture for package in found):
            name = self.path.stem
            raise LockError(
                "the lock has no package of this architecture", file=self.path, architecture=architecture,
                fix=f"write `architectures: amd64 {architecture}` in {name}.in and run `millcert lock debian/{name}`",
            )  # fmt: skip
        return DebianLock(self.path, found)


def read_lock(path: Path) -> DebianLock:
    """Read and check a lock; LockError where it is missing or malformed."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise LockError("there is no such lock", file=path, fix=f"run `millcert lock debian/{path.stem}`") from None
    return parse_lock(data, path)


def parse_lock(data: bytes, path: Path) -> DebianLock:
    """A lock from its bytes; ``path`` is for messages only."""
    packages: dict[tuple[str, str], DebianPackage] = {}
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or ".." in match["pool"]:
            raise LockError(
                "not a line of a Debian lock", file=path, line=number, found=line[:160],
                expected="name version architecture size sha256 pool-path",
            )  # fmt: skip
        package = DebianPackage(
            match["name"], match["version"], match["architecture"], int(match["size"]),
            parse_digest(match["digest"]), match["pool"],
        )  # fmt: skip
        clashing = ("amd64", "arm64", "all") if package.architecture == "all" else (package.architecture, "all")
        if any((package.name, architecture) in packages for architecture in clashing):
            raise LockError("a package that is locked twice", file=path, line=number, name=package.name)
        packages[package.name, package.architecture] = package
    if not packages:
        raise LockError("the lock is empty", file=path, fix=f"run `millcert lock debian/{path.stem}`")
    return DebianLock(path, tuple(sorted(packages.values())))


def render_lock(packages: Iterable[DebianPackage], header: str = "") -> bytes:
    """The text of a lock: the same packages give the same bytes."""
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    for package in sorted(packages):
        fields = (package.name, package.version, package.architecture, package.size, package.digest, package.pool)
        lines.append(" ".join(str(field) for field in fields))
    return ("\n".join(lines) + "\n").encode()
