"""Locks: reading, checking and choosing from them, all offline. Making them is ``millcert.lock.relock``."""

from millcert.lock.lockfile import Lock, LockedFile, Pin, parse_lock, read_lock, render_lock
from millcert.lock.selection import Target, best_file, select

__all__ = [
    "Lock",
    "LockedFile",
    "Pin",
    "Target",
    "best_file",
    "parse_lock",
    "read_lock",
    "render_lock",
    "select",
]
