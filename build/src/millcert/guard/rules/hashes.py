"""Hashes: without one, whatever an index sends under the right name is installed."""

from __future__ import annotations

from collections.abc import Iterator

from millcert.guard.facts import Entry, Kind
from millcert.guard.finding import Finding, Severity
from millcert.guard.options import is_on
from millcert.guard.rules.rule import Rule
from millcert.guard.scene import Scene, View

__all__ = ["RULES"]

_WEAK = {"md5", "sha1"}


def _needs_hash(entry: Entry) -> bool:
    return not entry.local and not (entry.direct and entry.direct.shown.endswith(".git"))


def _absent(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for view in scene.views:
        if view.facts.kind is Kind.LOCK:
            for entry in view.facts.entries:
                if _needs_hash(entry) and (not entry.hashes or entry.unhashed_files):
                    yield rule.finding(
                        f"{entry.name} is locked without a hash for every file", entry.place,
                        severity=Severity.ERROR, name=entry.name, version=entry.version,
                    )  # fmt: skip
        elif view.facts.kind is Kind.REQUIREMENTS:
            yield from _requirements(rule, scene, view)


def _requirements(rule: Rule, scene: Scene, view: View) -> Iterator[Finding]:
    bare = [entry for entry in view.facts.entries if _needs_hash(entry) and not entry.hashes]
    for entry in bare:
        if scene.owned(entry):
            yield rule.finding(
                f"{entry.name} is owned and has no hash", entry.place, name=entry.name, version=entry.version
            )
    others = [entry for entry in bare if not scene.owned(entry)]
    if not others:
        return
    mixed = any(entry.hashes for entry in view.facts.entries)
    first = others[0]
    yield rule.finding(
        f"{len(others)} of {len(view.facts.entries)} requirements have no hash, the first is {first.name}", first.place,
        severity=Severity.WARNING if mixed or view.merging else Severity.NOTE, name=first.name,
    )  # fmt: skip


def _weak(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for _, entry in scene.entries(Kind.REQUIREMENTS, Kind.LOCK):
        if entry.hashes and _WEAK.issuperset(entry.hashes):
            yield rule.finding(
                f"{entry.name} is held by {', '.join(sorted(set(entry.hashes)))} alone", entry.place, name=entry.name,
                expected="sha256 or stronger", found=", ".join(sorted(set(entry.hashes))),
            )  # fmt: skip


def _off(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for facts in scene.facts:
        for setting in facts.settings:
            switched_on = is_on(setting)
            if (setting.key in ("no-verify-hashes", "no-require-hashes") and switched_on) or (
                setting.key in ("verify-hashes", "require-hashes") and not switched_on
            ):
                found = f"{setting.key}={setting.value}"
                yield rule.finding(f"hash checks of {facts.tool} are switched off", setting.place, found=found)


RULES = (
    Rule(
        "MG301", "hash-absent", Severity.WARNING,
        "A file is taken by name alone: another file of the same name and version replaces it.",
        "lock with hashes (`millcert lock`, `pip-compile --generate-hashes`, `uv lock`) and install with "
        "--require-hashes", _absent,
    ),
    Rule(
        "MG302", "weak-hash", Severity.ERROR, "MD5 and SHA-1 no longer hold a file: two files can share one.",
        "lock again with sha256", _weak,
    ),
    Rule(
        "MG303", "hashes-off", Severity.WARNING, "Locked hashes are not looked at.", "remove the setting", _off,
    ),
)  # fmt: skip
