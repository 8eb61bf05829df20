"""The builder: brings a graph of derivations to their outputs, several at once, none of them twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from millcert.errors import BuildError, ConfigError, LimitError, NotReproducibleError, ProgramError
from millcert.hermetic.derivation import Command, Import, Node, Output, environment_of
from millcert.model import Digest
from millcert.sandbox import Mount, Sandbox, Step
from millcert.store import Store
from millcert.targets import Limits
from millcert.threads import first_ended

__all__ = ["Builder", "Built", "Observer", "Unpacker"]

Unpacker = Callable[[Path, Path, Sequence[str]], object]  # archive, folder, patterns to leave out


@dataclass(frozen=True)
class Built:
    """How a node came to its output; times are seconds since the builder started."""

    node: str
    key: Digest
    tree: Digest
    cached: bool
    start: float
    end: float


class Observer(Protocol):
    """Hears of progress; called from several threads."""

    def waiting(self, node: str) -> None:
        """Another process is about to bring a node's output, and is waited for."""

    def started(self, node: str) -> None:
        """A node's command begins to run."""

    def finished(self, built: Built) -> None:
        """A node has its output."""


class Builder:
    """Builds nodes with a store and a sandbox; ``fresh`` runs every command again and compares with the record."""

    def __init__(
        self,
        store: Store,
        sandbox: Callable[[], Sandbox],
        unpackers: Mapping[str, Unpacker],
        limits: Limits,
        observer: Observer,
        *,
        jobs: int,
        fresh: bool = False,
    ) -> None:
        self._store, self._make_sandbox, self._unpackers = store, sandbox, unpackers
        self._limits, self._observer, self._jobs, self._fresh = limits, observer, jobs, fresh
        self._origin = time.monotonic()
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None
        self._stopped = threading.Event()

    def build(self, nodes: Iterable[Node]) -> dict[str, Built]:
        """Build all nodes in the order of their needs; the first failure stops the rest and is raised."""
        order = _Order(nodes)
        done: dict[str, Built] = {}
        running: set[Future[Built]] = set()
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="build") as pool:
            try:
                ready = order.first()
                while ready or running:
                    finished: list[Built] = []
                    for node in ready:
                        outputs = {need: done[need].tree for need in node.needs}
                        key = node.key() if isinstance(node, Import) else node.key(outputs)
                        # a look-up takes less than it takes to hand it to a thread
                        if (built := self._look_up(node, key)) is not None:
                            finished.append(built)
                        else:
                            running.add(pool.submit(self._bring, node, key, outputs))
                    if not finished:
                        ended = first_ended(running)
                        running -= ended
                        finished = [future.result() for future in ended]
                    done |= {built.node: built for built in finished}
                    ready = order.after(finished)
                order.check_ended()
            except BaseException:
                self._interrupt()
                pool.shutdown(cancel_futures=True)
                raise
        return done

    def _interrupt(self) -> None:
        with self._lock:
            self._stopped.set()
            if self._sandbox is not None:
                self._sandbox.interrupt()

    def _look_up(self, node: Node, key: Digest) -> Built | None:
        """What the store remembers of a node; None where it must be made (or, with ``fresh``, made again)."""
        start = time.monotonic() - self._origin
        if self._fresh and isinstance(node, Command):
            return None
        tree = self._store.record(key)
        return None if tree is None else self._told(Built(node.name, key, tree, True, start, start))

    def _bring(self, node: Node, key: Digest, outputs: Mapping[str, Digest]) -> Built:
        start = time.monotonic() - self._origin
        with self._store.lock(f"derivation {key}", self._stopped, lambda: self._observer.waiting(node.name)):
            # another process may have built it while this one waited for the lock
            tree = None if self._fresh else self._store.record(key)
            if tree is None:
                self._observer.started(node.name)
                tree = self._make(node, outputs)
                self._remember(node, key, tree, outputs)
        return self._told(Built(node.name, key, tree, False, start, time.monotonic() - self._origin))

    def _told(self, built: Built) -> Built:
        self._observer.finished(built)
        return built

    def _remember(self, node: Node, key: Digest, tree: Digest, outputs: Mapping[str, Digest]) -> None:
        before = self._store.record(key)
        if before is not None and before != tree:
            raise NotReproducibleError(
                f"{node.name}: the same derivation gave different bytes",
                key=key, before=before, now=tree, fix="compare the two trees with `millcert store diff BEFORE NOW`",
            )  # fmt: skip
        if isinstance(node, Import):
            read = [material.digest for material in node.materials]
        else:
            sources = [node.root, *node.inputs.values()]
            read = [outputs[source.node] if isinstance(source, Output) else source for source in sources]
        self._store.put_record(key, tree, name=node.name, needs=read)

    def _make(self, node: Node, outputs: Mapping[str, Digest]) -> Digest:
        with self._store.temporary() as folder:
            folder.mkdir()
            if isinstance(node, Import):
                for material in node.materials:
                    self._unpackers[node.kind](self._store.path(material.digest), folder, node.exclude)
            else:
                self._run(node, outputs, folder)
            return self._store.add_tree(folder)

    def _run(self, node: Command, outputs: Mapping[str, Digest], folder: Path) -> None:
        def checkout(source: Digest | Output) -> Path:
            return self._store.checkout(outputs[source.node] if isinstance(source, Output) else source)

        step = Step(
            argv=node.argv,
            environment=environment_of(node.environment),
            root=checkout(node.root),
            mounts=tuple(Mount(checkout(source), path) for path, source in sorted(node.inputs.items())),
            output=folder,
            directory=node.directory,
            limits=self._limits,
        )
        outcome = self._get_sandbox().run(step)
        if outcome.exceeded:
            raise LimitError(
                f"{node.name}: stopped at a limit", limit=outcome.exceeded, log=_last_lines(outcome.log),
                fix="raise it in [limits] of targets.toml if the step really needs more",
            )  # fmt: skip
        if outcome.not_started:
            raise ProgramError(
                f"{node.name}: its program cannot be run in the sandbox",
                program=node.argv[0], reason=outcome.not_started, inputs=", ".join(sorted(node.inputs)) or None,
                fix="the program, its interpreter and its loader must be in the packages of lockfiles/debian/base.lock "
                "(add one to base.in, then `millcert lock debian/base`) or in an input of the step",
            )  # fmt: skip
        if outcome.status != 0:
            raise BuildError(
                f"{node.name}: the command failed",
                status=outcome.status, command=" ".join(node.argv), log=_last_lines(outcome.log),
                fix=_suspicion(outcome.log, self._limits),
            )  # fmt: skip
        for path in node.outputs:
            if not (folder / path).is_file():
                raise BuildError(f"{node.name}: the command left no {path}", log=_last_lines(outcome.log))

    def _get_sandbox(self) -> Sandbox:
        # made on first need: a build that finds everything in the store works without bubblewrap
        with self._lock:
            if self._stopped.is_set():
                raise KeyboardInterrupt
            if self._sandbox is None:
                self._sandbox = self._make_sandbox()
            return self._sandbox


