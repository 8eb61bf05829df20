"""Dependency confusion, performed: a stranger registers names on a public index; rows for ``tests.support.contest``."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

from tests.support.contest import (
    Attack,
    Outcome,
    installer_environment,
    pip_install,
    run_installer,
    uv_install,
)
from tests.support.faults import status
from tests.support.index import LoopbackIndex, loopback_index
from tests.support.locks import LockProject
from tests.support.nightly import make_wheel

from millcert.errors import ConfusionError, MillcertError
from millcert.guard import Scene, Severity, audit
from millcert.guard.machine import LocalMachine, gather
from millcert.index import IndexClient, Transport, read_configuration
from millcert.lock import read_lock, select
from millcert.lock.namespaces import read_namespaces
from millcert.store import Store

__all__ = ["AUDIT_DAY", "CONFUSION", "ROOT", "Stage", "stage"]

NAMESPACES = """
upstream = "pypi"
[owned.ours]
names = ["torch", "torchtriton"]
prefixes = ["torch-"]
"""
_LOCK = "tools/any"
ROOT = Path(__file__).parents[2]
AUDIT_DAY = date(2026, 11, 23)


@dataclass
class Stage:
    """Our index, a public one on which a stranger registers names, and somebody who installs ``wanted``."""

    folder: Path
    ours: LoopbackIndex
    public: LoopbackIndex
    wanted: list[str] = field(default_factory=lambda: ["torch"])
    ours_url: str = ""
    uv_options: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    poison: Callable[[Stage], None] | None = None
    merged: bool = True

    def __post_init__(self) -> None:
        self.ours_url = self.ours.url
        self.project = LockProject(self.folder / "project", self.public.url)
        (self.project.folder / "namespaces.toml").write_text(NAMESPACES)

    def publish(self, name: str, version: str, *, requires: Sequence[str] = (), tag: str = "py3-none-any") -> str:
        """Put one of our wheels on our index; its sha256."""
        return self._add(self.ours, "ours", name, version, requires, tag)

    def squat(self, name: str, version: str, *, requires: Sequence[str] = (), tag: str = "py3-none-any") -> str:
        """Put a stranger's wheel on the public index; its sha256."""
        return self._add(self.public, "stranger", name, version, requires, tag)

    def _add(self, index: LoopbackIndex, whose: str, name: str, version: str, requires: Sequence[str], tag: str) -> str:
        content = f"WHOSE = {whose!r}\n".encode()
        listed = index.add(
            make_wheel(self.folder / whose, name, version, requires=requires, content=content, tag=tag),
            project=name.replace("_", "-").lower(),
        )
        assert listed.sha256 is not None
        return listed.sha256

    def environment(self) -> dict[str, str]:
        """What an installer sees."""
        return installer_environment(self.folder, self.environ)

    # -- those who install

    def pip(self) -> Outcome:
        """pip alone, with the command that documentation gives: the public index, and ours beside it."""
        return self._install("pip", [*pip_install(), *self._indexes(), *self._what()])

    def uv(self) -> Outcome:
        """uv alone, with the same two indexes."""
        return self._install("uv", [*uv_install(), *self.uv_options, *self._indexes(), *self._what()])

    def millcert(self) -> Outcome:
        """Lock and audit, fetch what is locked, and let pip install those files and no others."""
        try:
            self._lock()
            lock = read_lock(self.project.folder / f"{_LOCK}.txt")
            configuration = read_configuration(self._locker_environment())
            client = IndexClient(configuration, Transport(configuration, sleep=lambda _: None))
            store, files = Store(self.folder / "store"), self.folder / "files"
            chosen = select(lock)
            client.fetch(chosen, store, lambda *_: None)
            files.mkdir()
            for _, file in chosen:
                shutil.copy(store.path(file.digest), files / file.filename)
        except MillcertError as error:
            return Outcome("nothing", f"{type(error).__name__}: {error.message}")
        command = [*pip_install(), "--no-index", "--no-deps", "--require-hashes"]
        return self._install("millcert", [*command, f"--find-links={files}", "-r", str(lock.path)])

    def _lock(self) -> None:
        self.project.environ = self._locker_environment()
        self.project.ask(_LOCK, *self.wanted)
        if self.poison is None:
            self.project.lock(_LOCK)
        else:
            self.poison(self)
        if found := audit_of(self.project.root):
            raise ConfusionError(f"guard audit: {found[0]}")

    def _locker_environment(self) -> dict[str, str]:
        # the person's merged indexes are there as well: millcert must not use them
        return {
            **self.environment(), "PIP_INDEX_URL": self.public.url, "MILLCERT_INDEX_OURS": self.ours_url,
            "PIP_EXTRA_INDEX_URL": self.ours_url,
        }  # fmt: skip

    def _indexes(self) -> list[str]:
        if not self.merged:
            return ["--index-url", self.ours_url]
        return ["--index-url", self.public.url, "--extra-index-url", self.ours_url]

    def _what(self) -> list[str]:
        if self.poison is None:
            return self.wanted
        lock = self.project.folder / f"{_LOCK}.txt"
        if not lock.exists():
            self.poison(self)
        return ["--require-hashes", "-r", str(lock)]

    def _install(self, who: str, command: Sequence[str]) -> Outcome:
        return run_installer(command, self.folder, self.folder / f"{who}-target", self.environment())


