"""Attacks by the project that is built: a hostile build script, hostile C++, and sources that reach for the machine.

The steps are those of a real plan, run through the real builder; the compiler is the pinned one.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.hermetic import Lab, Quiet, build_steps, commit, sample_project

from millcert.errors import BuildError, ConfigError, MillcertError, NotReproducibleError, UnsafeArchiveError
from millcert.store import Store

SCRIPT = "native/codegen/constants.py"
HEADER = """
import json, locale, os, pathlib, platform, socket, sys, time
out = pathlib.Path(sys.argv[1])
(out / "constants.inc").write_text("static constexpr long answer = 42;\\n")
"""


def backend(body: str) -> str:
    """A build script that does its work, and something else."""
    return f"{HEADER}{body}\n(out / '_native.pyi').write_text(json.dumps(facts, sort_keys=True))\n"


def output_of(store: Store, project: Path, *, fresh: bool = False) -> str:
    built = build_steps(project, store, "generate-0", fresh=fresh)
    return store.tree_file(built["generate-0"].tree, "_native.pyi").read_text()


EVERYTHING = backend("""
facts = {
    "node": platform.node(), "name": socket.gethostname(), "user": os.getuid(), "group": os.getgid(),
    "groups": os.getgroups(),
    "home": os.path.expanduser("~"), "here": os.getcwd(), "environment": dict(os.environ), "locale": locale.getlocale(),
    "zone": time.tzname, "hash": hash("seed"), "umask": os.umask(0), "argv": sys.argv, "nice": os.nice(0),
    "path": sys.path, "executable": sys.executable, "times": {
        path: os.lstat(path).st_mtime_ns for base in ("/src", "/usr", "/etc")
        for path in (os.path.join(b, n) for b, ds, fs in os.walk(base) for n in [*ds, *fs])},
    "modes": {path: oct(os.lstat(path).st_mode) for base in ("/src", "/usr/lib/python3.11")
              for path in (os.path.join(b, n) for b, ds, fs in os.walk(base) for n in [*ds, *fs])},
    "limits": __import__("resource").getrlimit(__import__("resource").RLIMIT_NOFILE),
    "signals": sorted(__import__("signal").pthread_sigmask(0, [])), "parent": os.getppid(), "session": os.getsid(0),
}
""")


@pytest.fixture
def beside(warm_store: Store) -> Iterator[Path]:
    """A folder on the warm store's file system, where its blobs can be linked."""
    with tempfile.TemporaryDirectory(dir=warm_store.root.parent) as folder:
        yield Path(folder)


