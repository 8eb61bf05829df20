"""One build from nothing: a clean clone of a commit, a store of its own, the surroundings asked for."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from millcert.errors import BuildError, ConfigError
from millcert.model import Digest, digest_of_file
from millcert.rebuild.outside import OTHER_USER, Outside, import_path
from millcert.store import Store
from millcert.store.references import records, tree_or_none
from millcert.threads import first_ended

__all__ = ["Builds", "Heard", "Request", "Run"]

_AT_ONCE = 2
_PASSED = ("PATH", "HOME", "XDG_CACHE_HOME", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True)
class Request:
    """What to build: a commit of a repository, which variants and architectures, as which builder.

    ``pinned`` are the inputs, lent from ``store``; ``reused`` names steps whose outputs are lent too. ``remote`` is the
    address that the provenance will name.
    """

    repository: Path
    commit: str
    variants: Sequence[str]
    architectures: Sequence[str]
    store: Store
    pinned: Sequence[Digest]
    reused: Sequence[str] = ()
    remote: str = ""
    builder: str = ""


@dataclass(frozen=True)
class Run:
    """A finished build: where its files are, their digests by name, how long it took."""

    name: str
    dist: Path
    files: Mapping[str, Digest]
    seconds: float


Heard = Callable[[str, str], None]  # a build's name, and a line that it said


class Builds:
    """Builds of one request under several surroundings, two at once: a long single step leaves no processor idle."""

    def __init__(self, request: Request, heard: Heard = lambda name, line: None) -> None:
        self._request, self._heard = request, heard
        self._running: set[subprocess.Popen[str]] = set()
        self._lock, self._stopped = threading.Lock(), False

    def run(self, plans: Iterable[tuple[str, Outside, Path]]) -> list[Run]:
        """Build each in its folder, in which an interrupted build goes on; the first failure stops the rest."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rebuild") as pool:
            futures = [pool.submit(self.build, *plan) for plan in plans]
            try:
                running = set(futures)
                while running:
                    ended = first_ended(running)
                    running -= ended
                    for future in ended:
                        future.result()
                return [future.result() for future in futures]
            except BaseException:
                self._interrupt()
                pool.shutdown(cancel_futures=True)
                raise

    def _interrupt(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.send_signal(signal.SIGINT)

    def build(self, name: str, outside: Outside, scratch: Path) -> Run:
        """Build once in ``scratch``; BuildError with the end of its output where that fails."""
        request = self._request
        base = scratch / outside.folder
        base.mkdir(parents=True, exist_ok=True)
        source, lent, store, dist = (base / part for part in ("source", "inputs", "store", "dist"))
        for left in (source, dist):
            shutil.rmtree(left, ignore_errors=True)
        _clone(request, source)
        _lend(request, lent, store)
        variants = list(reversed(request.variants)) if outside.reversed else list(request.variants)
        command = [
            # the variation's own variables come last: the programs before may run as another user and by the true clock
            *outside.wrapper, *_as_user(outside, scratch), "env", *(f"{k}={v}" for k, v in outside.environment.items()),
            outside.python, "-m", "millcert", "build", *variants,
            *(word for name in request.architectures for word in ("--arch", name)), "--project", str(source),
            "--store", str(store), "--store-from", str(lent), "--dist", str(dist), "--jobs", str(outside.jobs),
            *(["--builder-id", request.builder] if request.builder else []),
        ]  # fmt: skip
        environment = {key: os.environ[key] for key in _PASSED if key in os.environ}
        environment |= {"PYTHONPATH": import_path(), "PYTHONDONTWRITEBYTECODE": "1"}
        if outside.user:
            environment["HOME"] = str(scratch)
        begun = time.monotonic()
        self._execute(name, command, outside, base, environment)
        files = {path.name: digest_of_file(path) for path in sorted(dist.iterdir())}
        return Run(name, dist, files, time.monotonic() - begun)

    def _execute(
        self, name: str, command: Sequence[str], outside: Outside, folder: Path, environment: Mapping[str, str]
    ) -> None:
        last: deque[str] = deque(maxlen=30)
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            umask=outside.umask, errors="replace",
        ) as process:  # fmt: skip
            with self._lock:
                self._running.add(process)
                if self._stopped:
                    process.send_signal(signal.SIGINT)
            if outside.processors:
                os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[: outside.processors])
            assert process.stderr is not None
            for line in process.stderr:
                last.append(line.rstrip())
                self._heard(name, last[-1])
        with self._lock:
            self._running.discard(process)
        if process.returncode:
            raise BuildError(f"the rebuild {name!r} failed", status=process.returncode, log="\n    ".join(["", *last]))


def _as_user(outside: Outside, scratch: Path) -> Sequence[str]:
    if not outside.user:
        return ()
    scratch.chmod(0o755)
    for base, _, files in os.walk(scratch):
        # a blob may be a hard link to the lending store's own, whose owner must stay
        kept = {"blobs", "trees"} & set(Path(base).parts)
        for name in [".", *([] if kept else files)]:
            os.chown(os.path.join(base, name), OTHER_USER, OTHER_USER, follow_symlinks=False)  # noqa: PTH118
    return outside.user


def _clone(request: Request, target: Path) -> None:
    _git("clone", "--quiet", "--no-hardlinks", "--no-checkout", str(request.repository), str(target))
    _git("-C", str(target), "-c", "core.autocrlf=false", "checkout", "--quiet", "--detach", request.commit)
    if request.remote:
        _git("-C", str(target), "remote", "set-url", "origin", request.remote)


def _git(*words: str) -> None:
    result = subprocess.run(["git", "-c", "safe.directory=*", *words], capture_output=True, text=True, check=False)
    if result.returncode:
        raise ConfigError("the sources cannot be brought", git=result.stderr.strip())


def _lend(request: Request, lent: Path, store: Path) -> None:
    (lent / "blobs").mkdir(parents=True, exist_ok=True)
    (store / "records").mkdir(parents=True, exist_ok=True)
    for digest in dict.fromkeys(request.pinned):
        _link(request.store.path(digest), lent / "blobs" / digest[:2] / digest)
    for record in records(request.store) if request.reused else ():
        if record.name not in request.reused:
            continue
        tree = tree_or_none(request.store, record.tree)
        entries = [(entry.digest, entry.executable) for entry in (tree.entries if tree else ()) if entry.digest]
        for digest, executable in [(record.tree, False), *entries]:
            source = request.store.path(digest, executable=executable)
            _link(source, store / "blobs" / digest[:2] / source.name)
        shutil.copyfile(record.path, store / "records" / record.path.name)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        try:
            target.hardlink_to(source)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise
            shutil.copy2(source, target)
