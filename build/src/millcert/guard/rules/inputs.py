"""Inputs that cannot be read: what is not read is not audited, so it is a finding, not a silence."""

from __future__ import annotations

from collections.abc import Iterator

from millcert.guard.finding import Finding, Severity
from millcert.guard.rules.rule import Rule
from millcert.guard.scene import Scene

__all__ = ["RULES"]


def _unreadable(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for facts in scene.facts:
        for problem in facts.problems:
            if problem.whole:
                yield rule.finding(f"cannot be read: {problem.message}", problem.place)


def _odd_line(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for facts in scene.facts:
        for problem in facts.problems:
            if not problem.whole:
                yield rule.finding(problem.message, problem.place)


RULES = (
    Rule(
        "MG001", "unreadable-input", Severity.ERROR, "A file that installers may use could not be audited.",
        "repair the file, or leave it out of the audit", _unreadable,
    ),
    Rule(
        "MG002", "unreadable-line", Severity.WARNING, "A part of a file could not be audited.",
        "repair the line; an installer may read it in another way", _odd_line,
    ),
)  # fmt: skip
