"""Where names are looked for: more than one place for one name is what every confusion needs."""

from __future__ import annotations

from collections.abc import Iterator

from millcert.guard.facts import Role
from millcert.guard.finding import Finding, Severity
from millcert.guard.rules.rule import Rule
from millcert.guard.scene import Scene

__all__ = ["RULES"]


def _merged(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for view in scene.views:
        for index in view.beside:
            if index.role is Role.EXTRA and view.tool != "uv" and index in view.facts.indexes:
                yield rule.finding(
                    f"{view.tool} merges two indexes: for any name, the highest version of both wins", index.place,
                    first=scene.default_index(view), second=index.address.shown,
                )  # fmt: skip


def _links(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for view in scene.views:
        for index in view.beside:
            if index.role is Role.LINKS and index in view.facts.indexes:
                remote = index.address.remote
                yield rule.finding(
                    f"{view.tool} merges a page or folder of links with its index", index.place,
                    severity=Severity.ERROR if remote else Severity.WARNING,
                    first=scene.default_index(view), second=index.address.shown,
                )  # fmt: skip


def _unsafe_strategy(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for view in scene.views:
        strategy = view.settings.get("index-strategy")
        if view.tool != "uv" or strategy not in view.facts.settings or strategy is None:
            continue
        if strategy.value.startswith("unsafe"):
            beside = ", ".join(index.address.shown for index in view.beside)
            yield rule.finding(
                f"uv is told to compare versions over all indexes ({strategy.value})", strategy.place,
                severity=Severity.ERROR if beside else Severity.WARNING,
                first=scene.default_index(view), second=beside or "any index that is added later",
            )  # fmt: skip


def _ordered(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for view in scene.views:
        extra = [index for index in view.beside if index.role is Role.EXTRA and index in view.facts.indexes]
        for index in extra if view.tool == "uv" and view.ordered else ():
            yield rule.finding(
                "uv asks several indexes in turn: a name that one of them lacks falls through to the next", index.place,
                first=index.address.shown, second=scene.default_index(view),
            )  # fmt: skip


RULES = (
    Rule(
        "MG101", "merged-indexes", Severity.ERROR,
        "Several indexes are merged: whoever registers a name on one of them can replace it.",
        "use one complete index with --index-url, or install from a lock with hashes and --require-hashes", _merged,
    ),
    Rule(
        "MG102", "find-links", Severity.ERROR,
        "Links are merged with an index: whoever can write there can replace any name.",
        "use one complete index, or --no-index with the links", _links,
    ),
    Rule(
        "MG103", "unsafe-index-strategy", Severity.ERROR,
        "uv's protection against confusion is switched off.",
        "remove the index strategy: uv's default is first-index", _unsafe_strategy,
    ),
    Rule(
        "MG104", "falls-through", Severity.WARNING,
        "An index that lacks a name, for an hour or for good, hands it to the next index.",
        "mark the index `explicit = true` and bind each of its names in [tool.uv.sources]", _ordered,
    ),
)  # fmt: skip
