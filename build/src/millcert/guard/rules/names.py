"""Names: owned ones that are not held to their index and version, and those that look like owned ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from packaging.version import InvalidVersion, Version

from millcert.guard.address import Address
from millcert.guard.facts import Entry, Kind
from millcert.guard.finding import Finding, Severity
from millcert.guard.rules.rule import Rule
from millcert.guard.scene import Scene

__all__ = ["RULES"]


def _unpinned(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for view, entry in scene.entries(Kind.REQUIREMENTS, Kind.SPECIFICATION):
        if not scene.owned(entry) or entry.name in view.pins or entry.direct or entry.origin or entry.local:
            continue
        beside = view.merging if view.facts.kind is Kind.SPECIFICATION else view.beside
        if not beside and view.facts.kind is Kind.SPECIFICATION:
            continue  # what is asked for may float; what is installed is in the lock
        yield rule.finding(
            f"{entry.name} is owned but not held to a version"
            + (", and several indexes may answer for it" if beside else ""), entry.place,
            severity=Severity.ERROR if view.merging else Severity.WARNING, name=entry.name,
            owner=scene.namespaces.index_of(entry.name), first=scene.default_index(view),
            second=", ".join(index.address.shown for index in beside),
        )  # fmt: skip


def _elsewhere(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for _, entry in scene.entries(*Kind):
        if scene.namespaces.imitated(entry.name):
            continue
        home = scene.namespaces.index_of(entry.name)
        if (found := _foreign_origin(scene, entry, home)) is not None:
            yield rule.finding(
                f"{entry.name} is bound to an index that it does not belong to", entry.place,
                name=entry.name, expected=home, found=found,
            )  # fmt: skip


def _foreign_origin(scene: Scene, entry: Entry, home: str) -> str | None:
    """The index an entry comes from, where that is known not to be its own."""
    owned = scene.owned(entry)
    if entry.index:
        return entry.index if entry.index != home else None
    if not owned:
        return None
    if entry.default_origin:
        return "the tool's default index"
    if entry.origin is None:
        return None
    homes = scene.addresses.get(home, ())
    if _within(entry.origin, homes):
        return None
    others = (name for name, addresses in scene.addresses.items() if _within(entry.origin, addresses))
    other = next(others, None)
    if other is not None:
        return f"{other} ({entry.origin.shown})"
    return entry.origin.shown if homes else None


def _within(address: Address, bases: object) -> bool:
    return isinstance(bases, list | tuple) and any(address.under(base) for base in bases)


def _unknown_origin(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for _, entry in scene.entries(*Kind):
        if not scene.owned(entry) or entry.origin is None:
            continue
        home = scene.namespaces.index_of(entry.name)
        if not scene.addresses.get(home) and _foreign_origin(scene, entry, home) is None:
            yield rule.finding(
                f"{entry.name} names its index, but where index {home!r} should be is not known here", entry.place,
                name=entry.name, expected=home, found=entry.origin.shown,
                fix=f"tell the audit: --index {home}=ADDRESS",
            )  # fmt: skip


def _look_alike(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for _, entry in scene.entries(*Kind):
        if (original := scene.namespaces.imitated(entry.name)) is not None:
            yield rule.finding(
                f"{entry.name} looks like {original}, which is another project", entry.place,
                name=entry.name, expected=original,
                found=entry.origin.shown if entry.origin else entry.index,
            )  # fmt: skip


def _stale(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for _, entry in scene.entries(Kind.REQUIREMENTS, Kind.LOCK):
        built = _nightly_date(entry.version) if scene.owned(entry) else None
        if built is not None and scene.today - built > scene.stale_after:
            yield rule.finding(
                f"{entry.name} {entry.version} is {(scene.today - built).days} days old", entry.place,
                name=entry.name, expected=f"at most {scene.stale_after.days} days", found=built,
            )  # fmt: skip


def _nightly_date(version: str) -> date | None:
    """The day in ``X.Y.devYYYYMMDD``."""
    try:
        number = Version(version).dev
        return date.fromisoformat(str(number)) if number is not None and number > 19_000_000 else None
    except (InvalidVersion, ValueError):
        return None


RULES = (
    Rule(
        "MG201", "unpinned-owned-name", Severity.WARNING,
        "An owned name is not held to one version: a higher one from anywhere is taken.",
        "pin it with == and its hashes, or install from a lock", _unpinned,
    ),
    Rule(
        "MG202", "owned-name-elsewhere", Severity.ERROR,
        "A file takes an owned name, or a name that is not owned, from the wrong index.",
        "find out how it got there before you lock again: the lock may have been poisoned", _elsewhere,
    ),
    Rule(
        "MG203", "look-alike", Severity.ERROR,
        "A name that a reader can take for an owned one: separators vanish, l, 1 and i are one, and so are 0 and o.",
        "correct the name", _look_alike,
    ),
    Rule(
        "MG204", "stale-nightly", Severity.WARNING,
        "An old nightly lacks fixes, and an index that shows no newer one may be frozen.",
        "take a newer nightly", _stale,
    ),
    Rule(
        "MG205", "unknown-origin", Severity.NOTE,
        "Whether an owned name comes from its own index could not be told.",
        "tell the audit where the index is", _unknown_origin,
    ),
)  # fmt: skip
