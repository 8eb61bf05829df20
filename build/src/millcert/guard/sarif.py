"""A report as SARIF 2.1.0, which code hosts show beside the lines (OASIS, sarif-v2.1.0)."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from millcert import __version__
from millcert.guard.audit import Report
from millcert.guard.finding import Finding
from millcert.guard.options import ENVIRONMENT
from millcert.guard.rules import RULES, Rule

__all__ = ["render_sarif"]

_NUMBER = {rule.id: number for number, rule in enumerate(RULES)}


def render_sarif(report: Report) -> dict[str, Any]:
    """The log as a JSON value: one run, every rule described, one result a finding."""
    driver = {
        "name": "millcert guard", "semanticVersion": __version__, "rules": [_rule(rule) for rule in RULES],
    }  # fmt: skip
    return {
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": driver},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": True}],
            "results": [_result(finding) for finding in report.findings],
        }],
    }  # fmt: skip


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "help": {"text": rule.fix},
        "defaultConfiguration": {"level": rule.severity.label},
        "properties": {"tags": ["security", "supply-chain"]},
    }


def _result(finding: Finding) -> dict[str, Any]:
    evidence = "; ".join(f"{key}: {value}" for key, value in finding.evidence.items())
    text = ". ".join(filter(None, [finding.message, evidence, f"Fix: {finding.fix}"])) + "."
    identity = "\0".join((finding.rule, finding.place.file, finding.place.key, finding.evidence.get("name", "")))
    return {
        "ruleId": finding.rule,
        "ruleIndex": _NUMBER[finding.rule],
        "level": finding.severity.label,
        "message": {"text": text},
        "locations": [_location(finding)],
        "partialFingerprints": {"finding/v1": hashlib.sha256(identity.encode()).hexdigest()},
        "properties": dict(finding.evidence),
    }


def _location(finding: Finding) -> dict[str, Any]:
    place = finding.place
    logical = [{"fullyQualifiedName": place.key or place.file, "kind": "member"}]
    if place.file == ENVIRONMENT:
        return {"logicalLocations": [{"fullyQualifiedName": place.key, "kind": "variable"}]}
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(place.file)}}
    if place.line:
        physical["region"] = {"startLine": place.line}
    return {"physicalLocation": physical, "logicalLocations": logical}


def _uri(file: str) -> str:
    return f"file://{quote(file)}" if file.startswith("/") else quote(file)
