"""A lock: which files of which index a purpose may use, each by name, size and sha256.

The text is also a ``pip install --require-hashes -r`` file. One block per project::

    ziglang==0.17.1 \\
        --hash=sha256:<64 hex>
        # index: pypi
        # file: <64 hex> <size> ziglang-0.17.1-py3-none-manylinux_2_12_x86_64.whl
        # via -r lockfiles/toolchain/any.in

``index:`` is a name, never an address. Anything that is not this shape is refused: what cannot be
written here (addresses, options, source distributions, missing hashes) cannot be locked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from millcert.errors import ConfigError, LockError
from millcert.lock.namespaces import read_namespaces
from millcert.model import Digest, parse_digest
from millcert.names import NormalizedName, normalize

__all__ = ["Lock", "LockedFile", "Pin", "parse_lock", "read_lock", "render_lock"]

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\@]+)(?P<more> \\)?")
_HASH = re.compile(r"    --hash=sha256:(?P<digest>[0-9a-f]{64})(?P<more> \\)?")
_INDEX = re.compile(r"    # index: (?P<index>[a-z0-9][a-z0-9-]*)")
_FILE = re.compile(r"    # file: (?P<digest>[0-9a-f]{64}) (?P<size>[0-9]{1,12}) (?P<name>[A-Za-z0-9_.+!-]+)")
_VIA = re.compile(r"    # via (?P<via>\S.*)")


@dataclass(frozen=True, order=True)
class LockedFile:
    """One file of a pin; ``size`` in bytes."""

    filename: str
    digest: Digest
    size: int


@dataclass(frozen=True, order=True)
class Pin:
    """One project at one version, with the index that its name belongs to."""

    name: NormalizedName
    version: str
    index: str
    files: tuple[LockedFile, ...]
    via: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lock:
    """The pins of one purpose and variant, in the order of their names."""

    path: Path
    pins: tuple[Pin, ...]

    def pin(self, name: str) -> Pin:
        """The pin of a project; LockError where the lock has none."""
        wanted = normalize(name)
        for pin in self.pins:
            if pin.name == wanted:
                return pin
        raise LockError("the lock has no such project", file=self.path, name=wanted)


def read_lock(path: Path) -> Lock:
    """Read and check a lock; LockError where it is missing or holds something that must never be locked.

    Where the folder of locks has a ``namespaces.toml``, every name is held against it: a lock that takes an owned name
    from a stranger's index is a ConfusionError wherever it is used, whoever wrote it.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise LockError("there is no such lock", file=path, fix="run `millcert lock`") from None
    lock = parse_lock(data, path)
    if (names := path.parent.parent / "namespaces.toml").is_file():
        namespaces = read_namespaces(names)
        for pin in lock.pins:
            namespaces.check_origin(pin.name, pin.index)
    return lock


def parse_lock(data: bytes, path: Path) -> Lock:
    """A lock from its bytes; ``path`` is for messages only."""
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise LockError("the lock is not text", file=path, reason=error) from error
    pins: dict[NormalizedName, Pin] = {}
    for number, block in _blocks(lines, path):
        pin = _parse_block(block, path, number)
        if (other := pins.get(pin.name)) is not None:
            problem = "a name on two indexes" if other.index != pin.index else "a name that is locked twice"
            raise LockError(
                problem, file=path, line=number, name=pin.name,
                first=f"{other.version} from {other.index}", second=f"{pin.version} from {pin.index}",
            )  # fmt: skip
        pins[pin.name] = pin
    return Lock(path, tuple(pins[name] for name in sorted(pins)))


