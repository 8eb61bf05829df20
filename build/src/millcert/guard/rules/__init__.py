"""The rules of an audit: one table, each rule a few lines of data and a function from a scene to findings."""

from __future__ import annotations

from millcert.guard.rules import hashes, indexes, inputs, names, online, transport
from millcert.guard.rules.rule import Rule

__all__ = ["RULES", "Rule"]

RULES: tuple[Rule, ...] = (
    *inputs.RULES,
    *indexes.RULES,
    *names.RULES,
    *online.RULES,
    *hashes.RULES,
    *transport.RULES,
)
