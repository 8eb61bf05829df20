"""Requirements and constraints files of pip, which uv reads too."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from millcert.guard.address import parse_address
from millcert.guard.facts import Entry, Facts, Kind, entry_name
from millcert.guard.options import note_option

__all__ = ["exact_version", "note_requirement", "read_requirements"]

_LONGEST = 1 << 14
_SHORT = {"-i": "index-url", "-f": "find-links", "-r": "requirement", "-c": "constraint", "-e": "editable"}
_FLAGS = ("no-index", "require-hashes")
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_OPTION = re.compile(r"\s--?[a-z]")
_HASH = re.compile(r"--hash[= ]\s*([A-Za-z0-9]{1,20})[:=]")
_INDEX_NOTE = re.compile(r"\s+# index: ([a-z0-9][a-z0-9-]*)\s*")
_DIRECT = re.compile(r"(?:[a-z+]{2,10}:|\.{0,2}/|[A-Za-z]:\\).*", re.DOTALL)


def read_requirements(text: str, file: str, kind: Kind) -> Facts:
    """What a requirements file states, each with the line that it begins on."""
    facts = Facts(file, "pip", kind)
    for number, line in _logical_lines(text, facts):
        if line.startswith("-"):
            _note_options(facts, line, number)
        else:
            _note_line(facts, line, number)
    return facts


def _logical_lines(text: str, facts: Facts) -> Iterator[tuple[int, str]]:
    """Lines without comments, continued ones joined; index notes of millcert's locks go to the entry above them."""
    parts: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST:
            facts.add_problem("a line that is far too long", number)
            continue
        if not parts and (note := _INDEX_NOTE.fullmatch(line)) and facts.entries:
            facts.entries[-1] = replace(facts.entries[-1], index=note[1])
            continue
        start = start if parts else number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            parts.append(line[:-1])
            if len(parts) < 10_000:
                continue
        else:
            parts.append(line)
        joined = _COMMENT.sub("", "".join(parts)).strip()
        parts = []
        if joined:
            yield start, joined
    if parts and (joined := "".join(parts).strip()):
        yield start, joined


def _note_options(facts: Facts, line: str, number: int) -> None:
    try:
        words = shlex.split(line)
    except ValueError:
        facts.add_problem("options with an open quotation mark", number)
        return
    while words:
        word = words.pop(0)
        key, equals, value = word.partition("=")
        if key[:2] in _SHORT and not key.startswith("--"):
            key, value = _SHORT[key[:2]], word[2:].removeprefix("=")
        key = key.lstrip("-")
        if key in _FLAGS:
            note_option(facts, key, ["1"], facts.place(number, key))
            continue
        if not value and not equals and words and not words[0].startswith("-"):
            value = words.pop(0)
        if key in ("requirement", "constraint"):
            facts.includes.append(value)
        elif key == "editable":
            _note_direct(facts, value, number)
        else:
            note_option(facts, key, [value], facts.place(number, key))


def _note_line(facts: Facts, line: str, number: int) -> None:
    options = _OPTION.search(line)
    head, tail = (line[: options.start()], line[options.start() :]) if options else (line, "")
    hashes = tuple(algorithm.lower() for algorithm in _HASH.findall(tail))
    head = head.strip()
    if _DIRECT.fullmatch(head):
        _note_direct(facts, head, number, hashes)
    elif not note_requirement(facts, head, number, hashes):
        facts.add_problem(f"not a requirement: {head[:80]!r}", number)


def note_requirement(facts: Facts, text: str, number: int, hashes: tuple[str, ...] = (), key: str = "") -> bool:
    """Record a PEP 508 requirement; False where the text is none."""
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError):
        return False
    name = entry_name(requirement.name)
    if name is None:
        return False
    direct = parse_address(requirement.url) if requirement.url else None
    if requirement.url and (algorithm := _fragment_hash(requirement.url)):
        hashes = (*hashes, algorithm)
    version = exact_version(str(requirement.specifier))
    facts.entries.append(Entry(name, facts.place(number, key), version, direct=direct, hashes=hashes))
    return True


def exact_version(specifier: str) -> str:
    """The one version that a specifier allows, or nothing."""
    match = re.fullmatch(r"={2,3}\s*([^,;*\s]+)", specifier.strip())
    return match[1] if match else ""


def _note_direct(facts: Facts, text: str, number: int, hashes: tuple[str, ...] = ()) -> None:
    address = parse_address(text.partition("#")[0])
    if egg := re.search(r"[#&]egg=([A-Za-z0-9._-]+)", text):
        found: str | None = egg[1]
    else:
        found = _wheel_name(address.shown.rpartition("/")[2])
    name = entry_name(found)
    if name is None:
        return  # a path whose name only its own metadata tells
    if algorithm := _fragment_hash(text):
        hashes = (*hashes, algorithm)
    local = address.scheme in ("path", "file")
    facts.entries.append(Entry(name, facts.place(number), direct=address, local=local, hashes=hashes))


def _wheel_name(filename: str) -> str | None:
    try:
        return str(parse_wheel_filename(filename)[0])
    except InvalidWheelFilename:
        return None


def _fragment_hash(address: str) -> str:
    match = re.search(r"#(?:.*&)?(sha256|sha384|sha512|md5|sha1)=", address)
    return match[1] if match else ""
