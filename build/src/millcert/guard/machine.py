"""The one place where an audit touches the machine: which files there are, their bytes, and the environment."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from millcert.errors import UsageError
from millcert.guard.facts import Facts, Kind
from millcert.guard.options import read_environment
from millcert.guard.reading import LARGEST, read_input, recognized
from millcert.guard.scene import included

__all__ = ["LocalMachine", "Machine", "gather"]

_MOST = 10_000  # files of one audit
_SKIPPED = ("node_modules", "site-packages", "__pycache__", "dist")
_WORTHY = (".github", ".gitlab", ".circleci", ".ci", ".forgejo", ".gitea", ".devcontainer")


class Machine(Protocol):
    """Files by name, and the environment."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment."""

    def files(self, path: str) -> Iterator[str]:
        """A file itself, or the files below a folder that an audit reads; UsageError where there is neither."""

    def read(self, file: str) -> bytes | None:
        """A file's bytes, at most one more than LARGEST; None where there is none. OSError where it is unreadable."""

    def configuration_files(self) -> Sequence[str]:
        """Where pip and uv on this machine look for their configuration."""


@dataclass(frozen=True)
class LocalMachine:
    """This machine."""

    environ: Mapping[str, str]

    def files(self, path: str) -> Iterator[str]:
        """Links are not followed out of the folder, nor into other folders."""
        start = Path(path)
        if not start.exists():
            raise UsageError("there is no such file or folder", found=path)
        if not start.is_dir():
            yield str(start)
            return
        root = start.resolve()
        for folder, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if _entered(Path(folder, name)))
            for name in sorted(names):
                file = Path(folder, name)
                if recognized(str(file.relative_to(start))) and _inside(file, root):
                    yield str(file)

    def read(self, file: str) -> bytes | None:
        """Only regular files are read: a pipe or device would never end."""
        try:
            with open(file, "rb", opener=_without_waiting) as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise OSError("not a regular file")
                return stream.read(LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def configuration_files(self) -> Sequence[str]:
        """pip's places (its documentation, "Configuration files") and uv's, least important first."""
        environ = self.environ
        home = environ.get("HOME", "")
        user = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
        system = [folder for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if folder]
        pip = [f"{folder}/pip/pip.conf" for folder in system]
        pip += ["/etc/pip.conf", f"{home}/.pip/pip.conf", f"{user}/pip/pip.conf"]
        pip += [f"{prefix}/pip.conf" for prefix in {environ.get("VIRTUAL_ENV") or sys.prefix}]
        chosen = environ.get("PIP_CONFIG_FILE")
        if chosen == os.devnull:
            pip = []
        elif chosen:
            pip.append(chosen)
        uv = [*(f"{folder}/uv/uv.toml" for folder in system), "/etc/uv/uv.toml", f"{user}/uv/uv.toml"]
        if environ.get("UV_CONFIG_FILE"):
            uv = [environ["UV_CONFIG_FILE"]]
        return [*pip, *(uv if not environ.get("UV_NO_CONFIG") else [])]


def gather(machine: Machine, paths: Sequence[str], *, whole_machine: bool) -> tuple[list[Facts], list[str]]:
    """Everything that an audit looks at, and the names of what was read.

    ``whole_machine``: also the configuration and environment of pip and uv.
    """
    facts: list[Facts] = []
    read: dict[str, None] = {}
    queue = [(os.path.normpath(file), True) for path in paths for file in machine.files(path)]
    if whole_machine:
        queue += [(file, False) for file in machine.configuration_files()]
    for file, expected in queue:
        if file in read:
            continue
        if len(read) >= _MOST:
            facts.append(_problem(file, f"more than {_MOST} files: this and all others were left out"))
            break
        found = _read(machine, file, expected)
        if found is not None:
            read[file] = None
            facts += found
            queue += _followed(found)
    if whole_machine:
        facts += read_environment(machine.environ)
        read["environment"] = None
    return facts, list(read)


def _followed(found: list[Facts]) -> Iterator[tuple[str, bool]]:
    for facts in found:
        for path in facts.includes:
            if "://" in path:
                facts.add_problem(f"an included file that is not here: {path.rpartition('@')[2][:80]!r}")
            else:
                yield included(facts.file, path), True


def _read(machine: Machine, file: str, expected: bool) -> list[Facts] | None:
    try:
        data = machine.read(file)
    except (OSError, ValueError) as error:
        return [_problem(file, getattr(error, "strerror", None) or str(error))]
    if data is None:
        return [_problem(file, "there is no such file")] if expected else None
    return read_input(file, data)


def _problem(file: str, message: str) -> Facts:
    facts = Facts(file, "", Kind.CONFIGURATION)
    facts.add_problem(message, whole=True)
    return facts


def _entered(folder: Path) -> bool:
    if folder.is_symlink() or folder.name in _SKIPPED:
        return False
    return (not folder.name.startswith(".") or folder.name in _WORTHY) and not (folder / "pyvenv.cfg").exists()


def _inside(file: Path, root: Path) -> bool:
    return not file.is_symlink() or file.resolve().is_relative_to(root)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
