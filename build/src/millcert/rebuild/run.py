"""One build from nothing: a clean clone of a commit, a store of its own, the surroundings asked for."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millcert.errors import BuildError, ConfigError
from millcert.model import Digest, digest_of_file
from millcert.rebuild.outside import OTHER_USER, Outside, import_path
from millcert.store import Store
from millcert.store.references import records, tree_or_none

__all__ = ["Request", "Run", "build_again", "scratch_folder"]

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


def build_again(name: str, request: Request, outside: Outside, scratch: Path) -> Run:
    """Build in ``scratch``; BuildError with the end of its output where that fails."""
    base = scratch / outside.folder
    base.mkdir(parents=True, exist_ok=True)
    source, lent, store, dist = (base / part for part in ("source", "inputs", "store", "dist"))
    _clone(request, source)
    _lend(request, lent, store)
    variants = list(reversed(request.variants)) if outside.reversed else list(request.variants)
    command = [
        # the variation's own variables come last: the programs before may run as another user, and by the true clock
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
    result = subprocess.run(
        command, cwd=base, env=environment, capture_output=True, text=True, check=False, umask=outside.umask,
        preexec_fn=(lambda: _pin(outside.processors)) if outside.processors else None, errors="replace",
    )  # fmt: skip
    if result.returncode:
        log = "\n    ".join(["", *result.stderr.splitlines()[-30:]])
        raise BuildError(f"the rebuild {name!r} failed", status=result.returncode, log=log)
    files = {path.name: digest_of_file(path) for path in sorted(dist.iterdir())}
    return Run(name, dist, files, time.monotonic() - begun)


def _pin(count: int | None) -> None:
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:count]))


def _as_user(outside: Outside, scratch: Path) -> Sequence[str]:
    if not outside.user:
        return ()
    scratch.chmod(0o755)
    for base, _, files in os.walk(scratch):
        # a blob may be a hard link to the lending store's own, whose owner must stay
        kept = "blobs" in Path(base).parts
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
    (lent / "blobs").mkdir(parents=True)
    (store / "records").mkdir(parents=True)
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


@contextlib.contextmanager
def scratch_folder(outside: Outside, default: Path) -> Iterator[Path]:
    """A folder for one build, on the file system that the surroundings ask for; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="millcert-repro-", dir=outside.parent or default) as folder:
        yield Path(folder)
