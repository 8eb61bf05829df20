"""What an audit reports: rules, and findings with a place, evidence and a way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

__all__ = ["Finding", "Place", "Severity"]


class Severity(IntEnum):
    """How bad a finding is. ``ERROR``: a stranger can get in; ``WARNING``: one thing more must go wrong."""

    NOTE = 1
    WARNING = 2
    ERROR = 3

    @property
    def label(self) -> str:
        """The word for reports, SARIF's ``level`` too."""
        return self.name.lower()


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands: a file (or ``environment``), its line from 1 (0: the whole file), and the key."""

    file: str
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        return ":".join(filter(None, [self.file, str(self.line) if self.line else "", self.key]))


@dataclass(frozen=True)
class Finding:
    """One thing found: which rule, how bad, where, the evidence by name, and the fix."""

    rule: str
    severity: Severity
    message: str
    place: Place
    fix: str
    evidence: Mapping[str, str] = field(default_factory=dict)

    def order(self) -> tuple[int, str, Place, str, tuple[tuple[str, str], ...]]:
        """Worst first, then by rule and place."""
        return (-self.severity, self.rule, self.place, self.message, tuple(self.evidence.items()))

    def as_dict(self) -> dict[str, object]:
        """The finding for ``--json``."""
        return {
            "rule": self.rule, "severity": self.severity.label, "message": self.message, "file": self.place.file,
            "line": self.place.line or None, "key": self.place.key or None, "evidence": dict(self.evidence),
            "fix": self.fix,
        }  # fmt: skip
