"""The audit: facts in, findings out. No file, clock or network is touched here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from millcert.guard.finding import Finding, Severity
from millcert.guard.rules import RULES
from millcert.guard.scene import Scene

__all__ = ["Report", "audit"]


@dataclass(frozen=True)
class Report:
    """What was read and what was found, the worst first."""

    inputs: tuple[str, ...]
    findings: tuple[Finding, ...]

    def breaches(self, threshold: Severity) -> tuple[Finding, ...]:
        """The findings at or above a severity."""
        return tuple(finding for finding in self.findings if finding.severity >= threshold)

    def as_dict(self) -> dict[str, object]:
        """The report for ``--json``."""
        return {"inputs": list(self.inputs), "findings": [finding.as_dict() for finding in self.findings]}


def audit(scene: Scene, inputs: Iterable[str]) -> Report:
    """Run every rule over a scene; ``inputs`` are the names of all that was read."""
    found = {finding.order(): finding for rule in RULES for finding in rule.findings(scene)}
    return Report(tuple(sorted(set(inputs))), tuple(found[key] for key in sorted(found)))
