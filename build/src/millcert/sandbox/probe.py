"""Runs in the sandbox: tries what a step must not be able to do, and prints what happened as JSON.

Usage: probe.py BAIT. Standard library only. BAIT is a JSON file that names a port on the machine's loopback, an
abstract socket, a file and a process of the machine: they all exist, so that not reaching them means something.
"""

# A probe makes exactly the calls it names, so not those of pathlib:
# ruff: noqa: PTH101, PTH108, PTH110, PTH112, PTH114, PTH118, PTH123, PTH208, S103

import contextlib
import ctypes
import json
import os
import socket
import stat
import sys
import time
from collections.abc import Callable


def attempt(action: Callable[[], object]) -> str:
    """What an action gives, or the name of the error that stops it."""
    try:
        return str(action())
    except OSError as error:
        return type(error).__name__ if type(error) is not OSError else (error.strerror or "OSError")


def connect(family: int, address: object) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect(address)  # type: ignore[arg-type] # as the family wants it
    return "connected"


def call(number: int, *arguments: int) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return "done" if result >= 0 else os.strerror(ctypes.get_errno())


def write(path: str) -> str:
    with open(path, "a"):
        return "written"


def writable() -> list[str]:
    found = []
    for base, folders, _ in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(base, name) != "/proc"]
        with contextlib.suppress(OSError):
            path = os.path.join(base, ".probe")
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            os.unlink(path)
            found.append(base)
    return sorted(found)


def times(base: str) -> list[int]:
    """The first few times of change below a folder, links' own among them."""
    found = {int(os.lstat(base).st_mtime)}
    for folder, folders, files in os.walk(base):
        found.update(int(os.lstat(os.path.join(folder, name)).st_mtime) for name in [*folders, *files])
    return sorted(found)[:4]


def special(base: str) -> list[str]:
    found = []
    for folder, folders, files in os.walk(base):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if os.lstat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
                found.append(path)
    return found


def readable(names: list[str]) -> list[str]:
    found = []
    for name in names:
        with contextlib.suppress(OSError):
            os.close(os.open(f"/proc/{name}", os.O_RDONLY))
            if not os.path.isdir(f"/proc/{name}") or os.listdir(f"/proc/{name}"):
                found.append(name)
    return found


def main() -> None:
    with open(sys.argv[1]) as file:
        bait = json.load(file)
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    own = [name for name in os.listdir("/proc") if not name.isdigit() and not os.path.islink(f"/proc/{name}")]
    with open("/proc/1/cmdline") as command, open("/proc/1/environ") as environment:
        first = command.read() + environment.read()
    observed = {
        "interfaces": [name for _, name in socket.if_nameindex()],
        "loopback": attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", bait["port"]))),
        "abstract": attempt(lambda: connect(socket.AF_UNIX, "\0" + bait["abstract"])),
        "internet": attempt(lambda: connect(socket.AF_INET, ("192.0.2.1", 443))),
        "vsock": attempt(lambda: socket.socket(40, socket.SOCK_STREAM)),
        "names": attempt(lambda: socket.getaddrinfo("example.org", 443)),
        "top": sorted(os.listdir("/")),
        "devices": sorted(os.listdir("/dev")),
        "writable": writable(),
        "file": attempt(lambda: open(bait["file"]).read()),  # noqa: SIM115 - read once, then over
        "environment": sorted(os.environ),
        "first_process": [word for word in (bait["secret"], bait["file"], bait["store"]) if word in first],
        "ids": [os.getuid(), os.getgid(), *os.getgroups()],
        "capabilities": [status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
        "no_new_privileges": status["NoNewPrivs"],
        "filter": status["Seccomp"],
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
        "signal": attempt(lambda: os.kill(bait["process"], 0)),
        "settings": readable(own),
        "setting": attempt(lambda: write("/proc/sys/kernel/core_pattern")),
        "device_mode": attempt(lambda: os.chmod("/dev/null", 0o666)),
        "node": attempt(lambda: os.mknod("/out/node", 0o600 | stat.S_IFBLK, os.makedev(8, 0))),
        "mount": call(165, 0, 0, 0, 0, 0),
        "namespace": call(56, 0x10000000 | 17, 0, 0, 0, 0),
        "keyring": call(250, 0, -3, 0),
        "set_id": special("/usr"),
        "descriptors": sorted(
            int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")
        ),
        "host": os.uname().nodename,
        "umask": f"{os.umask(0o022):03o}",
        "zone": list(time.tzname),
        "locale": os.environ.get("LC_ALL", ""),
        "hash_seed": os.environ.get("PYTHONHASHSEED", ""),
        "epoch": os.environ.get("SOURCE_DATE_EPOCH", ""),
        "input_times": times("/usr"),
    }
    print(json.dumps(observed))


main()
