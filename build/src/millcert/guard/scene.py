"""What the rules look at: all facts of an audit, which of them act together, and what is known beside them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

from millcert.guard.address import Address
from millcert.guard.facts import Entry, Facts, IndexUse, Kind, Role, Setting
from millcert.guard.options import is_on
from millcert.guard.policy import Answer
from millcert.lock.namespaces import Namespaces
from millcert.names import NormalizedName

__all__ = ["Ask", "Scene", "View", "included"]

Ask = Callable[[Address, NormalizedName], Answer]


@dataclass(frozen=True)
class View:
    """One input as its tool would see it: with the files it is used with and the tool's configuration."""

    facts: Facts
    indexes: tuple[IndexUse, ...]
    settings: Mapping[str, Setting]
    pins: frozenset[NormalizedName] = frozenset()

    @property
    def tool(self) -> str:
        """The tool that reads the input."""
        return self.facts.tool

    @property
    def primary(self) -> IndexUse | None:
        """The index that replaces the tool's default one, where any does."""
        return next((index for index in reversed(self.indexes) if index.role is Role.PRIMARY), None)

    @property
    def beside(self) -> tuple[IndexUse, ...]:
        """Indexes and link folders that are looked in beside the first one, for any name."""
        if is_on(self.settings.get("no-index")):
            return ()
        primary = self.primary
        found: list[IndexUse] = []
        for index in sorted(self.indexes, key=lambda index: index not in self.facts.indexes):  # its own first
            same = [other.address for other in (primary, *found) if other is not None]
            if index.role in (Role.EXTRA, Role.LINKS) and not any(index.address.same_as(other) for other in same):
                found.append(index)
        return tuple(found)

    @property
    def ordered(self) -> bool:
        """Whether the tool takes a name from the first index that has it, instead of comparing versions over all."""
        strategy = self.settings.get("index-strategy")
        return self.tool == "uv" and (strategy is None or strategy.value == "first-index")

    @property
    def merging(self) -> tuple[IndexUse, ...]:
        """The indexes whose versions compete with those of the first one."""
        return tuple(index for index in self.beside if index.role is Role.LINKS or not self.ordered)


@dataclass(frozen=True)
class Scene:
    """The whole of an audit's input. ``addresses``: by index name, where that index is known to be."""

    facts: Sequence[Facts]
    namespaces: Namespaces
    today: date
    addresses: Mapping[str, Sequence[Address]] = field(default_factory=dict)
    stale_after: timedelta = timedelta(days=30)
    ask: Ask | None = None

    @cached_property
    def views(self) -> tuple[View, ...]:
        """Every input with what it is used together with."""
        return tuple(self._view(facts) for facts in self.facts)

    def owned(self, entry: Entry) -> bool:
        """Whether an entry's name is one of ours."""
        names = self.namespaces
        return entry.name in names.owned or any(entry.name.startswith(prefix) for prefix in names.prefixes)

    def entries(self, *kinds: Kind) -> Iterator[tuple[View, Entry]]:
        """All entries of inputs of some kinds."""
        for view in self.views:
            if view.facts.kind in kinds:
                for entry in view.facts.entries:
                    yield view, entry

    def default_index(self, view: View) -> str:
        """How to call the index that a tool asks first."""
        return view.primary.address.shown if view.primary else f"{view.tool}'s default index"

    def _view(self, facts: Facts) -> View:
        together = [*self._ambient(facts), *self._linked(facts)]
        indexes = tuple(index for other in together for index in other.indexes)
        settings = {setting.key: setting for other in together for setting in other.settings}
        pins = frozenset(entry.name for other in together for entry in other.entries if entry.version)
        return View(facts, indexes, settings, pins)

    def _ambient(self, facts: Facts) -> Iterator[Facts]:
        for other in self.facts:
            if other is not facts and other.tool == facts.tool and other.kind is Kind.CONFIGURATION:
                yield other

    def _linked(self, facts: Facts) -> list[Facts]:
        """The file itself and all that include it or are included by it: pip reads their options as one."""
        linked, seen = [facts], {facts.file}
        for current in linked:
            for file in self._inclusions.get(current.file, ()):
                if file not in seen:
                    seen.add(file)
                    linked += [other for other in self.facts if other.file == file]
        return linked

    @cached_property
    def _inclusions(self) -> Mapping[str, set[str]]:
        """Files that are read together, both ways."""
        both: dict[str, set[str]] = {}
        for facts in self.facts:
            for path in facts.includes:
                inner = included(facts.file, path)
                both.setdefault(facts.file, set()).add(inner)
                both.setdefault(inner, set()).add(facts.file)
        return both


def included(outer: str, path: str) -> str:
    """The file that an include names: relative to the file it stands in."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(outer), path))
