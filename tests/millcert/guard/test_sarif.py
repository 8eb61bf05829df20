"""SARIF: the properties that the 2.1.0 specification requires, for reports with every kind of place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.confusion import AUDIT_DAY, ROOT

from millcert.guard import Scene, audit
from millcert.guard.options import read_environment
from millcert.guard.reading import read_input
from millcert.guard.rules import RULES
from millcert.guard.sarif import render_sarif
from millcert.lock.namespaces import read_namespaces

FILES = {
    "requirements.txt": b"--extra-index-url https://b.example/\nw00tz\n",
    "/etc/pip.conf": b"[global]\ntrusted-host = a.example\n",
    "odd name%/uv.lock": b"\xff",
}


@pytest.fixture(scope="module")
def log() -> dict[str, Any]:
    facts = [item for name, data in FILES.items() for item in read_input(name, data)]
    facts += read_environment({"PIP_FIND_LINKS": "https://b.example/"})
    scene = Scene(facts, read_namespaces(ROOT / "lockfiles" / "namespaces.toml"), AUDIT_DAY)
    document: dict[str, Any] = json.loads(json.dumps(render_sarif(audit(scene, FILES))))
    return document


def test_the_log_and_its_driver(log: dict[str, Any]) -> None:
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert [rule["id"] for rule in driver["rules"]] == [rule.id for rule in RULES]
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"].endswith(".")
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("note", "warning", "error")
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    assert run["invocations"][0]["executionSuccessful"] is True


def test_results_point_at_their_rules_and_places(log: dict[str, Any]) -> None:
    (run,) = log["runs"]
    fingerprints = set()
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("note", "warning", "error")
        assert result["message"]["text"]
        assert len(result["locations"]) == 1
        fingerprints |= set(result["partialFingerprints"].values())
    assert len(fingerprints) == len(run["results"])


def test_places(log: dict[str, Any]) -> None:
    places: dict[tuple[str, str], Any] = {}
    for result in log["runs"][0]["results"]:
        location = result["locations"][0]
        if "physicalLocation" in location:
            physical = location["physicalLocation"]
            places[physical["artifactLocation"]["uri"], result["ruleId"]] = physical.get("region")
        else:
            assert location["logicalLocations"][0]["fullyQualifiedName"] == "PIP_FIND_LINKS"
    assert places["requirements.txt", "MG101"] == {"startLine": 1}
    assert places["requirements.txt", "MG203"] == {"startLine": 2}
    assert places["file:///etc/pip.conf", "MG402"] == {"startLine": 2}
    assert places["odd%20name%25/uv.lock", "MG001"] is None
