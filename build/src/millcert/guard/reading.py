"""From a file's name and bytes to what it states. Hostile bytes give problems to report, never an exception."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from millcert.guard import commands, configuration, lockfiles
from millcert.guard.facts import Facts, Kind
from millcert.guard.requirements import read_requirements

__all__ = ["LARGEST", "read_input", "recognized"]

LARGEST = 8 << 20  # bytes of one input
# deep dotted keys cost the TOML parser quadratic time; nobody writes sixty-four parts
_DEEP_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){64}""")
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}

_REQUIREMENTS = re.compile(r"(?:.*[._-])?(?:requirements?|constraints?)(?:[._-].*)?\.(?:txt|in)", re.IGNORECASE)
_FOLDERS = ("requirements", "constraints", "lockfiles")
_OTHER_FOLDERS = ("debian",)  # locks of another kind of package
_TOML_LOCKS = {
    "uv.lock": lockfiles.read_uv_lock,
    "poetry.lock": lockfiles.read_poetry_lock,
    "pdm.lock": lockfiles.read_pdm_lock,
}


def recognized(file: str) -> bool:
    """Whether a path is one that an audit reads when it walks a folder."""
    path = PurePath(file)
    name = path.name
    if name in ("pip.conf", "pip.ini", "uv.toml", "pyproject.toml") or name in _TOML_LOCKS or _is_pylock(name):
        return True
    if path.suffix in (".txt", ".in"):
        return bool(_REQUIREMENTS.fullmatch(name)) or _among_requirements(path)
    return commands.recognized(path)


def _among_requirements(path: PurePath) -> bool:
    folders = path.parts[:-1]
    return any(folder in _FOLDERS for folder in folders) and not any(folder in _OTHER_FOLDERS for folder in folders)


def read_input(file: str, data: bytes) -> list[Facts]:
    """What one file states, one Facts a tool; ``file`` decides the format and is named in reports."""
    unreadable = Facts(file, "", Kind.CONFIGURATION)
    if len(data) > LARGEST:
        unreadable.add_problem(f"larger than {LARGEST >> 20} MiB", whole=True)
        return [unreadable]
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        unreadable.add_problem(f"not {encoding} text (byte {error.start})", whole=True)
        return [unreadable]
    path = PurePath(file)
    if path.name in ("pip.conf", "pip.ini"):
        return [configuration.read_pip_configuration(text, file)]
    if path.suffix == ".toml" or path.name in _TOML_LOCKS:
        return _read_toml(text, file, path.name, unreadable)
    if commands.recognized(path):
        return commands.read_commands(text, file)
    kind = Kind.SPECIFICATION if path.suffix == ".in" else Kind.REQUIREMENTS
    return [read_requirements(text, file, kind)]


def _read_toml(text: str, file: str, name: str, unreadable: Facts) -> list[Facts]:
    if _DEEP_KEY.search(text):
        unreadable.add_problem("not TOML that is worth reading: a key of more than 64 parts", whole=True)
        return [unreadable]
    try:
        document: Mapping[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        line = re.search(r"at line (\d+)", str(error))
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:160]
        unreadable.add_problem(f"not TOML: {reason}", int(line[1]) if line else 0, whole=True)
        return [unreadable]
    if name == "pyproject.toml":
        return configuration.read_pyproject(document, text, file)
    if reader := _TOML_LOCKS.get(name):
        return [reader(document, text, file)]
    if _is_pylock(name):
        return [lockfiles.read_pylock(document, text, file)]
    return [configuration.read_uv_configuration(document, text, file)]


def _is_pylock(name: str) -> bool:
    return re.fullmatch(r"pylock(?:\.[^.]+)?\.toml", name) is not None
