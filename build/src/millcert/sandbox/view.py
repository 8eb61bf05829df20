"""What a step sees: the arguments that tell bubblewrap how its world is made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from millcert.sandbox.model import Step

__all__ = ["DEVICES", "arguments"]

# the rest of /dev does not exist
DEVICES = ("null", "zero", "random", "urandom")
_MADE_HERE = ("proc", "dev", "tmp", "out", "sys")


def arguments(step: Step, proc: Path = Path("/proc")) -> list[str]:
    """The options of bubblewrap for a step; ``proc`` is the machine's own, for the names in it."""
    args = [
        "--unshare-all", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL",
        "--die-with-parent", "--new-session", "--hostname", "build", "--clearenv", "--tmpfs", "/",
    ]  # fmt: skip
    for entry in sorted(step.root.iterdir()):
        if entry.is_symlink():
            args += ["--symlink", str(entry.readlink()), f"/{entry.name}"]
        elif entry.is_dir() and entry.name not in _MADE_HERE:
            args += ["--ro-bind", str(entry), f"/{entry.name}"]
    args += ["--proc", "/proc", *_masks(proc), "--dir", "/dev", "--symlink", "/proc/self/fd", "/dev/fd"]
    for device in DEVICES:
        args += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    args += ["--size", str(step.limits.output_mib << 20), "--perms", "0700", "--tmpfs", "/tmp"]
    for mount in step.mounts:
        args += ["--ro-bind", str(mount.source), mount.target]
    args += ["--bind", str(step.output), "/out", "--remount-ro", "/"]
    for name, value in sorted(step.environment.items()):
        args += ["--setenv", name, value]
    return [*args, "--chdir", step.directory]


def _masks(proc: Path) -> Iterator[str]:
    """Hide everything in /proc but the processes of the namespace: the rest describes, or controls, the machine.

    A builder run by root would otherwise let its steps write the machine's sysctls: these ask for the kernel's user 0,
    not for a capability.
    """
    with os.scandir(proc) as entries:
        names = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.is_symlink())
    for name, is_folder in names:
        if name.isdigit():
            continue
        if is_folder:
            yield from ("--tmpfs", f"/proc/{name}", "--remount-ro", f"/proc/{name}")
        else:
            yield from ("--ro-bind", "/dev/null", f"/proc/{name}")
