"""Attacks from inside a build step on the machine's resources: each is stopped, and the error names the limit."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.hermetic import LIMITS, ROOT, Lab, Quiet

from millcert.errors import BuildError, LimitError
from millcert.hermetic.build import Builder
from millcert.hermetic.derivation import Command, Output
from millcert.sandbox import Bubblewrap
from millcert.sandbox.watch import Watch
from millcert.store import Store
from millcert.targets import Limits

MARK = "millcert-attack"


def living(mark: str) -> list[int]:
    """Processes of the machine whose command line holds a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [number for number in found if number != os.getpid()]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited 20 s in vain"
        time.sleep(0.01)


ATTACKS = {
    "processes": "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    "threads": """
import threading
threading.stack_size(1 << 16)
while True:
    try:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError:
        pass""",
    "memory": "held = []\nwhile True:\n    held.append(bytearray(os.urandom(1 << 20)))",
    "memory of many": """
for _ in range(8):
    if os.fork() == 0:
        break
held = bytearray(os.urandom(1 << 20)) * 200
time.sleep(60)""",
    "output": "with open('/out/big', 'wb') as file:\n    while True:\n        file.write(bytes(1 << 20))",
    "many files": """
count = 0
while True:
    with open(f"/out/{count}", "wb") as file:
        file.write(bytes(1 << 16))
    count += 1""",
    "output without a name": """
held = []
while True:
    held.append(open("/out/x", "wb"))
    os.unlink("/out/x")
    held[-1].write(bytes(1 << 20))
    held[-1].flush()""",
    "temporary files": """
with open("/tmp/big", "wb", buffering=0) as file:
    while True:
        try:
            file.write(bytes(1 << 20))
        except OSError:
            time.sleep(1)""",
    "log": "while True:\n    os.write(1, b'x' * 65536)",
    "time": "time.sleep(60)",
    "time, deaf": """
import signal
for number in (1, 2, 3, 15):
    signal.signal(number, signal.SIG_IGN)
while True:
    pass""",
}
EXPECTED = {
    "processes": "processes = 100", "threads": "processes = 100", "memory": "memory_mib = 256",
    "memory of many": "memory_mib = 256", "output": "output_mib = 32", "many files": "output_mib = 32",
    "output without a name": "output_mib = 32", "temporary files": "output_mib = 32 (in /tmp)", "log": "log_mib = 1",
    "time": "wall_seconds = 1", "time, deaf": "wall_seconds = 1",
}  # fmt: skip


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_the_step_is_stopped_and_the_limit_named(lab: Lab, attack: str) -> None:
    seconds = 1 if attack.startswith("time") else 30
    # a hundred copies of Python pass 256 MiB on the way to the limit that they attack
    memory = 256 if attack.startswith("memory") else 4096
    ran = lab.run(ATTACKS[attack], memory_mib=memory, output_mib=32, wall_seconds=seconds)
    assert ran.outcome.exceeded == EXPECTED[attack], ran.outcome.log[-500:]
    assert living(lab.mark) == []


COUNT = """
made = 0
try:
    while made < 400:
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except BlockingIOError:
    pass
print(json.dumps(made), flush=True)
os.kill(-1, 9)"""


def kernel_counts() -> bool:
    """Whether the kernel can bound this user's processes: root's only where it may make a control group."""
    if os.geteuid():
        return True
    groups = [Path(f"/sys/fs/cgroup/{name}millcert-test-{secrets.token_hex(4)}") for name in ("pids/", "")]
    for group in groups:
        with contextlib.suppress(OSError):
            group.mkdir()
            bounds = (group / "pids.max").exists()
            group.rmdir()
            if bounds:
                return True
    return False


def test_the_kernel_itself_lets_no_step_have_more_processes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch looks away; it would come too late for a step that is quicker than it."""
    if not kernel_counts():
        pytest.skip("root on a machine without a control group of processes to use")
    monkeypatch.setattr(Watch, "_passed", lambda *_: "")
    ran = lab.run(COUNT)
    assert 90 <= json.loads(ran.outcome.log.splitlines()[0]) <= LIMITS.processes, ran.outcome
    assert living(lab.mark) == []


def test_the_kernel_counts_the_processes_of_any_other_user_too(lab: Lab, tmp_path: Path) -> None:
    """Root's are left to a control group; another user's are counted in the step's own user namespace alone."""
    if os.geteuid():
        pytest.skip("the test before is this one for a user who is not root")
    other = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "env", f"PYTHONPATH={ROOT}/build/src"]
    program = """
import sys; from pathlib import Path; from millcert.sandbox import *; from millcert.sandbox.watch import Watch
from millcert.targets import Limits
Watch._passed = lambda *_: ""
limits = Limits(60, 4096, 100, 64, 1)
step = Step(("/usr/bin/python3", "-c", sys.argv[1]), {}, Path("/"), (), Path(sys.argv[2]), "/", limits)
print(Bubblewrap().run(step).log)
"""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as output:  # pytest's own are closed to other users
        os.chown(output, 12345, 12345)
        command = [*other, "/usr/bin/python3", "-c", program, "import json, os, time\n" + COUNT, output]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if "No module named" in done.stderr or "No such file" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"another user cannot run this checkout here: {done.stderr[-200:]}")
    assert 90 <= json.loads(done.stdout.splitlines()[0]) <= 100, done


