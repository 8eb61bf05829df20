"""Attacks on the store by bad luck: killed writers, two at once, a full disk, an interrupted build."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.attacks.test_sandbox_limits import living, wait_until
from tests.support.hermetic import Lab, run_python, sample_project

from millcert.errors import DiskFullError, StoreError
from millcert.store import Store
from millcert.store.audit import verify
from millcert.store.garbage import collect

WRITER = """
import pathlib, sys, random
from millcert.store import Store
from millcert.model import digest_of
store, folder = Store(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])
print("ready", flush=True)
generator = random.Random(int(sys.argv[3]))
while True:
    name = str(generator.randrange(40))
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (folder / "sub" / name).write_bytes(generator.randbytes(generator.randrange(200_000)))
    (folder / name).write_text(name)
    (folder / name).chmod(0o755)
    tree = store.add_tree(folder)
    store.put_record(digest_of(name.encode()), tree, name=name)
    store.checkout(tree)
"""


def test_kill_9_at_any_moment_leaves_a_store_that_verifies(tmp_path: Path) -> None:
    root = tmp_path / "store"
    generator = random.Random(20261123)
    left = 0
    for number in range(25):
        with run_python(WRITER, str(root), str(tmp_path / f"work-{number}"), str(number)) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(generator.random() * 0.15)  # the moment of the crash is the point of this test
            writer.kill()
        left += len(list((root / "tmp").iterdir()))
        report = verify(Store(root))
        assert report.problems == ()
        assert list((root / "tmp").iterdir()) == []  # opening it removed what the dead left
    assert left > 0, "no writer was ever caught at work"
    assert report.blobs > 20


def test_a_tree_is_unpacked_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "folder").mkdir()
    for name in ("first", "second"):
        (tmp_path / "folder" / name).write_text(name)
    tree = store.add_tree(tmp_path / "folder")
    linked: list[Path] = []

    def link_one_and_die(path: Path, blob: Path) -> None:
        if linked:
            raise KeyboardInterrupt
        os.link(blob, path)
        linked.append(path)

    monkeypatch.setattr(Path, "hardlink_to", link_one_and_die)
    with pytest.raises(KeyboardInterrupt):
        store.checkout(tree)
    assert linked
    assert list((store.root / "trees").iterdir()) == []


def test_what_a_living_process_works_on_is_not_cleaned_away(tmp_path: Path) -> None:
    first = Store(tmp_path / "store")
    with first.temporary() as work:
        work.write_text("half done")
        assert run_python("import pathlib, sys; from millcert.store import Store; Store(pathlib.Path(sys.argv[1]))",
                          str(first.root)).wait() == 0  # fmt: skip
        assert work.read_text() == "half done"


def test_garbage_is_not_collected_under_a_build(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    holder = run_python(
        "import pathlib, sys; from millcert.store import Store; s = Store(pathlib.Path(sys.argv[1]));"
        " print('open', flush=True); input()",
        str(store.root), stdin=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        digest = store.add_bytes(b"an input of that build")
        with pytest.raises(StoreError, match="in use"):
            collect(store, [], time.time())
        assert store.has(digest)
        holder.communicate("\n")
    assert collect(store, [], time.time()).removed_blobs == 1


BUILDER = """
import json, sys
from tests.support.hermetic import Quiet, LIMITS, UNPACKERS, _warm
from millcert.hermetic.build import Builder
from millcert.hermetic.derivation import Command, Output
from millcert.sandbox import Bubblewrap
store, root = _warm()
code = "import os, time; time.sleep(1); open('/out/x', 'wb').write(os.urandom(16)) # " + sys.argv[1]
node = Command("random", ("/usr/bin/python3.11", "-c", code), Output(root.name), {}, ("x",))
observer = Quiet()
print("ready", flush=True)
input()
built = Builder(store, Bubblewrap, UNPACKERS, LIMITS, observer, jobs=2).build([root, node])
print(json.dumps({"ran": observer.ran, "tree": built["random"].tree}))
"""


def test_two_builds_at_once_build_a_step_once(lab: Lab) -> None:
    """The step writes random bytes, so that building it twice would show."""
    tag = os.urandom(8).hex()
    builders = [run_python(BUILDER, tag, stdin=subprocess.PIPE) for _ in range(2)]
    for builder in builders:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "ready\n"
    for builder in builders:
        assert builder.stdin is not None
        builder.stdin.write("\n")
        builder.stdin.flush()
    answers = []
    for builder in builders:
        output, errors = builder.communicate(timeout=60)
        assert builder.returncode == 0, errors
        answers.append(json.loads(output))
    assert answers[0]["tree"] == answers[1]["tree"]
    assert sorted(answer["ran"] for answer in answers) == [[], ["random"]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    if os.geteuid():
        pytest.skip("only root may mount a small file system to fill")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small file system could not be mounted: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)  # a store may still be open there


def test_a_full_disk_is_said_to_be_full_and_nothing_half_written_is_kept(small_disk: Path, tmp_path: Path) -> None:
    store = Store(small_disk / "store")
    kept = store.add_bytes(b"kept")
    big = tmp_path / "folder"
    big.mkdir()
    for number in range(8):
        (big / str(number)).write_bytes(random.Random(number).randbytes(1 << 20))
    with pytest.raises(DiskFullError) as caught:
        store.add_tree(big)
    assert "gc" in caught.value.fix
    assert list((store.root / "tmp").iterdir()) == []
    assert store.read(kept) == b"kept"
    assert verify(store).problems == ()


def test_a_wheel_that_finds_the_disk_full_does_not_replace_the_one_before(small_disk: Path) -> None:
    from millcert.files import place

    place(small_disk / "a.whl", b"x" * (3 << 20))
    with pytest.raises(DiskFullError):
        place(small_disk / "a.whl", b"y" * (3 << 20))
    assert (small_disk / "a.whl").read_bytes() == b"x" * (3 << 20)
    assert [path.name for path in small_disk.iterdir()] == ["a.whl"]


SLOW = """
import pathlib, sys, time
pathlib.Path(sys.argv[1], "started").write_text("x")
time.sleep(60)
"""
# Ctrl-C as it comes when the system hands it to another thread than the one that handles it
ELSEWHERE = """
import signal, sys, threading
from millcert.cli import main
def strike():
    sys.stdin.read(1)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
