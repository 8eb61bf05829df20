"""bubblewrap as the sandbox: every namespace unshared, no capability, the pinned root read-only, calls filtered."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import select
import shutil
import signal
import subprocess
import weakref
from collections.abc import Callable, Iterator

from millcert.errors import SandboxError
from millcert.sandbox import seccomp
from millcert.sandbox.log import Log
from millcert.sandbox.model import Outcome, Step
from millcert.sandbox.view import DEVICES, arguments
from millcert.sandbox.watch import Watch
from millcert.targets import Limits

__all__ = ["Bubblewrap"]

# Root owns the device nodes, and so do the steps that root runs: behind a read-only mount they cannot change their
# modes or times, while reading and writing the devices goes on.
_DEVICES_READ_ONLY = (
    f'for name in {" ".join(DEVICES)}; do mount --bind -o ro /dev/$name /dev/$name || exit 9; done; exec "$@"'
)


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
        as_root = ["unshare", "--mount", "--", "sh", "-c", _DEVICES_READ_ONLY, "sh"] if os.geteuid() == 0 else []
        self._command = [*as_root, found]
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._stop)

    def interrupt(self) -> None:
        """Stop every step that runs now; each is killed whole."""
        os.eventfd_write(self._stop, 1)

    def run(self, step: Step) -> Outcome:
        """Run one step; its processes are gone when this returns, however it ends."""
        with Log(step.limits.log_mib << 20) as log, self._started(step, log) as (process, init):
            watch = Watch(init or process.pid, step, log, self._stop)
            try:
                exceeded = watch.until_exit(process.pid)
            finally:
                _end(process, init)
            # a step may write its last too much and exit between two looks
            outcome = Outcome(process.returncode, log.text(), exceeded or watch.passed_on_disk())
        if not init or (outcome.status == 1 and outcome.log.startswith("bwrap: ")):
            raise SandboxError(
                "the sandbox could not be made", reason=outcome.log.strip(),
                fix="allow unprivileged user namespaces, or build on a machine (not in a container) that has them",
            )  # fmt: skip
        return outcome

    @contextlib.contextmanager
    def _started(self, step: Step, log: Log) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """The bwrap process, and the machine's number of the process that is 1 inside (0 where it never came to be)."""
        with contextlib.ExitStack() as stack:
            info, info_writer = os.pipe()
            stack.callback(os.close, info)
            program = stack.enter_context(_in_memory(seccomp.program()))
            options = [*arguments(step), "--seccomp", str(program), "--info-fd", str(info_writer)]
            # options go through a descriptor: a step can read its process 1's command line
            listed = stack.enter_context(_in_memory(b"".join(os.fsencode(option) + b"\0" for option in options)))
            process = subprocess.Popen(
                [*self._command, "--args", str(listed), "--", *step.argv],
                stdin=subprocess.DEVNULL,
                stdout=log.writer,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                pass_fds=(program, listed, info_writer),
                preexec_fn=_limits(step.limits),
                start_new_session=True,
            )
            os.close(info_writer)
            log.close_writer()
            yield process, _child(info)


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("millcert")
    try:
        os.write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _child(info: int) -> int:
    text = b""
    while chunk := os.read(info, 4096):
        text += chunk
        with contextlib.suppress(ValueError):
            return int(json.loads(text)["child-pid"])
    return 0


def _limits(limits: Limits) -> Callable[[], None]:
    bounds = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, (limits.output_mib << 20) + (1 << 20)),
        # address space is not memory: this only stops what could outrun the watch
        (resource.RLIMIT_AS, limits.memory_mib << 21),
        (resource.RLIMIT_NOFILE, 4096),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 8 << 20),
    )

    def apply() -> None:
        os.umask(0o022)
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - between fork and exec: no more than needed
            file.write("1000")  # where memory runs out, the step goes and not the machine's other work
        for kind, bound in bounds:
            _, hard = resource.getrlimit(kind)
            allowed = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.setrlimit(kind, (allowed, allowed))

    return apply


def _end(process: subprocess.Popen[bytes], init: int) -> None:
    """Kill what is left, and wait until the kernel has ended the process namespace with its process 1."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(init) if init else -1
        if descriptor >= 0:
            with contextlib.closing(os.fdopen(descriptor)):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                select.select([descriptor], [], [])
    process.kill()
    process.wait()
