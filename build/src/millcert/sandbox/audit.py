"""The sandbox's claims, each held against what a probe inside observed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millcert.errors import SandboxError
from millcert.sandbox.model import Mount, Sandbox, Step
from millcert.targets import Limits

__all__ = ["Claim", "audit", "judge"]

_PROBE = Path(__file__).with_name("probe.py")
_REFUSED = ("Operation not permitted", "PermissionError", "Read-only file system", "No space left on device")


@dataclass(frozen=True)
class Claim:
    """One thing the sandbox promises, what was observed, and whether that keeps the promise."""

    text: str
    observed: str
    held: bool


def audit(sandbox: Sandbox, root: Path, python: str, environment: Mapping[str, str], limits: Limits) -> list[Claim]:
    """Run the probe on a root and judge what it reports; SandboxError where the probe itself cannot run."""
    secret = secrets.token_hex(8)
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        place = Path(folder)
        for name in ("probe", "out"):
            (place / name).mkdir()
        shutil.copyfile(_PROBE, place / "probe" / "probe.py")
        (place / "bait").write_text(secret)
        abstract.bind(f"\0{secret}")
        abstract.listen()
        bait = {
            "port": listener.getsockname()[1], "abstract": secret, "secret": secret, "file": str(place / "bait"),
            "process": os.getpid(), "store": str(root),
        }  # fmt: skip
        # in a file: a command line can be read in /proc, where the probe looks for these very words
        (place / "probe" / "bait.json").write_text(json.dumps(bait))
        argv = (python, "/probe/probe.py", "/probe/bait.json")
        mounts = (Mount(place / "probe", "/probe"),)
        outcome = sandbox.run(Step(argv, environment, root, mounts, place / "out", "/", limits))
    if outcome.status or outcome.exceeded:
        raise SandboxError("the probe failed", status=outcome.status, limit=outcome.exceeded or None, log=outcome.log)
    return judge(json.loads(outcome.log), environment)


def judge(seen: Mapping[str, Any], environment: Mapping[str, str]) -> list[Claim]:
    """Every claim with its observation; a pure function of what the probe saw."""

    def one_of(*wanted: object) -> Callable[[object], bool]:
        return lambda value: value in wanted

    unreachable = one_of("ConnectionRefusedError", "Network is unreachable")
    no_call = one_of(*_REFUSED)
    claims: list[tuple[str, str, Callable[[Any], bool]]] = [
        ("no network interface but its own loopback", "interfaces", one_of(["lo"])),
        ("the machine's loopback is out of reach", "loopback", unreachable),
        ("abstract sockets of the machine are out of reach", "abstract", unreachable),
        ("the internet is out of reach", "internet", unreachable),
        ("no VSOCK to the host of a virtual machine", "vsock", one_of("Address family not supported by protocol")),
        ("no name is resolved", "names", one_of("gaierror")),
        ("only the pinned root and the step's own folders", "top", lambda value: set(value) <= _TOP),
        ("no device but null, zero, random, urandom", "devices", one_of(["fd", "null", "random", "urandom", "zero"])),
        ("only /out and /tmp can be written", "writable", one_of(["/out", "/tmp"])),
        ("a file of the machine is not there", "file", one_of("FileNotFoundError")),
        ("no variable of the machine's environment", "environment", lambda value: set(value) <= {*environment, "PWD"}),
        ("process 1 names nothing of the machine", "first_process", one_of([])),
        ("user and group 1000, no other group", "ids", one_of([1000, 1000])),
        ("no capability in any set", "capabilities", one_of(["0" * 16] * 5)),
        ("no privilege can be gained by exec (NoNewPrivs)", "no_new_privileges", one_of("1")),
        ("system calls are filtered (Seccomp)", "filter", one_of("2")),
        ("no process but its own", "processes", lambda value: value <= 3),
        ("processes of the machine cannot be signalled", "signal", one_of("ProcessLookupError")),
        ("nothing of /proc but its own processes", "settings", one_of([])),
        ("the machine's settings cannot be written", "setting", one_of("FileNotFoundError", *_REFUSED)),
        ("device nodes cannot be changed", "device_mode", no_call),
        ("device nodes cannot be made", "node", no_call),
        ("nothing can be mounted", "mount", no_call),
        ("no user namespace can be made", "namespace", no_call),
        ("kernel keyrings are out of reach", "keyring", no_call),
        ("no set-user-id file in the root", "set_id", one_of([])),
        ("no descriptor but input, output, errors", "descriptors", one_of([0, 1, 2])),
        ("the host is called build", "host", one_of("build")),
        ("umask is 022", "umask", one_of("022")),
        ("time zone is UTC", "zone", one_of(["UTC", "UTC"])),
        ("locale is C.UTF-8", "locale", one_of("C.UTF-8")),
        ("hashes of strings are not random (PYTHONHASHSEED)", "hash_seed", one_of("0")),
        ("a time to write down instead of the clock's (SOURCE_DATE_EPOCH)", "epoch", lambda value: value.isdigit()),
        ("inputs, and links among them, bear one time everywhere", "input_times", one_of([315532800])),
    ]
    return [Claim(text, _show(seen[key]), held(seen[key])) for text, key, held in claims]


_TOP = {
    "bin",
    "dev",
    "etc",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "opt",
    "out",
    "probe",
    "proc",
    "sbin",
    "tmp",
    "usr",
    "var",
}


def _show(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
