"""Making Debian locks: resolve with apt, check, and write in one step or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from millcert.debian.apt import find_archive, parse_wanted, resolve
from millcert.debian.lockfile import parse_lock, render_lock
from millcert.errors import LockError
from millcert.files import write_atomically
from millcert.lock.purposes import LockSource
from millcert.lock.relock import Move, moves, refuse_change

__all__ = ["relock"]


def relock(source: LockSource, environ: Mapping[str, str], *, check: bool = False) -> tuple[bool, tuple[Move, ...]]:
    """Make one Debian lock anew; whether it changed, and which versions did.

    With ``check`` nothing is written and a lock that would change is a LockError.
    """
    wanted = parse_wanted(source.requirements.read_text(), source.label)
    archives = [find_archive(suite, environ) for suite in wanted.suites]
    packages = resolve(wanted, archives, environ)
    suites = " and ".join(wanted.suites)
    data = render_lock(packages, f"Made by `millcert lock {source.label}` from {suites}, main only.")
    old = source.lock.read_bytes() if source.lock.exists() else b""
    moved = moves(_versions(old, source), _versions(data, source))
    if check and data != old:
        refuse_change(source, moved)
    if data != old:
        write_atomically(source.lock, data)
    return data != old, moved


def _versions(data: bytes, source: LockSource) -> dict[str, str]:
    try:
        return {package.label: package.version for package in parse_lock(data, source.lock).packages}
    except LockError:
        return {}  # missing or broken before; the new one is read back by whoever uses it