def test_the_kernel_itself_lets_no_file_outgrow_the_output(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "_passed", lambda *_: "")
    ran = lab.run("file = open('/out/big', 'wb', 0)\nfor _ in range(64):\n    file.write(bytes(1 << 20))", output_mib=8)
    assert "File too large" in ran.outcome.log
    assert (ran.output / "big").stat().st_size == 9 << 20  # a MiB past the limit, so that the limit is seen passed
    assert ran.outcome.exceeded == "output_mib = 8"


def test_a_log_is_cut_to_its_end(lab: Lab) -> None:
    outcome = lab.run("os.write(1, b'x' * (3 << 20))\nprint('the end')", log_mib=4).outcome
    assert outcome.exceeded == ""
    assert outcome.log.endswith("the end\n")
    assert len(outcome.log) <= 1 << 20


def test_an_output_that_grows_past_the_limit_between_two_looks_is_found_at_the_end(lab: Lab) -> None:
    ran = lab.run(
        "os.truncate(os.open('/out/x', os.O_CREAT | os.O_RDWR), 0)\nopen('/out/x', 'wb').write(bytes(3 << 20))",
        output_mib=2,
    )
    assert ran.outcome.exceeded == "output_mib = 2"


def test_a_process_left_behind_is_gone_when_the_step_is(lab: Lab) -> None:
    """A daemon, made as daemons are: forked twice, in a session of its own, its descriptors closed."""
    ran = lab.run("""
ready, go = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for descriptor in (0, 1, 2, ready):
            os.close(descriptor)
        for number in range(1, 65):
            try:
                __import__("signal").signal(number, 1)
            except (OSError, ValueError):
                pass
        os.write(go, b"x")
        while True:
            open("/out/late", "a").write("x")
    os._exit(0)
os.read(ready, 1)
print(json.dumps("left"))""")
    assert ran.found == "left"
    assert living(lab.mark) == []
    size = (ran.output / "late").stat().st_size
    assert size == (ran.output / "late").stat().st_size


def test_steps_end_with_a_builder_that_is_killed(lab: Lab, tmp_path: Path) -> None:
    """kill -9 of millcert: nothing of the sandbox survives it."""
    step = lab.step(f"open('/out/{MARK}', 'w').close()\ntime.sleep(60)")
    program = (
        "import sys; from pathlib import Path; from millcert.sandbox import *; from millcert.targets import Limits\n"
        f"m = (Mount(Path({str(step.mounts[0].source)!r}), '/script'),)\n"
        f"Bubblewrap().run(Step({step.argv!r}, {{}}, Path({str(step.root)!r}), m, Path({str(step.output)!r}), '/',"
        " Limits(60, 1024, 100, 64, 1)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as builder:
        wait_until(lambda: (step.output / MARK).exists())
        assert living(lab.mark) != []
        builder.send_signal(signal.SIGKILL)
    wait_until(lambda: living(lab.mark) == [])


def test_interrupting_stops_every_step(lab: Lab) -> None:
    sandbox = Bubblewrap()
    step = lab.step("open('/out/started', 'w').close()\ntime.sleep(60)")
    caught: list[BaseException] = []

    def work() -> None:
        try:
            sandbox.run(step)
        except KeyboardInterrupt as error:
            caught.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    wait_until(lambda: (step.output / "started").exists())
    sandbox.interrupt()
    worker.join(20)
    assert len(caught) == 1
    assert living(lab.mark) == []


def refused(lab: Lab, store: Store, code: str, limits: Limits) -> BuildError:
    """The error of a build whose one step is some Python."""
    node = Command("greedy", ("/usr/bin/python3.11", "-c", code), Output("root"), {}, ())
    builder = Builder(store, Bubblewrap, {}, limits, Quiet(), jobs=1)
    builder._store.checkout = lambda _: lab.root  # type: ignore[method-assign] # the root is the lab's, not this store's
    with pytest.raises(BuildError) as caught:
        builder._bring(node, "1" * 64, {"root": "0" * 64})  # type: ignore[arg-type, dict-item]
    assert list((store.root / "tmp").iterdir()) == []
    assert not list((store.root / "records").iterdir())
    return caught.value


def test_the_error_of_a_build_names_the_limit_and_where_it_is_set(lab: Lab, tmp_path: Path) -> None:
    error = refused(lab, Store(tmp_path / "store"), "while True: pass", Limits(1, 256, 100, 32, 1))
    assert isinstance(error, LimitError)
    assert error.evidence["limit"] == "wall_seconds = 1"
    assert "[limits]" in error.fix


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        ("file = open('/tmp/big', 'wb', 0)\nwhile True: file.write(bytes(1 << 20))", "output_mib = 16"),
        ("import mmap\nmmap.mmap(-1, 4 << 30)", "memory_mib = 512"),  # not a page of it is used
        ("import os\nwhile os.fork() or True: pass", "processes = 100"),
    ],
)
def test_a_program_that_the_kernel_stops_first_has_the_limit_named_too(
    lab: Lab, tmp_path: Path, code: str, limit: str
) -> None:
    """Most programs end at the first error, between two looks of the watch."""
    if limit.startswith("processes") and not kernel_counts():
        pytest.skip("root on a machine without a control group of processes to use")
    error = refused(lab, Store(tmp_path / "store"), code, Limits(30, 512, 100, 16, 1))
    assert limit in str(error)
    assert "[limits]" in error.fix
