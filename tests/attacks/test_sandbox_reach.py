"""Attacks from inside a build step on what lies outside of it: network, files, secrets, processes, the kernel.

Each step runs on the real pinned root in the real sandbox, and tries. The control beside an attack shows that the
same attempt works without the guard, so that a test cannot pass because the attack was clumsy.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.hermetic import Lab

from millcert.sandbox import seccomp

CONNECT = """
def reach(family, address):
    import socket
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(address)
            return client.recv(64).decode()
        except OSError as error:
            return error.__class__.__name__
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_no_network_not_even_the_machines_loopback(lab: Lab, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        listener.accept()[0].close()  # the control: it can be reached from outside the sandbox
    found = lab.run(f"""{CONNECT}
import socket
print(json.dumps({{
    "loopback": reach(socket.AF_INET, ("127.0.0.1", {port})),
    "loopback6": reach(socket.AF_INET6, ("::1", {port})),
    "internet": reach(socket.AF_INET, ("192.0.2.1", 443)),
    "interfaces": [name for _, name in socket.if_nameindex()],
}}))""").found
    assert found["interfaces"] == ["lo"]
    assert found["loopback"] == found["loopback6"] == "ConnectionRefusedError"
    assert found["internet"] == "OSError"
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_no_names_are_resolved(lab: Lab) -> None:
    found = lab.run("""
import socket
answers = {}
for name in ("localhost.example.org", "example.com"):
    try:
        answers[name] = socket.getaddrinfo(name, 443)[0][4][0]
    except OSError as error:
        answers[name] = "none"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
    try:
        resolver.sendto(b"\\0" * 12, ("192.0.2.53", 53))
        answers["query"] = "sent"
    except OSError:
        answers["query"] = "none"
print(json.dumps(answers))""").found
    assert set(found.values()) == {"none"}


def test_an_abstract_socket_of_the_machine_is_out_of_reach(lab: Lab) -> None:
    name = f"\0millcert-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(name)
        found = lab.run(f"""{CONNECT}
import socket
print(json.dumps(reach(socket.AF_UNIX, {name!r})))""").found
    assert found == "ConnectionRefusedError"


def test_address_families_that_no_network_namespace_covers_are_refused(lab: Lab) -> None:
    """VSOCK reaches the host of a virtual machine from any network namespace; AF_ALG and others the kernel."""
    found = lab.run("""
import socket
answers = {}
for name, family, kind in (("vsock", 40, 1), ("alg", 38, 5), ("packet", 17, 3), ("bluetooth", 31, 1), ("unix", 1, 1)):
    try:
        socket.socket(family, kind).close()
        answers[name] = 0
    except OSError as error:
        answers[name] = error.errno
print(json.dumps(answers))""").found
    assert found == {"vsock": 97, "alg": 97, "packet": 97, "bluetooth": 97, "unix": 0}


def test_host_files_are_not_there(lab: Lab, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the key")
    paths = [str(secret), "/etc/passwd", "/etc/shadow", "/etc/hostname", "/root", "/home", "/var", "/run", "/sys",
             "/usr/bin/git", "/usr/bin/gcc", "/bin/sh", f"/proc/{os.getpid()}", "/dev/shm", "/dev/tty"]  # fmt: skip
    found = lab.run(f"""
paths = {paths!r}
links = ["/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/proc/self/cwd"]
print(json.dumps({{
    "seen": [path for path in paths if os.path.lexists(path)],
    "through": [link + path for link in links for path in paths if os.path.exists(link + path)],
    "top": sorted(os.listdir("/")), "devices": sorted(os.listdir("/dev")),
}}))""").found
    # the root's own shell library is Debian's; nothing else of the list may exist
    assert found["seen"] == found["through"] == []
    assert found["devices"] == ["fd", "null", "random", "urandom", "zero"]
    assert set(found["top"]) <= {"bin", "dev", "etc", "lib", "lib64", "out", "proc", "sbin", "script", "tmp", "usr"}


def test_secrets_of_the_environment_do_not_come_in(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLCERT_TEST_TOKEN", "hunter2")
    found = lab.run("""
texts = {}
for number in ("1", "self"):
    for name in ("environ", "cmdline"):
        texts[number + "/" + name] = open(f"/proc/{number}/{name}", "rb").read().decode()
print(json.dumps({"names": sorted(os.environ), "texts": texts}))""").found
    # bubblewrap sets PWD, Python LC_CTYPE where the locale is unset
    assert set(found["names"]) - {"PWD", "LC_CTYPE"} == {"HOME", "PATH", "PYTHONDONTWRITEBYTECODE"}
    together = "\n".join(found["texts"].values())
    assert "hunter2" not in together
    # the command line of process 1 would name the folders of the store, and with them the user
    assert str(lab.root) not in together
    assert str(Path.cwd()) not in together


def test_no_descriptor_of_the_builder_is_kept(lab: Lab, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        found = lab.run("""
links = [(fd, f"/proc/self/fd/{fd}") for fd in sorted(os.listdir("/proc/self/fd"))]
print(json.dumps([(fd, os.readlink(link).split(":")[0]) for fd, link in links if os.path.lexists(link)]))""").found
    assert found == [["0", "/dev/null"], ["1", "pipe"], ["2", "pipe"]]


def test_ids_capabilities_and_privileges(lab: Lab) -> None:
    found = lab.run("""
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
keys = "Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp"
print(json.dumps({key: status[key].split() for key in keys} | {"host": os.uname().nodename}))""").found
    assert found["Uid"] == found["Gid"] == ["1000"] * 4
    assert {*found["CapEff"], *found["CapPrm"], *found["CapBnd"]} == {"0" * 16}
    assert found["NoNewPrivs"] == ["1"]
    assert found["Seccomp"] == ["2"]
    assert found["host"] == "build"


def test_other_processes_can_be_neither_seen_nor_signalled_nor_traced(lab: Lab) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        found = lab.run(f"""
libc = ctypes.CDLL(None, use_errno=True)
def attempt(call, *arguments):
    ctypes.set_errno(0)
    return [call(*arguments), ctypes.get_errno()]
numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
print(json.dumps({{
    "highest": max(numbers), "count": len(numbers),
    "kill": attempt(libc.kill, {bystander.pid}, 9), "everyone": attempt(libc.kill, -1, 0),
    "trace": attempt(libc.ptrace, 16, 1, 0, 0),
}}))""").found
        assert bystander.poll() is None
        assert bystander.stdin is not None
        bystander.stdin.write(b"\n")
    assert found["highest"] < 10
    assert found["count"] <= 3
    assert found["kill"] == [-1, 3]  # ESRCH: there is no such process
    assert found["trace"] == [-1, 1]


def test_the_machines_settings_can_be_neither_read_nor_written(lab: Lab) -> None:
    """A builder run by root owns /proc/sys: sysctls ask for user 0 and no capability. core_pattern runs programs."""
    found = lab.run("""
def attempt(path, mode):
    try:
        open(path, mode).close()
        return True
    except OSError:
        return False
names = [e for e in os.scandir("/proc") if not e.name.isdigit() and not e.is_symlink()]
inside = [os.path.join(base, name) for e in names if e.is_dir() for base, _, files in os.walk(e.path) for name in files]
files = [e.path for e in names if not e.is_dir()]
print(json.dumps({
    "folders": len(inside), "read": [p for p in files if attempt(p, "rb")],
    "written": [p for p in files if attempt(p, "r+b")], "pattern": attempt("/proc/sys/kernel/core_pattern", "r+b"),
    "links": sorted(e.name for e in os.scandir("/proc") if e.is_symlink()),
}))""").found
    assert found == {
        "folders": 0, "read": [], "written": [], "pattern": False, "links": ["mounts", "net", "self", "thread-self"],
    }  # fmt: skip


def test_a_device_node_of_the_machine_cannot_be_changed(lab: Lab) -> None:
    """Steps of a root builder own the machine's /dev/null: without the read-only mount they could close it to all."""
    before = Path("/dev/zero").stat()
    try:
        found = lab.run("""
answers = {}
for name, change in (("mode", lambda: os.chmod("/dev/zero", 0o600)), ("times", lambda: os.utime("/dev/zero", (1, 1)))):
    try:
        change()
        answers[name] = "changed"
    except OSError as error:
        answers[name] = error.strerror
answers["works"] = open("/dev/zero", "rb").read(3) == b"\\0\\0\\0" and open("/dev/null", "wb").write(b"x") == 1
print(json.dumps(answers))""").found
        after = Path("/dev/zero").stat()
    finally:
        if os.geteuid() == 0:
            Path("/dev/zero").chmod(before.st_mode & 0o7777)
            os.utime("/dev/zero", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert "changed" not in found.values()
    assert found["works"] is True


@pytest.mark.parametrize("call", sorted(seccomp.DENIED))
def test_every_denied_call_is_refused_by_the_filter(lab: Lab, denied: dict[str, int], call: str) -> None:
    assert denied[call] == 1, call  # EPERM, whatever the arguments


@pytest.fixture(scope="module")
def denied(lab: Lab) -> dict[str, int]:
    """Each denied call made with arguments that the kernel itself would answer otherwise (EFAULT, EBADF, EINVAL)."""
    found: dict[str, int] = lab.run(f"""
libc = ctypes.CDLL(None, use_errno=True)
answers = {{}}
for name, number in {seccomp.DENIED!r}.items():
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
    answers[name] = ctypes.get_errno()
print(json.dumps(answers))""").found
    return found


def test_words_cannot_be_put_into_a_terminals_mouth(lab: Lab) -> None:
    found = lab.run("""
libc = ctypes.CDLL(None, use_errno=True)
answers = []
for request in (0x5412, 0x541C):
    ctypes.set_errno(0)
    libc.ioctl(0, ctypes.c_ulong(request), b"x")
    answers.append(ctypes.get_errno())
try:
    os.open("/dev/tty", os.O_RDWR)
    answers.append("terminal")
except OSError:
    pass
print(json.dumps(answers + [os.getsid(0) != 0]))""").found
    assert found == [1, 1, True]  # 0 would be a session of outside


def test_no_namespace_is_made_inside(lab: Lab) -> None:
    """A user namespace gives back every capability over itself, and with them the kernel's attack surface."""
    found = lab.run("""
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER = 0x10000000
child = libc.syscall(56, ctypes.c_ulong(CLONE_NEWUSER | 17), 0, 0, 0, 0)  # clone, which the filter lets by
if child == 0:
    os._exit(0)
print(json.dumps([child, ctypes.get_errno()]))""").found
    assert found[0] == -1
    assert found[1] in (1, 28)  # EPERM, or ENOSPC: the allowance of namespaces is used up


def test_calls_of_another_abi_end_the_step(lab: Lab) -> None:
    """The numbers of 32-bit calls are others, so a filter that knows only one ABI is walked around with int 0x80."""
    outcome = lab.run("""
import mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
print("called", ctypes.CFUNCTYPE(ctypes.c_int)(address)())""").outcome
    assert outcome.status == 128 + 31  # SIGSYS
    assert "called" not in outcome.log
