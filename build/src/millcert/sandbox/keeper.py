"""Runs between millcert and bubblewrap, one for each step: whatever becomes of millcert, the step ends with it.

Usage: keeper.py LIFELINE READ_ONLY PROCESSES LIMITS COMMAND... Standard library only, and little of it: it starts once
a step. LIFELINE is a descriptor that nobody writes to and that closes when millcert dies or wants the step to end.
READ_ONLY lists device nodes, separated by colons, to be put behind read-only mounts. PROCESSES is how many the command
may have at once, as far as a control group can see to it. LIMITS are resource limits: NAME=NUMBER, between commas.

bubblewrap's own --die-with-parent leaves a gap while a sandbox starts. The keeper has none: it adopts every orphan
below it, and leaves only when the last one is gone, with the exit status of the command.
"""

import ctypes
import os
import resource
import select
import sys

# <linux/prctl.h>, <sched.h>, <sys/mount.h>, <signal.h>
_SUBREAPER, _NEW_MOUNTS = 36, 0x00020000
_BIND, _RECURSIVE, _PRIVATE, _REMOUNT, _READ_ONLY, _NO_SET_ID = 4096, 16384, 1 << 18, 32, 1, 2
_KILL = 9


def main() -> None:
    lifeline, read_only, processes, limits, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    check(libc.prctl(_SUBREAPER, 1, 0, 0, 0), "prctl")
    if read_only:
        protect(libc, read_only.split(":"))
    os.umask(0o022)
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # where memory runs out, the step goes and not the machine's other work
    # the kernel counts the processes of everybody but root, whose are left to a control group
    group = control_group(processes) if os.geteuid() == 0 else ""
    child = os.fork()
    if child == 0:
        os.close(int(lifeline))
        if group:
            write(f"{group}/cgroup.procs", "0")
        even_priority()
        for name, _, bound in (one.partition("=") for one in limits.split(",")):
            limit(getattr(resource, name), int(bound))
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    # what is bubblewrap's must not stay open here: its reader waits for the end
    os.closerange(3, int(lifeline))
    os.closerange(int(lifeline) + 1, 1 << 20)
    select.select([int(lifeline), os.pidfd_open(child)], [], [])
    status = end(child)
    if group:
        os.rmdir(group)  # noqa: PTH106
    sys.exit(status)


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


def control_group(processes: str) -> str:
    """A new control group that holds no more processes than these; empty where this machine lends none."""
    for base in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):  # versions 1 and 2
        group = f"{base}/millcert-{os.getpid()}"
        try:
            os.mkdir(group)  # noqa: PTH102
        except OSError:
            continue
        try:
            write(f"{group}/pids.max", processes)
        except OSError:
            os.rmdir(group)  # noqa: PTH106
        else:
            return group
    return ""


def write(path: str, text: str) -> None:
    # never made: what is no control group has no such file
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def even_priority() -> None:
    """Priority 0 wherever the builder's own may be raised to it: a step can read its priority and write it down."""
    try:  # noqa: SIM105 - contextlib would double the start
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    except PermissionError:
        pass  # a builder under `nice` may not lift itself; it builds all the same


def limit(kind: int, bound: int) -> None:
    _, hard = resource.getrlimit(kind)
    allowed = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
    resource.setrlimit(kind, (allowed, allowed))


def end(child: int) -> int:
    """Kill and collect everything below; the command's exit status."""
    status = 0
    while True:
        try:
            number, code = os.waitpid(-1, os.WNOHANG)
            if not number:  # some are living
                for one in children():
                    os.kill(one, _KILL)
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
