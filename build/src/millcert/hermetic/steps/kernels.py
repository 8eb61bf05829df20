"""Runs in the sandbox: lists the kernels of every unit, and holds what they take of a thread against the limits.

Usage: kernels.py FOLDER LIMITS OUTPUT, where FOLDER holds UNIT/sm_<n>/sm_<n>.cubin and sm_<n>.json, the compiler's
report, for each unit and GPU architecture. LIMITS is TOML: the table ``every``, and tables ``unit.NAME`` that differ.
"""

import hashlib
import json
import pathlib
import sys
import tomllib
from typing import Any

Taken = dict[str, int]  # registers, bytes of stack, bytes of registers spilled
Report = dict[str, Taken]  # by the kernel's name


def main() -> None:
    folder, limits, output = map(pathlib.Path, sys.argv[1:])
    units = {unit.name: read(unit) for unit in sorted(folder.iterdir())}
    check_unique(units)
    check_limits(units, tomllib.loads(limits.read_text(encoding="utf-8")))
    listed = {unit: describe(folder / unit, reports) for unit, reports in units.items()}
    output.write_text(json.dumps(listed, indent=1, sort_keys=True) + "\n")


def read(unit: pathlib.Path) -> dict[str, Report]:
    """A unit's reports by architecture; all of them have to be on the same kernels."""
    reports: dict[str, Report] = {}
    for path in sorted(unit.glob("*/*.json"), key=lambda path: int(path.stem.partition("_")[2])):
        reports[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        first = next(iter(reports))
        if odd := sorted(reports[first].keys() ^ reports[path.stem].keys()):
            sys.exit(f"{unit.name}: {first} and {path.stem} differ in their kernels: {', '.join(odd)}")
    return reports


def check_unique(units: dict[str, dict[str, Report]]) -> None:
    holders: dict[str, str] = {}
    for unit, reports in units.items():
        for name in next(iter(reports.values())):
            if name in holders:
                sys.exit(f"{name}: a kernel of this name is in {holders[name]} and in {unit}")
            holders[name] = unit


def check_limits(units: dict[str, dict[str, Report]], limits: dict[str, Any]) -> None:
    if unknown := sorted(set(limits.get("unit", {})) - set(units)):
        sys.exit(f"the limits name the unit {unknown[0]}, which does not exist")
    lines = []
    for unit, reports in units.items():
        allowed = limits["every"] | limits.get("unit", {}).get(unit, {})
        for architecture, report in reports.items():
            for name, taken in report.items():
                for what, found in taken.items():
                    if found > allowed[what]:
                        lines.append(f"{unit:12} {architecture:8} {name:40} {what:10} {found:5} {allowed[what]:6}")
    if lines:
        print(f"{'unit':12} {'GPU':8} {'kernel':40} {'takes':10} {'found':>5} {'limit':>6}", *lines, sep="\n")
        sys.exit(f"{len(lines)} limits are exceeded: make the kernels smaller, or raise the limits and say why")


def describe(folder: pathlib.Path, reports: dict[str, Report]) -> dict[str, Any]:
    """The unit's kernels, and by architecture the most that one of them takes and the hash of the cubin."""
    architectures: dict[str, dict[str, int | str]] = {}
    for architecture, report in reports.items():
        most: dict[str, int | str] = {
            what: max(taken[what] for taken in report.values()) for what in ("registers", "stack", "spill")
        }
        cubin = folder / architecture / f"{architecture}.cubin"
        architectures[architecture] = most | {"sha256": hashlib.sha256(cubin.read_bytes()).hexdigest()}
    return {"kernels": sorted(next(iter(reports.values()))), "gpu": architectures}


main()
