"""bubblewrap as the sandbox: every namespace unshared, no capability, the pinned root read-only."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable

from millcert.errors import SandboxError
from millcert.sandbox.model import Outcome, Step
from millcert.sandbox.watch import Watch

__all__ = ["Bubblewrap", "arguments"]

# what a process inside sees of devices; the rest of /dev does not exist
_DEVICES = ("null", "zero", "random", "urandom")
_LOG_LIMIT = 1 << 20


class Bubblewrap:
    """Runs steps with the ``bwrap`` program of the machine (0.8 or later)."""

    def __init__(self, program: str | None = None) -> None:
        found = program or shutil.which("bwrap")
        if found is None:
            raise SandboxError(
                "bubblewrap is not installed, and nothing is built without it",
                expected="bwrap on PATH", fix="apt-get install bubblewrap (ci/nox does it where it may)",
            )  # fmt: skip
        self._program = found
        self._stop = threading.Event()

    def interrupt(self) -> None:
        """Stop every step that runs now; each is killed whole."""
        self._stop.set()

    def run(self, step: Step) -> Outcome:
        """Run one step; its processes are gone when this returns, however it ends."""
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [self._program, *arguments(step)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/bin:/bin"},
                preexec_fn=_limits(step),
                start_new_session=True,
            )
            watch = Watch(process.pid, step.output, step.limits, self._stop)
            try:
                exceeded = watch.until_exit(process)
            except BaseException:
                _kill(process)
                raise
            if exceeded:
                _kill(process)
            return Outcome(process.returncode, _tail(log.fileno()), exceeded)


def arguments(step: Step) -> list[str]:
    """The command line of bubblewrap for a step, after the program's name."""
    args = [
        "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL",
        "--die-with-parent", "--new-session", "--hostname", "build", "--clearenv",
        "--tmpfs", "/",
    ]  # fmt: skip
    for entry in sorted(step.root.iterdir()):
        if entry.is_symlink():
            args += ["--symlink", str(entry.readlink()), f"/{entry.name}"]
        elif entry.is_dir() and entry.name not in ("proc", "dev", "tmp", "out"):
            args += ["--ro-bind", str(entry), f"/{entry.name}"]
    args += ["--proc", "/proc", "--dir", "/dev", "--symlink", "/proc/self/fd", "/dev/fd"]
    for device in _DEVICES:
        args += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    args += ["--size", str(step.limits.output_mib << 20), "--perms", "0700", "--tmpfs", "/tmp"]
    for mount in step.mounts:
        args += ["--ro-bind", str(mount.source), mount.target]
    args += ["--bind", str(step.output), "/out", "--remount-ro", "/"]
    for name, value in sorted(step.environment.items()):
        args += ["--setenv", name, value]
    return [*args, "--chdir", step.directory, "--", *step.argv]


def _limits(step: Step) -> Callable[[], None]:
    bounds = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, step.limits.output_mib << 20),
        (resource.RLIMIT_AS, step.limits.memory_mib << 20),
        (resource.RLIMIT_NOFILE, 4096),
    )

    def apply() -> None:
        os.umask(0o022)
        for kind, bound in bounds:
            _, hard = resource.getrlimit(kind)
            allowed = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.setrlimit(kind, (allowed, allowed))

    return apply


def _kill(process: subprocess.Popen[bytes]) -> None:
    # bwrap's pid 1 dies with it (--die-with-parent), and the kernel ends the pid namespace with pid 1
    process.send_signal(signal.SIGKILL)
    process.wait()


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    start = max(0, size - _LOG_LIMIT)
    return os.pread(descriptor, size - start, start).decode("utf-8", "replace")
