"""bubblewrap as the sandbox: every namespace unshared, no capability, the pinned root read-only, calls filtered."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

from millcert.errors import SandboxError
from millcert.sandbox import seccomp
from millcert.sandbox.log import Log
from millcert.sandbox.model import Outcome, Step
from millcert.sandbox.view import DEVICES, arguments
from millcert.sandbox.watch import Watch
from millcert.targets import Limits

__all__ = ["Bubblewrap"]

_KEEPER = Path(__file__).with_name("keeper.py")
_TROUBLE = ("bwrap: ", "keeper: ")


class Bubblewrap:
    """Runs steps with the ``bwrap`` program of the machine (0.8 or later)."""

    def __init__(self, program: str | None = None) -> None:
        found = program or shutil.which("bwrap")
        if found is None:
            raise SandboxError(
                "bubblewrap is not installed, and nothing is built without it",
                expected="bwrap on PATH", fix="apt-get install bubblewrap (ci/nox does it where it may)",
            )  # fmt: skip
        if platform.machine() != "x86_64":
            raise SandboxError(
                "the build root and the filter of system calls are for one kind of machine",
                expected="x86_64", found=platform.machine(), fix="cross-compile on an x86_64 machine",
            )  # fmt: skip
        self._program = found
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._stop)

    def interrupt(self) -> None:
        """Stop every step that runs now; each is killed whole."""
        os.eventfd_write(self._stop, 1)

    def run(self, step: Step) -> Outcome:
        """Run one step; its processes are gone when this returns, however it ends."""
        with Log(step.limits.log_mib << 20) as log:
            watch = Watch(step, log, self._stop)
            with self._started(step, log) as keeper:
                exceeded = watch.until_exit(keeper.pid)
            # a step may write its last too much and exit between two looks
            outcome = Outcome(keeper.returncode, log.text(), exceeded or watch.passed_on_disk())
        if outcome.status == 1 and outcome.log.startswith(_TROUBLE):
            raise SandboxError(
                "the sandbox could not be made", reason=outcome.log.strip(),
                fix="allow unprivileged user namespaces, or build on a machine (not in a container) that has them",
            )  # fmt: skip
        return outcome

    @contextlib.contextmanager
    def _started(self, step: Step, log: Log) -> Iterator[subprocess.Popen[bytes]]:
        """The keeper of a running step; on leaving, the step is ended if it still runs, and waited for."""
        with contextlib.ExitStack() as stack:
            filter_ = stack.enter_context(_in_memory(seccomp.program()))
            options = [*arguments(step), "--seccomp", str(filter_)]
            # through a descriptor: a step can read the command line of its process 1
            listed = stack.enter_context(_in_memory(b"".join(os.fsencode(option) + b"\0" for option in options)))
            lifeline, held = os.pipe()
            # root's steps would own the machine's device nodes
            read_only = ":".join(f"/dev/{name}" for name in DEVICES) if os.geteuid() == 0 else ""
            keeper = subprocess.Popen(
                [
                    sys.executable, "-I", "-S", str(_KEEPER), str(lifeline), read_only, _bounds(step.limits),
                    self._program, "--args", str(listed), "--", *step.argv,
                ],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log.writer,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/bin:/bin"},
                pass_fds=(filter_, listed, lifeline),
                start_new_session=True,
            )  # fmt: skip
            os.close(lifeline)
            log.close_writer()
            try:
                yield keeper
            finally:
                os.close(held)
                keeper.wait()


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("millcert")
    try:
        os.write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _bounds(limits: Limits) -> str:
    """Limits that the kernel keeps by itself, for each process; the watch keeps those of the step as a whole."""
    return json.dumps({
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": (limits.output_mib << 20) + (1 << 20),
        "RLIMIT_AS": limits.memory_mib << 21,  # address space is not memory: this stops what could outrun the watch
        "RLIMIT_NOFILE": 4096,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_MEMLOCK": 8 << 20,
    })  # fmt: skip
