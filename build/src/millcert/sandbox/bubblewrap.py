"""bubblewrap as the sandbox: every namespace unshared, no capability, the pinned root read-only, calls filtered."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path

from millcert.errors import SandboxError
from millcert.sandbox import seccomp
from millcert.sandbox.inside import Inside
from millcert.sandbox.log import Log
from millcert.sandbox.model import Outcome, Step
from millcert.sandbox.view import DEVICES, arguments
from millcert.sandbox.watch import Watch
from millcert.targets import Limits

__all__ = ["Bubblewrap"]

_KEEPER = Path(__file__).with_name("keeper.py")
_TROUBLE = ("bwrap: ", "keeper: ")
_NO_PROGRAM = re.compile(r"bwrap: execvp .*: ([^:]+)\n")  # its last call, inside a sandbox that was made
_OWN = 2  # processes of bubblewrap's own, and one more, so that a step passes its limit before the kernel stops it


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
            with self._started(step, log) as (keeper, inside):
                exceeded = watch.until_exit(keeper.pid, inside)
            # a step may write its last too much and exit between two looks
            outcome = Outcome(keeper.returncode, log.text(), exceeded or watch.passed_on_disk())
        if outcome.status != 1 or not outcome.log.startswith(_TROUBLE):
            return outcome
        if refused := _NO_PROGRAM.fullmatch(outcome.log):
            return replace(outcome, not_started=refused[1])
        raise SandboxError(
            "the sandbox could not be made", reason=outcome.log.strip(),
            fix="allow unprivileged user namespaces, or build on a machine (not in a container) that has them",
        )  # fmt: skip

    @contextlib.contextmanager
    def _started(self, step: Step, log: Log) -> Iterator[tuple[subprocess.Popen[bytes], Inside | None]]:
        """The keeper of a running step, and a view into the step unless bubblewrap could not make its world.

        On leaving, the step is ended if it still runs, and waited for.
        """
        with contextlib.ExitStack() as stack:
            told, tell = _pipe(stack)
            barrier, lift = _pipe(stack)
            lifeline, held = _pipe(stack)
            keeper = self._keeper(step, log, lifeline, tell, barrier)
            for ours_no_more in (tell, barrier, lifeline):
                ours_no_more.close()
            log.close_writer()
            try:
                inside = None
                if first := _first_process(told):
                    inside = stack.enter_context(Inside(first))
                    _bound_processes(first, step.limits)
                    # a world that cannot be made after all has ended by now; its log says why
                    with contextlib.suppress(BrokenPipeError):
                        lift.write(b"x")
                yield keeper, inside
            finally:
                held.close()
                keeper.wait()

    def _keeper(self, step: Step, log: Log, lifeline: FileIO, tell: FileIO, barrier: FileIO) -> subprocess.Popen[bytes]:
        # root's steps would own the machine's device nodes
        read_only = ":".join(f"/dev/{name}" for name in DEVICES) if os.geteuid() == 0 else ""
        with _in_memory(seccomp.program()) as filter_:
            options = [*arguments(step), "--seccomp", str(filter_)]
            options += ["--info-fd", str(tell.fileno()), "--block-fd", str(barrier.fileno())]
            # through a descriptor: a step can read the command line of its process 1
            with _in_memory(b"".join(os.fsencode(option) + b"\0" for option in options)) as listed:
                return subprocess.Popen(
                    [
                        sys.executable, "-I", "-S", str(_KEEPER), str(lifeline.fileno()), read_only,
                        str(step.limits.processes + _OWN), _bounds(step.limits), self._program, "--args", str(listed),
                        "--", *step.argv,
                    ],
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log.writer,
                    stderr=subprocess.STDOUT,
                    env={"PATH": "/usr/bin:/bin"},
                    pass_fds=(filter_, listed, tell.fileno(), barrier.fileno(), lifeline.fileno()),
                    start_new_session=True,
                )  # fmt: skip


def _pipe(stack: contextlib.ExitStack) -> tuple[FileIO, FileIO]:
    """The two ends of a pipe, which are closed with the stack unless they were before."""
    reader, writer = os.pipe()
    return stack.enter_context(FileIO(reader, "r")), stack.enter_context(FileIO(writer, "w"))


def _first_process(told: FileIO) -> int | None:
    """The number of the first process in a step's world, as bubblewrap tells it; None where it could not be made."""
    text = told.read().decode()
    return int(json.loads(text)["child-pid"]) if text else None


def _bound_processes(first: int, limits: Limits) -> None:
    """Have the kernel refuse more processes in a step's world; it counts those of one user in one user namespace.

    Set from outside and after that namespace was made: before, the user's other processes would count too.
    """
    bound = limits.processes + _OWN
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(first, resource.RLIMIT_NPROC, (bound, bound))


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
    bounds = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": (limits.output_mib << 20) + (1 << 20),
        "RLIMIT_AS": limits.memory_mib << 21,  # address space is not memory: this stops what could outrun the watch
        "RLIMIT_NOFILE": 4096,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_MEMLOCK": 8 << 20,
    }
    return ",".join(f"{name}={bound}" for name, bound in bounds.items())
