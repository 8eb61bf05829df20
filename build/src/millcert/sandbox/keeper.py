"""Runs between millcert and bubblewrap, one for each step: whatever becomes of millcert, the step ends with it.

Usage: keeper.py LIFELINE READ_ONLY LIMITS COMMAND... Standard library only. LIFELINE is a descriptor that nobody writes
to and that closes when millcert dies or wants the step to end. READ_ONLY lists device nodes, separated by colons, to be
put behind read-only mounts. LIMITS is a JSON object of resource limits by name.

bubblewrap's own --die-with-parent leaves a gap while a sandbox starts. The keeper has none: it adopts every orphan
below it, and leaves only when the last one is gone, with the exit status of the command.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys

# <linux/prctl.h>, <sched.h>, <sys/mount.h>
_SUBREAPER, _NEW_MOUNTS = 36, 0x00020000
_BIND, _RECURSIVE, _PRIVATE, _REMOUNT, _READ_ONLY, _NO_SET_ID = 4096, 16384, 1 << 18, 32, 1, 2


def main() -> None:
    lifeline, read_only, limits, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    check(libc.prctl(_SUBREAPER, 1, 0, 0, 0), "prctl")
    if read_only:
        protect(libc, read_only.split(":"))
    os.umask(0o022)
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # where memory runs out, the step goes and not the machine's other work
    child = os.fork()
    if child == 0:
        os.close(int(lifeline))
        even_priority()
        for name, bound in json.loads(limits).items():
            limit(getattr(resource, name), bound)
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    select.select([int(lifeline), os.pidfd_open(child)], [], [])
    sys.exit(end(child))


def check(result: int, what: str) -> None:
    if result:
        sys.exit(f"keeper: {what}: {os.strerror(ctypes.get_errno())}")


def protect(libc: ctypes.CDLL, devices: list[str]) -> None:
    """Root owns the device nodes, and so do its steps: behind a read-only mount they cannot change modes or times."""
    check(libc.unshare(_NEW_MOUNTS), "a root builder needs a mount namespace of its own: unshare")
    check(libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None), "mount /")
    for device in devices:
        path = device.encode()
        check(libc.mount(path, path, None, _BIND, None), f"mount {device}")
        check(libc.mount(b"none", path, None, _REMOUNT | _BIND | _READ_ONLY | _NO_SET_ID, None), f"remount {device}")


def even_priority() -> None:
    """Priority 0 wherever the builder's own may be raised to it: a step can read its priority and write it down."""
    with contextlib.suppress(PermissionError):  # a builder under `nice` may not lift itself; it builds all the same
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def limit(kind: int, bound: int) -> None:
    _, hard = resource.getrlimit(kind)
    allowed = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
    resource.setrlimit(kind, (allowed, allowed))


def end(child: int) -> int:
    """Kill and collect everything below; the command's exit status."""
    status = 0
    while True:
        for number in children():
            os.kill(number, signal.SIGKILL)  # no effect on one that has exited already
        try:
            number, code = os.wait()
        except ChildProcessError:
            return status
        if number == child:
            status = os.waitstatus_to_exitcode(code) % 256


def children() -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == os.getpid():
            found.append(int(name))
    return found


main()
