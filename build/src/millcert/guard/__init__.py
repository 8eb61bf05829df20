"""The guard against dependency confusion: one resolver policy, an audit, a watch, and held names."""

from millcert.guard.audit import Report, audit
from millcert.guard.finding import Finding, Place, Severity
from millcert.guard.policy import (
    Answer,
    Decision,
    HomeUnavailableError,
    NameAbsentError,
    Presence,
    ResolverPolicy,
)
from millcert.guard.scene import Scene

__all__ = [
    "Answer",
    "Decision",
    "Finding",
    "HomeUnavailableError",
    "NameAbsentError",
    "Place",
    "Presence",
    "Report",
    "ResolverPolicy",
    "Scene",
    "Severity",
    "audit",
]