def render_lock(pins: Sequence[Pin], header: str = "") -> bytes:
    """The text of a lock: the same pins give the same bytes."""
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    for pin in sorted(pins):
        lines.append(f"{pin.name}=={pin.version} \\")
        files = sorted(pin.files)
        digests = sorted({file.digest for file in files})
        lines += [f"    --hash=sha256:{digest} \\" for digest in digests[:-1]] + [f"    --hash=sha256:{digests[-1]}"]
        lines.append(f"    # index: {pin.index}")
        lines += [f"    # file: {file.digest} {file.size} {file.filename}" for file in files]
        lines += [f"    # via {via}" for via in sorted(pin.via)]
    return ("\n".join(lines) + "\n").encode()


def _blocks(lines: list[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each requirement line together with the indented lines below it, and its line number."""
    block: list[str] = []
    start = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("    ") and block:
            block.append(line)
            continue
        if block:
            yield start, block
            block = []
        if not line or line.startswith("#"):
            continue
        if not _PIN.fullmatch(line):
            raise LockError(
                "the lock holds something other than `name==version` with hashes",
                file=path, line=number, found=line[:120], fix="run `millcert lock`",
            )  # fmt: skip
        block, start = [line], number
    if block:
        yield start, block


def _parse_block(block: list[str], path: Path, number: int) -> Pin:
    head = _PIN.fullmatch(block[0])
    assert head is not None
    hashes: list[Digest] = []
    files: list[LockedFile] = []
    indexes: list[str] = []
    via: list[str] = []
    more = bool(head["more"])
    for offset, line in enumerate(block[1:], 1):
        if match := _HASH.fullmatch(line):
            if not more:
                raise LockError("a hash that pip would not read", file=path, line=number + offset, found=line.strip())
            more = bool(match["more"])
            hashes.append(parse_digest(match["digest"]))
        elif match := _FILE.fullmatch(line):
            files.append(LockedFile(match["name"], parse_digest(match["digest"]), int(match["size"])))
        elif match := _INDEX.fullmatch(line):
            indexes.append(match["index"])
        elif match := _VIA.fullmatch(line):
            via.append(match["via"])
        else:
            raise LockError("a line that no lock has", file=path, line=number + offset, found=line.strip()[:120])
    name = _name(head["name"], path, number)
    pin = Pin(name, head["version"], "".join(indexes[:1]), tuple(sorted(files)), tuple(via))
    _check_pin(pin, hashes, indexes, path, number, more)
    return pin


def _name(text: str, path: Path, number: int) -> NormalizedName:
    try:
        return normalize(text)
    except ConfigError as error:
        raise LockError("not a project name", file=path, line=number, found=text) from error


def _check_pin(pin: Pin, hashes: list[Digest], indexes: list[str], path: Path, number: int, more: bool) -> None:
    def refuse(message: str, **evidence: object) -> LockError:
        return LockError(message, file=path, line=number, name=pin.name, **evidence, fix="run `millcert lock`")

    if not hashes or more:
        raise refuse("a requirement without a hash", version=pin.version)
    if len(indexes) != 1:
        raise refuse("a requirement must name exactly one index", found=", ".join(indexes) or "none")
    described = {file.digest for file in pin.files}
    if missing := set(hashes) - described:
        raise refuse("a hash that belongs to no file of its index", found=sorted(missing)[0])
    if missing := described - set(hashes):
        raise refuse("a file without its hash", found=sorted(missing)[0])
    if len({file.filename for file in pin.files}) != len(pin.files):
        raise refuse("one file name with two hashes")
    for file in pin.files:
        _check_file(pin, file, path, number)


def _check_file(pin: Pin, file: LockedFile, path: Path, number: int) -> None:
    try:
        name, version, _, _ = parse_wheel_filename(file.filename)
        fits = (name, version) == (canonicalize_name(pin.name), Version(pin.version))
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise LockError(
            "only wheels can be locked: a source distribution runs its own code to be built",
            file=path, line=number, name=pin.name, found=file.filename, reason=error,
        ) from error  # fmt: skip
    if not fits:
        raise LockError(
            "a file of another project or version",
            file=path, line=number, expected=f"{pin.name}=={pin.version}", found=file.filename,
        )  # fmt: skip
