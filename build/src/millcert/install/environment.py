"""The Python environment to install into: what fits it, and its own pip at work on verified local files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, parse_tag
from packaging.utils import parse_wheel_filename

from millcert.errors import UsageError
from millcert.install.errors import EnvironmentRefusedError

__all__ = ["Environment", "read_environment"]

_PROBE = """
import json, sys
from pip._vendor.packaging import markers, tags
print(json.dumps({"tags": [str(tag) for tag in tags.sys_tags()], "markers": markers.default_environment()}))
"""
_WHERE = """
import importlib.metadata as m, json, sys
d = m.distribution(sys.argv[1])
print(json.dumps({"version": d.version, "folder": str(d.locate_file(""))}))
"""


@dataclass(frozen=True)
class Environment:
    """An interpreter, its wheel tags from best to worst, and the values of its environment markers."""

    python: Path
    tags: tuple[Tag, ...]
    markers: Mapping[str, str]

    def rank(self, filename: str) -> int | None:
        """How well a wheel fits, 0 best; None where it does not."""
        _, _, _, tags = parse_wheel_filename(filename)
        return min((place for place, tag in enumerate(self.tags) if tag in tags), default=None)

    def satisfies(self, requires_python: str) -> bool:
        """Whether the interpreter's version is one of these."""
        return SpecifierSet(requires_python).contains(self.markers["python_full_version"], prereleases=True)

    def install(self, folder: Path, pins: Sequence[tuple[str, str, str]], target: Path | None = None) -> None:
        """Have pip install (name, version, sha256) from a folder, and from nowhere else."""
        requirements = folder / "requirements.txt"
        requirements.write_text("".join(f"{name}=={version} --hash=sha256:{sha}\n" for name, version, sha in pins))
        command = [
            str(self.python), "-I", "-m", "pip", "--isolated", "--no-input", "--disable-pip-version-check", "install",
            "--quiet", "--no-deps", "--no-index", "--only-binary", ":all:", "--no-cache-dir", "--require-hashes",
            "--force-reinstall",  # what is there under the same version may have been altered
            "--find-links", str(folder), "--requirement", str(requirements),
            *(["--target", str(target)] if target else []),
        ]  # fmt: skip
        result = subprocess.run(command, env=_clean(), capture_output=True, text=True, check=False)
        if result.returncode:
            raise EnvironmentRefusedError(
                "pip did not install the verified files", python=self.python, reason=result.stderr.strip()[-800:],
                fix="see what pip says; to install into an environment that belongs to the system, make a venv",
            )  # fmt: skip

    def installed(self, name: str) -> tuple[str, Path]:
        """Version and site-packages of an installed distribution."""
        found = _ask(self.python, _WHERE, name)
        return str(found["version"]), Path(found["folder"])


def read_environment(python: Path) -> Environment:
    """Ask an interpreter what fits it; EnvironmentRefusedError where it does not answer."""
    if not python.is_file():
        raise UsageError("there is no such Python", file=python, fix="name an environment's bin/python with --python")
    found = _ask(python, _PROBE)
    tags = tuple(tag for text in found["tags"] for tag in parse_tag(text))
    return Environment(python.absolute(), tags, found["markers"])


def _ask(python: Path, script: str, *arguments: str) -> dict[str, Any]:
    command = [str(python), "-I", "-c", script, *arguments]
    result = subprocess.run(command, env=_clean(), capture_output=True, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(result.stdout)
    except ValueError as error:
        raise EnvironmentRefusedError(
            "the Python environment does not answer", python=python, reason=result.stderr.strip()[-400:],
            fix="it needs its own pip, and what was asked for must be installed in it",
        ) from error  # fmt: skip
    return answer


def _clean() -> dict[str, str]:
    """No setting of pip or Python reaches the child."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "UV_"))}
    return kept | {"PIP_CONFIG_FILE": os.devnull}