def audit_of(root: Path) -> list[str]:
    """The errors that ``millcert guard audit`` finds in a project."""
    facts, inputs = gather(LocalMachine({}), [str(root)], whole_machine=False)
    scene = Scene(facts, read_namespaces(root / "lockfiles" / "namespaces.toml"), AUDIT_DAY)
    return [f"{item.rule} {item.message}" for item in audit(scene, inputs).breaches(Severity.ERROR)]


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A stage with both indexes running."""
    folder.mkdir(parents=True, exist_ok=True)
    with loopback_index() as ours, loopback_index() as public:
        yield Stage(folder, ours, public)


# -- the attacks


def _torchtriton(stage: Stage) -> None:
    """December 2022: a nightly needs an internal project, whose name was free on the public index."""
    stage.publish("torch", "2.0.0.dev20221230", requires=["torchtriton"])
    stage.publish("torchtriton", "2.0.0")
    stage.squat("torchtriton", "3.0.0")
    stage.wanted = ["torch==2.0.0.dev20221230"]


def _unsafe_strategy(stage: Stage) -> None:
    _torchtriton(stage)
    stage.uv_options = ["--index-strategy", "unsafe-best-match"]


def _variable(stage: Stage) -> None:
    """Only our index on the command line, and a variable that somebody set long ago."""
    _torchtriton(stage)
    stage.merged = False
    stage.environ = {"PIP_EXTRA_INDEX_URL": stage.public.url, "UV_EXTRA_INDEX_URL": stage.public.url}


def _links(stage: Stage) -> None:
    """The same with a folder of links."""
    _torchtriton(stage)
    stage.merged = False
    stage.environ = {"PIP_FIND_LINKS": str(stage.folder / "stranger"), "UV_FIND_LINKS": str(stage.folder / "stranger")}


def _case(stage: Stage) -> None:
    """Another spelling of an owned name is the owned name."""
    stage.publish("torch-kernels", "1.0")
    stage.squat("Torch_Kernels", "9.0")
    stage.wanted = ["Torch.Kernels"]


def _look_alike(stage: Stage) -> None:
    stage.publish("torch", "2.0.0")
    stage.squat("t0rch", "2.0.0")
    stage.wanted = ["t0rch"]


def _look_alike_prefix(stage: Stage) -> None:
    stage.publish("torch-kernels", "1.0")
    stage.squat("t0rch-kernels", "1.0")
    stage.wanted = ["t0rch-kernels"]


def _same_version(stage: Stage) -> None:
    """The same version under a tag that every installer prefers."""
    stage.publish("torch", "2.0.0")
    stage.squat("torch", "2.0.0", tag="cp311-abi3-manylinux_2_17_x86_64")
    stage.wanted = ["torch==2.0.0"]


def _absent(stage: Stage) -> None:
    """A dependency was renamed, or not published yet; a stranger has the old name."""
    stage.publish("torch", "2.0.0", requires=["torchtriton"])
    stage.squat("torchtriton", "1.0")


def _failing(stage: Stage) -> None:
    """Our index answers 503 for a dependency, for a minute."""
    _torchtriton(stage)
    stage.ours.fail("/simple/torchtriton/", status(503), always=True)


def _refused(stage: Stage) -> None:
    """Nothing listens where our index was."""
    stage.publish("torch", "2.0.0")
    stage.squat("torch", "1.0")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stage.ours_url = f"http://127.0.0.1:{port}/simple/"


def _poisoned(stage: Stage, *, index: str) -> None:
    """A pull request that changes one hash in a lock: what merged indexes make pip-compile write by itself."""
    ours = stage.publish("torch", "2.0.0")
    digest = stage.squat("torch", "2.0.0")
    assert digest != ours
    filename = "torch-2.0.0-py3-none-any.whl"
    size = (stage.folder / "stranger" / filename).stat().st_size

    def write(stage: Stage) -> None:
        path = stage.project.folder / f"{_LOCK}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"torch==2.0.0 \\\n    --hash=sha256:{digest}\n    # index: {index}\n"
            f"    # file: {digest} {size} {filename}\n"
        )

    stage.poison = write


def _row(name: str, prepare: Callable[[Stage], None], *expected: str) -> Attack:
    @contextlib.contextmanager
    def scene(folder: Path) -> Iterator[Stage]:
        with stage(folder) as prepared:
            prepare(prepared)
            yield prepared

    return Attack(name, scene, *expected)


CONFUSION = (
    _row("torchtriton, December 2022: internal name, higher version in public", _torchtriton,
           "stranger", "ours", "ours"),
    _row("the same, with uv told to compare versions over indexes", _unsafe_strategy, "stranger", "stranger", "ours"),
    _row("the same, the public index only in an environment variable", _variable, "stranger", "stranger", "ours"),
    _row("the same, a folder of links in an environment variable", _links, "stranger", "stranger", "ours"),
    _row("another spelling of an owned name (case, separators)", _case, "stranger", "ours", "ours"),
    _row("look-alike of an owned name (0 for o)", _look_alike, "stranger", "stranger", "nothing", "ConfusionError"),
    _row("look-alike of an owned prefix", _look_alike_prefix, "stranger", "stranger", "nothing", "ConfusionError"),
    _row("same version, hostile file on a merged index", _same_version, "stranger", "ours", "ours"),
    _row("owned name absent on its own index", _absent, "stranger", "stranger", "nothing", "LockError"),
    _row("own index answers 503", _failing, "stranger", "nothing", "nothing", "LockError"),
    _row("own index refuses connections", _refused, "stranger", "nothing", "nothing", "LockError"),
    _row("poisoned lock: a stranger's hash, our index", partial(_poisoned, index="ours"),
           "stranger", "nothing", "nothing", "HashMismatchError"),
    _row("poisoned lock: a stranger's hash and index", partial(_poisoned, index="pypi"),
           "stranger", "nothing", "nothing", "ConfusionError"),
)  # fmt: skip