def test_what_a_build_can_learn_of_the_machine_is_the_same_everywhere(
    warm_store: Store, lab: Lab, tmp_path: Path, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Host name, user, folders, environment, zone, umask, times and modes of inputs, all written into the output."""
    first = sample_project(tmp_path / "one", {SCRIPT: EVERYTHING})
    second = sample_project(tmp_path / "elsewhere" / "and deeper", {SCRIPT: EVERYTHING})
    here = output_of(warm_store, first, fresh=True)
    other = Store(beside)
    for blob in (warm_store.root / "blobs").glob("*/*"):
        if not blob.suffix and not other.has(blob.name):  # type: ignore[arg-type] # a file name is the digest
            (other.root / "blobs" / blob.parent.name).mkdir(exist_ok=True)
            os.link(blob, other.root / "blobs" / blob.parent.name / blob.name)
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.chdir(tmp_path)
    before, priority = os.umask(0o077), os.getpriority(os.PRIO_PROCESS, 0)
    try:
        if os.geteuid() == 0:  # nobody else may come back from another priority
            os.setpriority(os.PRIO_PROCESS, 0, priority - 5)
        there = output_of(other, second, fresh=True)
    finally:
        os.umask(before)
        if os.geteuid() == 0:
            os.setpriority(os.PRIO_PROCESS, 0, priority)
    assert json.loads(here) == json.loads(there)
    assert str(tmp_path) not in here


@pytest.mark.parametrize("fact", ["time.time_ns()", "os.urandom(8).hex()", "time.monotonic_ns()"])
def test_a_build_that_embeds_what_changes_is_found_out(warm_store: Store, lab: Lab, tmp_path: Path, fact: str) -> None:
    """The clock and randomness cannot be taken from a process; a second build shows that they were used."""
    project = sample_project(tmp_path / "project", {SCRIPT: backend(f"facts = {fact}")})
    first = output_of(warm_store, project)
    assert output_of(warm_store, project) == first  # looked up
    with pytest.raises(NotReproducibleError) as caught:
        output_of(warm_store, project, fresh=True)
    assert {"key", "before", "now"} <= set(caught.value.evidence)
    assert "generate-0" in caught.value.message


def test_a_step_cannot_poison_what_another_step_uses(warm_store: Store, lab: Lab, tmp_path: Path) -> None:
    """A hostile step of one project writes wherever it can; the honest project's steps give what they gave before."""
    honest = sample_project(tmp_path / "honest")
    before = build_steps(honest, warm_store, "generate-0", "python-headers")
    store = str(warm_store.root)
    attack = backend(f"""
facts = []
targets = [{store!r}, "/proc/1/root" + {store!r}, "/src", "/usr/include/python3.11", "/proc/self/cwd", "/out/../src"]
for target in targets:
    for base, folders, files in os.walk(target):
        for name in files:
            try:
                os.chmod(os.path.join(base, name), 0o644)
                with open(os.path.join(base, name), "a") as file:
                    file.write("poison")
                facts.append(os.path.join(base, name))
            except OSError:
                pass
os.symlink("/src", out / "records")
""")
    hostile = sample_project(tmp_path / "hostile", {SCRIPT: attack})
    assert output_of(warm_store, hostile) == "[]"
    again = build_steps(honest, warm_store, "generate-0", "python-headers", fresh=True)
    assert {name: built.tree for name, built in again.items()} == {name: built.tree for name, built in before.items()}


SOURCE = "native/csrc/module.cpp"
OBJECT = "compile-x86_64-csrc-module.o"


def compiled(project: Path, store: Store, *, fresh: bool = False) -> bytes:
    built = build_steps(project, store, OBJECT, fresh=fresh)
    return store.tree_file(built[OBJECT].tree, "csrc-module.o").read_bytes()


@pytest.mark.parametrize(
    "line",
    [
        '#include "{secret}"',
        '#include "../../../../../../../../../../../../../../../../{secret}"',
        '__asm__(".incbin \\"{secret}\\"");',
        '__asm__(".incbin \\"/proc/1/root{secret}\\"");',
        'const char stolen[] = {{\n#embed "{secret}"\n}};',
    ],
)
def test_no_file_of_the_machine_is_compiled_in(warm_store: Store, lab: Lab, tmp_path: Path, line: str) -> None:
    secret = tmp_path / "secret.h"
    secret.write_text('static const char key[] = "the-secret-key";\n')
    project = sample_project(tmp_path / "project", {SOURCE: line.format(secret=secret) + "\n"})
    with pytest.raises(MillcertError) as caught:
        compiled(project, warm_store)
    assert isinstance(caught.value, BuildError | UnsafeArchiveError | ConfigError)
    assert "the-secret-key" not in str(caught.value)


def test_time_and_path_macros_say_nothing(warm_store: Store, lab: Lab, tmp_path: Path) -> None:
    quiet = '#pragma clang diagnostic ignored "-Wdate-time"\n'  # zig makes it an error, which a source can take back
    macros = "__DATE__ __TIME__ __TIMESTAMP__ __FILE__ __BASE_FILE__"
    text = f'{quiet}extern const char facts[];\nconst char facts[] = {macros} " is what I know";\n'
    one = sample_project(tmp_path / "one", {SOURCE: text})
    first = compiled(one, warm_store)
    assert b"is what I know" in first
    assert str(tmp_path).encode() not in first
    os.utime(one / SOURCE, (1, 1))
    two = sample_project(tmp_path / "two", {SOURCE: text})
    assert compiled(two, warm_store, fresh=True) == first


def test_a_link_in_the_sources_does_not_bring_in_a_file_of_the_machine(
    warm_store: Store, lab: Lab, tmp_path: Path
) -> None:
    """Git stores links; a pull request may hold one to ~/.ssh/id_ed25519, and what is built is published."""
    secret = tmp_path / "id_ed25519"
    secret.write_text("the-secret-key")
    project = sample_project(tmp_path / "project")
    (project / "native/src/sample/data.txt").symlink_to(secret)
    commit(project)
    with pytest.raises(UnsafeArchiveError) as caught:
        build_steps(project, warm_store, "generate-0")
    assert "data.txt" in caught.value.evidence["path"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("native/native.toml", 'source = "src"', 'source = "{secrets}"'),
        ("native/native.toml", 'sources = ["csrc/module.cpp"]', 'sources = ["../../secrets/*"]'),
        ("native/native.toml", 'script = "codegen/constants.py"', 'script = "../../secrets/key"'),
        ("native/pyproject.toml", "description =", 'readme = "../../secrets/key.md"\ndescription ='),
    ],
)
def test_a_path_of_the_project_files_does_not_lead_out(
    warm_store: Store, lab: Lab, tmp_path: Path, file: str, old: str, new: str
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("key", "key.md"):
        (secrets / name).write_text("the-secret-key")
    project = sample_project(tmp_path / "project")
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new.format(secrets=secrets)))
    commit(project)
    with pytest.raises((UnsafeArchiveError, ConfigError)):
        build_steps(project, warm_store, "generate-0")


def test_an_ignored_file_does_not_slip_into_a_clean_build(warm_store: Store, lab: Lab, tmp_path: Path) -> None:
    """.gitignore hides a file from `git status`, so the tree looks clean; the wheel must not hold it."""
    project = sample_project(tmp_path / "project", {".gitignore": "local.py\n"})
    observer = Quiet()
    before = build_steps(project, warm_store, "wheel-cpu-x86_64", observer=observer)
    (project / "native/src/sample/local.py").write_text("backdoor = True\n")
    assert subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True).stdout == b""
    after = build_steps(project, warm_store, "wheel-cpu-x86_64")
    assert after["wheel-cpu-x86_64"].tree == before["wheel-cpu-x86_64"].tree


def test_a_change_that_git_was_told_not_to_see_makes_the_build_dirty(warm_store: Store, tmp_path: Path) -> None:
    from millcert.hermetic.revision import read_revision

    project = sample_project(tmp_path / "project")
    assert not read_revision(project).dirty
    subprocess.run(["git", "update-index", "--assume-unchanged", SOURCE], cwd=project, check=True)
    with (project / SOURCE).open("a") as file:
        file.write("// backdoor\n")
    assert subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True).stdout == b""
    assert read_revision(project).dirty
