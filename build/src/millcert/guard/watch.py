"""Watching other indexes for owned names and their look-alikes: who is new there, and since when."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from millcert.errors import ConfigError
from millcert.files import write_atomically
from millcert.guard.address import Address
from millcert.guard.candidates import look_alikes
from millcert.guard.policy import Presence
from millcert.guard.scene import Ask
from millcert.lock.namespaces import Namespaces
from millcert.names import NormalizedName, normalize

__all__ = ["Outcome", "Sighting", "Sightings", "StateError", "parse_sightings", "read_sightings", "watch", "watched"]

_VERSION = 1


class StateError(ConfigError):
    """The file of earlier sightings is not one."""


@dataclass(frozen=True, order=True)
class Sighting:
    """A watched name on an index that does not own it; ``resembles`` is the owned name."""

    index: str
    name: NormalizedName
    resembles: NormalizedName
    first_seen: str
    versions: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The sighting for reports."""
        return {
            "index": self.index, "name": self.name, "resembles": self.resembles, "first_seen": self.first_seen,
            "versions": list(self.versions),
        }  # fmt: skip


@dataclass(frozen=True)
class Sightings:
    """All names seen so far, by index and name."""

    seen: Mapping[tuple[str, NormalizedName], Sighting] = field(default_factory=dict)

    def render(self) -> bytes:
        """The state file."""
        rows = [sighting.as_dict() for sighting in sorted(self.seen.values())]
        return (json.dumps({"version": _VERSION, "sightings": rows}, indent=2) + "\n").encode()

    def write(self, path: Path) -> None:
        """Replace the state file in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.render())


@dataclass(frozen=True)
class Outcome:
    """What one round of watching gave. ``unavailable``: index and name → reason; those names keep their old state."""

    newcomers: tuple[Sighting, ...]
    changed: tuple[Sighting, ...]
    known: tuple[Sighting, ...]
    gone: tuple[Sighting, ...]
    unavailable: Mapping[tuple[str, NormalizedName], str]
    sightings: Sightings

    def as_dict(self) -> dict[str, object]:
        """The outcome for ``--json``."""
        groups = {"newcomers": self.newcomers, "changed": self.changed, "known": self.known, "gone": self.gone}
        silent = [{"index": i, "name": n, "reason": why} for (i, n), why in sorted(self.unavailable.items())]
        return {key: [item.as_dict() for item in items] for key, items in groups.items()} | {"unavailable": silent}


def watched(namespaces: Namespaces, more: Iterable[str], limit: int) -> dict[NormalizedName, NormalizedName]:
    """Every name to watch → the owned name it is or resembles; ``limit`` look-alikes of each.

    ``more`` are names below the owned prefixes, which no map lists one by one.
    """
    names: dict[NormalizedName, NormalizedName] = {}
    owned = [*namespaces.owned, *(normalize(name) for name in more)]
    for name in owned:
        if namespaces.index_of(name) == namespaces.upstream:
            raise ConfigError("not an owned name", found=name, fix="watch names of lockfiles/namespaces.toml")
        names[name] = name
    for name in owned:
        for other in look_alikes(name, limit):
            names.setdefault(other, name)
    return names


def watch(
    names: Mapping[NormalizedName, NormalizedName], indexes: Mapping[str, Sequence[Address]], ask: Ask,
    before: Sightings, now: datetime,
) -> Outcome:  # fmt: skip
    """Ask every index about every name and compare with what was seen before.

    An index that gives no answer neither clears nor adds a name.
    """
    groups: dict[str, list[Sighting]] = {"newcomers": [], "changed": [], "known": [], "gone": []}
    seen = dict(before.seen)
    unavailable: dict[tuple[str, NormalizedName], str] = {}
    for index, addresses in indexes.items():
        for name, resembles in names.items():
            answer, old = ask(addresses[0], name), before.seen.get((index, name))
            if answer.presence is Presence.UNAVAILABLE:
                unavailable[index, name] = answer.reason
            elif answer.presence is Presence.ABSENT:
                if old is not None:
                    groups["gone"].append(seen.pop((index, name)))
            else:
                since = old.first_seen if old else now.isoformat(timespec="seconds")
                new = seen[index, name] = Sighting(index, name, resembles, since, answer.versions)
                groups["newcomers" if old is None else "known" if old == new else "changed"].append(new)
    ordered = {key: tuple(sorted(group)) for key, group in groups.items()}
    return Outcome(**ordered, unavailable=unavailable, sightings=Sightings(seen))


def read_sightings(path: Path) -> Sightings:
    """The state of earlier rounds; empty where there was none. StateError where the file is not one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Sightings()
    try:
        return parse_sightings(data)
    except StateError as error:
        raise StateError(
            error.message, file=path, **error.evidence, fix="restore it, or remove it: every name is then new again"
        ) from error


def parse_sightings(data: bytes) -> Sightings:
    """The state from its bytes."""
    try:
        document = json.loads(data)
        if document["version"] != _VERSION:
            raise ValueError(f"version {document['version']!r}, expected {_VERSION}")
        rows = [
            Sighting(
                str(row["index"]), normalize(row["name"]), normalize(row["resembles"]),
                datetime.fromisoformat(row["first_seen"]).isoformat(timespec="seconds"),
                tuple(str(version) for version in row["versions"]),
            )
            for row in document["sightings"]
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError, RecursionError, ConfigError) as error:
        raise StateError("not a file of sightings", reason=error) from error
    return Sightings({(row.index, row.name): row for row in rows})
