"""Installer commands, and variables for them, in Dockerfiles, shell scripts and CI workflows."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath

from millcert.guard.facts import Facts, Kind
from millcert.guard.options import note_option

__all__ = ["read_commands", "recognized"]

_LONGEST = 1 << 14
_SUFFIXES = (".sh", ".bash", ".yml", ".yaml", ".dockerfile")
_INSTALLER = re.compile(r"(?<![\w/-])(?P<uv>uv\s+(?:pip|add|sync|lock|run|tool)|uvx)\b|(?<![\w-])pip[0-9.]*\s+\w+")
_OPTION = re.compile(
    r"(?<!\S)--(?P<key>index-url|default-index|extra-index-url|index|find-links|trusted-host|allow-insecure-host"
    r"|index-strategy|no-index|no-verify-hashes)(?:[= ](?P<value>[^\s;&|]+))?"
)
_SHORT = re.compile(r"(?<!\S)-(?P<key>[if])\s*(?P<value>[^\s;&|-][^\s;&|]*)")
_VARIABLE = re.compile(r"(?<!\w)(?P<name>(?:PIP|UV)_[A-Z_]{3,40})[=:][ \t]*(?P<value>\"[^\"]*\"|'[^']*'|[^\s;&|\"']+)")


def recognized(path: PurePath) -> bool:
    """Whether a file is one that commands are looked for in."""
    name = path.name.lower()
    return name.startswith(("dockerfile", "containerfile")) or name.endswith(_SUFFIXES)


def read_commands(text: str, file: str) -> list[Facts]:
    """One Facts for each command with such an option: two commands do not share their indexes."""
    found: list[Facts] = []
    start, parts = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST or line.lstrip().startswith("#"):
            continue
        start = start if parts else number
        if line.rstrip().endswith("\\") and len(parts) < _LONGEST:
            parts += line.rstrip()[:-1] + " "
            continue
        found += _read_variables(parts + line, file, start)
        for command in re.split(r"&&|\|\||;", parts + line):
            found += _read_command(command, file, start)
        parts = ""
    return found


def _read_variables(line: str, file: str, number: int) -> list[Facts]:
    found = []
    for match in _VARIABLE.finditer(line):
        tool, _, key = match["name"].lower().partition("_")
        facts = Facts(file, tool, Kind.REQUIREMENTS)
        values = match["value"].strip("\"'").split()
        note_option(facts, key.replace("_", "-"), values, facts.place(number, match["name"]))
        found += [facts] if facts.indexes or facts.settings else []
    return found


def _read_command(command: str, file: str, line: int) -> list[Facts]:
    match = _INSTALLER.search(command)
    if match is None:
        return []
    facts = Facts(file, "uv" if match["uv"] else "pip", Kind.REQUIREMENTS)
    rest = command[match.end() :]
    for option in _OPTION.finditer(rest):
        key = option["key"]
        value = "1" if key in ("no-index", "no-verify-hashes") else _unquoted(option["value"] or "")
        note_option(facts, key, [value], facts.place(line, f"--{key}"))
    for option in _SHORT.finditer(rest):
        key = {"i": "index-url", "f": "find-links"}[option["key"]]
        note_option(facts, key, [_unquoted(option["value"])], facts.place(line, f"-{option['key']}"))
    return [facts] if facts.indexes or facts.settings else []


def _unquoted(text: str) -> str:
    try:
        return "".join(shlex.split(text))
    except ValueError:
        return text.strip("\"'")
