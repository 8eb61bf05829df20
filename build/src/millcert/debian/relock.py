"""Making Debian locks: resolve with apt, check, and write in one step or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from millcert.debian.apt import find_archive, parse_wanted, resolve
from millcert.debian.lockfile import parse_lock, render_lock
from millcert.errors import LockError
from millcert.lock.purposes import LockSource
from millcert.lock.relock import write_atomically

__all__ = ["relock"]


def relock(source: LockSource, environ: Mapping[str, str], *, check: bool = False) -> bool:
    """Make one Debian lock anew and say whether it changed; with ``check`` a change is a LockError and not written."""
    wanted = parse_wanted(source.requirements.read_text(), source.label)
    archives = [find_archive(suite, environ) for suite in wanted.suites]
    packages = resolve(wanted, archives, environ)
    suites = " and ".join(wanted.suites)
    data = render_lock(packages, f"Made by `millcert lock {source.label}` from {suites}, main only.")
    parse_lock(data, source.lock)
    changed = not source.lock.exists() or source.lock.read_bytes() != data
    if check and changed:
        raise LockError(
            "the lock is not what the mirror gives now", file=source.lock, fix=f"run `millcert lock {source.label}`"
        )
    if changed:
        write_atomically(source.lock, data)
    return changed