class _Order:
    """Nodes in the order of their needs: what can be brought once others are done."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._waiting = {node.name: node for node in nodes}
        self._missing = {name: set(node.needs) for name, node in self._waiting.items()}
        self._readers: dict[str, list[str]] = {}
        for name, needs in self._missing.items():
            for need in needs:
                self._readers.setdefault(need, []).append(name)

    def first(self) -> list[Node]:
        """The nodes that need no other."""
        return self._take([name for name, needs in self._missing.items() if not needs])

    def after(self, finished: Iterable[Built]) -> list[Node]:
        """The nodes whose last needs these are."""
        ready: list[str] = []
        for built in finished:
            for name in self._readers.get(built.node, ()):
                self._missing[name].discard(built.node)
                if not self._missing[name]:
                    ready.append(name)
        return self._take(ready)

    def check_ended(self) -> None:
        """ConfigError for nodes that no order brings."""
        if self._waiting:
            raise ConfigError("steps that need each other", steps=", ".join(sorted(self._waiting)))

    def _take(self, names: Iterable[str]) -> list[Node]:
        return [self._waiting.pop(name) for name in names]


# what a program says of a limit that the kernel kept, and that it did not survive for the watch to see
_SIGNS = {
    "No space left on device": "output_mib", "File too large": "output_mib", "Cannot allocate memory": "memory_mib",
    "MemoryError": "memory_mib", "OutOfMemory": "memory_mib", "Resource temporarily unavailable": "processes",
}  # fmt: skip


def _suspicion(log: str, limits: Limits) -> str:
    keys = dict.fromkeys(key for sign, key in _SIGNS.items() if sign in log)
    named = ", ".join(f"{key} = {getattr(limits, key)}" for key in keys)
    return (
        f"it seems to have met {named}: raise that in [limits] of targets.toml if it really needs more" if keys else ""
    )


def _last_lines(log: str) -> str:
    return "\n    ".join(["", *log.rstrip().splitlines()[-40:]])
