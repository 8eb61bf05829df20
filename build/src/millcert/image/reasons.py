"""Why each package is in an image: who asked for it, in the words of the file that did."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from millcert import lock
from millcert.debian.control import parse_stanza

__all__ = ["debian_reasons", "wheel_reasons"]

_ASKED = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]+)\s*(?:#\s*(?P<why>.*\S))?\s*")
_DEPENDENCY = re.compile(r"[a-z0-9][a-z0-9+.-]+")


def debian_reasons(requirements: Path, controls: Mapping[str, str]) -> dict[str, str]:
    """A reason for each package whose control file is given: its line in the ``.in`` file, else who depends on it."""
    lines = requirements.read_text().splitlines()
    asked = {match["name"]: match["why"] or "" for line in lines if (match := _ASKED.fullmatch(line))}
    needed: dict[str, list[str]] = {name: [] for name in controls}
    for name, text in sorted(controls.items()):
        for other in _depends(text):
            if other in needed and other != name:
                needed[other].append(name)
    return {name: _reason(asked.get(name), needed[name]) for name in controls}


def _depends(control: str) -> list[str]:
    fields = parse_stanza(control)
    parts = ", ".join(fields.get(key, "") for key in ("Pre-Depends", "Depends")).split(",")
    return sorted({m[0] for part in parts for choice in part.split("|") if (m := _DEPENDENCY.match(choice.strip()))})


def _reason(asked: str | None, needed: list[str]) -> str:
    more = f" and {len(needed) - 4} more" if len(needed) > 4 else ""
    by = f"needed by {', '.join(needed[:4])}{more}" if needed else ""
    return asked or by or "asked for"


def wheel_reasons(locks: Iterable[lock.Lock]) -> dict[str, str]:
    """A reason for each locked project: the lock's own ``via`` lines."""
    found: dict[str, str] = {}
    for pinned in locks:
        for pin in pinned.pins:
            vias = [via.removeprefix("-r lockfiles/") for via in pin.via]
            found.setdefault(pin.name, "asked for in " + vias[0] if vias[0].endswith(".in") else f"needed by {vias[0]}")
    return found
