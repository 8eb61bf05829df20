"""What only the indexes themselves can say: which names are free for the taking, and which two of them serve."""

from __future__ import annotations

from collections.abc import Iterator

from millcert.guard.address import Address
from millcert.guard.facts import Entry
from millcert.guard.finding import Finding, Severity
from millcert.guard.policy import Answer, Presence
from millcert.guard.rules.rule import Rule
from millcert.guard.scene import Scene, View

__all__ = ["RULES"]

_MOST = 2000  # names asked for in one audit


def _answers(scene: Scene) -> Iterator[tuple[View, Entry, list[tuple[Address, Answer]]]]:
    """Each name that several indexes may answer for, with their answers, in the order that the tool asks them."""
    if scene.ask is None:
        return
    count = 0
    for view in scene.views:
        addresses = _asked(scene, view)
        for entry in view.facts.entries if len(addresses) > 1 else ():
            if entry.direct or entry.origin or entry.local:
                continue
            count += 1
            if count > _MOST:
                return
            yield view, entry, [(address, scene.ask(address, entry.name)) for address in addresses]


def _asked(scene: Scene, view: View) -> list[Address]:
    default = list(scene.addresses.get(scene.namespaces.upstream, ()))[:1]
    first = [view.primary.address] if view.primary else default
    return [*first, *(index.address for index in view.beside)]


def _free(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for view, entry, answers in _answers(scene):
        present = [address for address, answer in answers if answer.presence is Presence.PRESENT]
        absent = [address for address, answer in answers if answer.presence is Presence.ABSENT]
        if present and absent:
            yield rule.finding(
                f"{entry.name} is free for the taking on another index that {view.tool} looks in", entry.place,
                name=entry.name, present=", ".join(address.shown for address in present),
                free=", ".join(address.shown for address in absent),
                severity=Severity.WARNING if view.ordered else None,
            )  # fmt: skip


def _contested(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for _, entry, answers in _answers(scene):
        present = [(address, answer) for address, answer in answers if answer.presence is Presence.PRESENT]
        if len(present) > 1:
            (first, ours), (second, theirs) = present[0], present[1]
            yield rule.finding(
                f"{entry.name} is served by {len(present)} indexes", entry.place, name=entry.name,
                first=f"{first.shown}: {ours}", second=f"{second.shown}: {theirs}",
            )  # fmt: skip


def _silent(rule: Rule, scene: Scene) -> Iterator[Finding]:
    seen: set[str] = set()
    for _, entry, answers in _answers(scene):
        for address, answer in answers:
            if answer.presence is Presence.UNAVAILABLE and address.shown not in seen:
                seen.add(address.shown)
                yield rule.finding(
                    f"{address.shown} gave no answer: its names are not checked", entry.place, name=entry.name,
                    found=answer,
                )  # fmt: skip


RULES = (
    Rule(
        "MG251", "free-name", Severity.ERROR,
        "A name exists on one of the merged indexes only: whoever registers it on the other one replaces it.",
        "use one complete index; hold the name elsewhere with `millcert guard reserve`", _free,
    ),
    Rule(
        "MG252", "contested-name", Severity.ERROR,
        "Two of the merged indexes serve the same name: the version number decides whose code runs.",
        "find out whose each is; use one complete index", _contested,
    ),
    Rule(
        "MG253", "index-unavailable", Severity.WARNING,
        "An index gave no answer, so names could not be checked: that is not a pass.", "run the audit again", _silent,
    ),
)  # fmt: skip
