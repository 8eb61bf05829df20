"""A GitHub workflow run on this machine: its `run` steps in a shell, its few actions played by copying folders.

Reads the part of YAML that our generated workflows are written in, and refuses the rest.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["parse", "run_job"]

_ENTRY = re.compile(r"(?P<key>[\w-]+):(?: (?P<value>.*))?")
_EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


def parse(text: str) -> dict[str, Any]:
    """A workflow as plain data: mappings, lists of them, flow lists, block scalars and plain words."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found, rest = _mapping(lines, 0)
    assert not rest, f"not understood: {rest[0]}"
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _mapping(lines: list[str], indent: int) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    while lines and _indent(lines[0]) == indent and not lines[0].lstrip().startswith("- "):
        entry = _ENTRY.fullmatch(lines[0].strip())
        assert entry, f"not understood: {lines[0]}"
        key, value, lines = entry["key"], entry["value"], lines[1:]
        assert key not in found, f"twice: {key}"
        if value == "|":
            inner = _indent(lines[0])
            assert inner > indent
            block = [line for line in lines if _indent(line) >= inner]
            block = lines[: next((i for i, line in enumerate(lines) if _indent(line) < inner), len(lines))]
            found[key], lines = "\n".join(line[inner:] for line in block) + "\n", lines[len(block) :]
        elif value is None and lines and _indent(lines[0]) > indent:
            found[key], lines = _block(lines, _indent(lines[0]))
        else:
            found[key] = _scalar(value or "")
    return found, lines


def _block(lines: list[str], indent: int) -> tuple[Any, list[str]]:
    if not lines[0].lstrip().startswith("- "):
        return _mapping(lines, indent)
    items = []
    while lines and _indent(lines[0]) == indent and lines[0].lstrip().startswith("- "):
        item, lines = _mapping([" " * (indent + 2) + lines[0][indent + 2 :], *lines[1:]], indent + 2)
        items.append(item)
    return items, lines


def _scalar(text: str) -> Any:
    text = re.sub(r"\s+#.*", "", text)
    if text.startswith("[") and text.endswith("]"):
        return [word.strip().strip('"') for word in text[1:-1].split(",")]
    return text


def run_job(
    job: Mapping[str, Any], matrix: Mapping[str, str], checkout: Callable[[Path], object], workspace: Path,
    artifacts: Path, environment: Mapping[str, str],
) -> None:  # fmt: skip
    """Run one job's steps in order, as its runner would; AssertionError with the step's output where one fails."""

    def resolve(text: str) -> str:
        def value(match: re.Match[str]) -> str:
            context, _, name = match[1].partition(".")
            assert context == "matrix" and name in matrix, f"an expression without a value: {match[0]}"
            return matrix[name]

        return _EXPRESSION.sub(value, text)

    workspace.mkdir(parents=True)
    for step in job["steps"]:
        inputs = {key: resolve(value) for key, value in step.get("with", {}).items()}
        action = step.get("uses", "").partition("@")[0]
        if action == "actions/checkout":
            checkout(workspace)
        elif action == "actions/upload-artifact":
            assert any((workspace / inputs["path"]).iterdir()), f"no files: {inputs}"
            shutil.copytree(workspace / inputs["path"], artifacts / inputs["name"])
        elif action == "actions/download-artifact":
            for folder in sorted(artifacts.iterdir()):
                if fnmatch.fnmatch(folder.name, inputs["pattern"]):
                    shutil.copytree(folder, workspace / inputs["path"], dirs_exist_ok=True)
        else:
            assert not action, f"an action that nobody plays: {action}"
            command = ["bash", "-e", "-o", "pipefail", "-c", resolve(step["run"])]
            done = subprocess.run(
                command, cwd=workspace, env=environment, capture_output=True, text=True, check=False, errors="replace"
            )
            assert done.returncode == 0, f"{step.get('name')}: {done.returncode}\n{done.stdout}{done.stderr}"
