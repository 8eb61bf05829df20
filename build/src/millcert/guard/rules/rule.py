"""A rule: its identity, how bad a breach usually is, what it is about, and its check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from millcert.guard.finding import Finding, Place, Severity
from millcert.guard.scene import Scene

__all__ = ["Rule"]

Check = Callable[["Rule", Scene], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """``id`` never changes; ``summary`` says what a finding means, ``fix`` what to do."""

    id: str
    name: str
    severity: Severity
    summary: str
    fix: str
    check: Check

    def findings(self, scene: Scene) -> Iterable[Finding]:
        """What this rule finds."""
        return self.check(self, scene)

    def finding(
        self, message: str, place: Place, *, severity: Severity | None = None, fix: str = "", **evidence: object
    ) -> Finding:
        """A finding of this rule."""
        shown = {key: str(value) for key, value in evidence.items() if value}
        return Finding(self.id, self.severity if severity is None else severity, message, place, fix or self.fix, shown)
