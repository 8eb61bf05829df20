"""Real parts of a hermetic build for tests: the warm store, the pinned root, steps run on it, and a sample project.

The store of the machine (MILLCERT_STORE, else the user's cache) is used as it is: what is pinned is fetched once, and
the compiler's run-time libraries are built at most once. Tests that break a store work on one of their own.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from millcert import debian, lock
from millcert.errors import FetchError, SandboxError
from millcert.hermetic.build import Builder, Built
from millcert.hermetic.derivation import Import, Node
from millcert.hermetic.toolchain import toolchain_of
from millcert.sandbox import Bubblewrap, Mount, Outcome, Step
from millcert.store import Store, default_root
from millcert.targets import Limits
from millcert.wheel.project import UNPACKERS, Project

__all__ = [
    "ROOT", "Lab", "Quiet", "Ran", "build_steps", "commit", "lab", "run_millcert", "run_python", "sample_project",
    "warm_store",
]  # fmt: skip

ROOT = Path(__file__).parents[2]
LIMITS = Limits(wall_seconds=60, memory_mib=1024, processes=100, output_mib=64, log_mib=1)
PYTHON = "/usr/bin/python3.11"


class Quiet:
    """An observer of builds that says nothing, and remembers what was run."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def waiting(self, node: str) -> None:
        pass

    def started(self, node: str) -> None:
        self.ran.append(node)

    def finished(self, built: Built) -> None:
        pass


@dataclass(frozen=True)
class Ran:
    """A script that was run in the sandbox: how it ended, and the output folder it left."""

    outcome: Outcome
    output: Path

    @property
    def found(self) -> Any:
        """What the script printed last, as JSON; the whole log where the script failed."""
        assert self.outcome.status == 0 and not self.outcome.exceeded, f"{self.outcome}"
        return json.loads(self.outcome.log.splitlines()[-1])


class Lab:
    """Runs Python scripts as steps on the pinned root."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self._folder = root, folder
        self.sandbox = Bubblewrap()
        self.mark = f"lab-{secrets.token_hex(8)}"  # on the command line of every step, to find its processes by
        self._count = 0

    def step(self, script: str, mounts: Sequence[Mount] = (), **limits: int) -> Step:
        """A step that runs a script; ``limits`` replace the lab's own."""
        self._count += 1
        place = self._folder / f"{os.getpid()}-{self._count}"
        output, source = place / "out", place / "script"
        output.mkdir(parents=True)
        source.mkdir()
        (source / "attack.py").write_text("import ctypes, json, os, sys, time\n" + textwrap.dedent(script))
        return Step(
            argv=(PYTHON, "/script/attack.py", self.mark),
            environment={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
            root=self.root,
            mounts=(Mount(source, "/script"), *mounts),
            output=output,
            directory="/",
            limits=Limits(**{**vars(LIMITS), **limits}),
        )

    def run(self, script: str, mounts: Sequence[Mount] = (), **limits: int) -> Ran:
        """Run a script to its end."""
        step = self.step(script, mounts, **limits)
        return Ran(self.sandbox.run(step), step.output)


@functools.cache
def _warm() -> tuple[Store, Import]:
    store = Store(default_root(os.environ))
    packages = debian.read_lock(ROOT / "lockfiles/debian/base.lock")
    debian.fetch(packages, store, _no_progress)
    locks = {name: lock.read_lock(ROOT / f"lockfiles/toolchain/{name}.txt") for name in ("any", "checks")}
    return store, toolchain_of(packages, locks, []).root


def _no_progress(filename: str, received: int, size: int) -> None:
    pass


@pytest.fixture(scope="session")
def warm_store() -> Store:
    """The machine's own store, with the packages of the build root in it."""
    try:
        return _warm()[0]
    except FetchError as error:
        pytest.skip(f"the build root's packages are not in the store and cannot be fetched: {error.message}")


@pytest.fixture(scope="session")
def lab(warm_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The pinned root, unpacked, and bubblewrap."""
    root = _warm()[1]
    try:
        built = Builder(warm_store, Bubblewrap, UNPACKERS, LIMITS, Quiet(), jobs=1).build([root])
        return Lab(warm_store.checkout(built[root.name].tree), tmp_path_factory.mktemp("lab"))
    except SandboxError as error:
        pytest.skip(error.message)


def sample_project(folder: Path, changes: Mapping[str, str] | None = None) -> Path:
    """The sample as a git checkout with the repository's locks; ``changes`` replace files by path."""
    shutil.copytree(ROOT / "tests/support/sample", folder)
    shutil.copytree(ROOT / "lockfiles", folder / "lockfiles")
    for path, text in (changes or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit all of a folder, at a fixed time by a fixed author."""
    identity = {"GIT_AUTHOR_NAME": "T", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_AUTHOR_DATE": "2026-11-20T12:00:00Z"}
    identity |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in identity.items()}
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "sources")):
        subprocess.run(["git", *command], cwd=folder, check=True, env={**os.environ, **identity})


def build_steps(
    project: Path, store: Store, *names: str, fresh: bool = False, observer: Quiet | None = None,
    architecture: str = "x86_64",
) -> dict[str, Built]:  # fmt: skip
    """Build some steps of a project's CPU wheel, and what they need."""
    opened = Project(project)
    chosen = opened.variants(["cpu"])
    plan, _ = opened.plan(store, opened.fetch(store, chosen, _no_progress), chosen, [architecture])
    needed: dict[str, Node] = {}
    todo = list(names)
    while todo:
        node = plan.nodes[todo.pop()]
        needed[node.name] = node
        todo += node.needs
    wanted = [node for name, node in plan.nodes.items() if name in needed]
    builder = Builder(store, Bubblewrap, UNPACKERS, opened.targets.limits, observer or Quiet(), jobs=2, fresh=fresh)
    return builder.build(wanted)


def run_python(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Another Python process, with this one's import path, that the caller watches or kills."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options,
    )  # fmt: skip


def run_millcert(*arguments: str, prefix: Sequence[str] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    """The ``millcert`` command, to its end; ``prefix`` is a program that runs it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **options.pop("env", {})}
    return subprocess.run(
        [*prefix, sys.executable, "-m", "millcert", *arguments],
        text=True, capture_output=True, env=environment, check=False, **options,
    )  # fmt: skip