threading.Thread(target=strike, daemon=True).start()
main()
"""


class SlowBuild:
    """A project one of whose steps takes a minute, and the builds of it that were started."""

    def __init__(self, folder: Path) -> None:
        tag = f"interrupted-{os.urandom(6).hex()}"
        self.project = sample_project(folder / "project", {"native/codegen/constants.py": f"# {tag}\n{SLOW}"})
        self.step = f"codegen/{tag}.py"
        (self.project / "native/codegen/constants.py").rename(self.project / "native" / self.step)
        text = (self.project / "native/native.toml").read_text()
        (self.project / "native/native.toml").write_text(text.replace("codegen/constants.py", self.step))

    def start(self, *program: str) -> subprocess.Popen[str]:
        command = [*(program or ("-m", "millcert")), "build", "cpu", "--arch", "x86_64", "--jobs", "8"]
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.project,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def reach_the_step(self, build: subprocess.Popen[str]) -> None:
        wait_until(lambda: living(self.step) != [] or build.poll() is not None)
        assert build.poll() is None, build.stderr

    def ended(self, build: subprocess.Popen[str]) -> str:
        """What a build said that ends within a moment."""
        build.wait(30)
        assert build.stderr is not None
        return build.stderr.read()


@pytest.fixture
def slow(tmp_path: Path, lab: Lab) -> Iterator[SlowBuild]:
    build = SlowBuild(tmp_path)
    yield build
    wait_until(lambda: living(build.step) == [])
    assert not (build.project / "dist").exists()
    shutil.rmtree(build.project)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing_in_dist_and_nothing_running(slow: SlowBuild, how: signal.Signals) -> None:
    with slow.start() as build:
        slow.reach_the_step(build)
        build.send_signal(how)
        said = slow.ended(build)
    if how == signal.SIGINT:
        assert build.returncode == 130
        assert "Traceback" not in said


def test_an_interrupt_that_another_thread_takes_ends_the_build_all_the_same(slow: SlowBuild) -> None:
    with slow.start("-c", ELSEWHERE) as build:
        slow.reach_the_step(build)
        assert build.stdin is not None
        build.stdin.write("x")
        build.stdin.flush()
        assert "Traceback" not in slow.ended(build)
    assert build.returncode == 130


def test_a_build_that_waits_for_another_says_so_and_can_be_interrupted(slow: SlowBuild) -> None:
    with slow.start() as first:
        slow.reach_the_step(first)
        with slow.start() as second:
            assert second.stderr is not None
            assert any("another build is at it" in line for line in second.stderr)
            second.send_signal(signal.SIGINT)
            slow.ended(second)
        assert second.returncode == 130
        assert living(slow.step) != []  # the first goes on
        first.send_signal(signal.SIGINT)
        slow.ended(first)
    assert first.returncode == 130
