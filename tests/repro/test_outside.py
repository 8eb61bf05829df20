"""The same bytes whatever surrounds the build; and a build that depends on its surroundings is found and named."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.repro.conftest import LENT, REUSE, Built
from tests.support.hermetic import Lab, run_millcert, run_python, sample_project

from millcert.model import digest_of_file
from millcert.rebuild.comparison import compare, explain, first_cause
from millcert.rebuild.outside import VARIATIONS, alone, import_path, installed_pythons, is_other_python, pairwise
from millcert.store import Store

CPU = ("cpu", "--arch", "x86_64")
COMMAND = "import sys; from millcert.cli import main; main(sys.argv[1:])"


def test_two_rebuilds_under_every_variation_give_the_same_bytes(built: Built) -> None:
    done = run_millcert("repro", *CPU, *REUSE, "--project", str(built.project), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [one["identical"] for one in report["files"]] == [True] * 3  # wheel, SBOM, provenance
    (wheel,) = (one for one in report["files"] if one["file"].endswith(".whl"))
    assert set(wheel["sha256"].values()) == {digest_of_file(built.wheel)}
    first, second = report["rebuilds"]
    changed = {name for name, setting in second["settings"].items() if first["settings"][name] != setting}
    assert changed | set(second["skipped"]) == {variation.name for variation in VARIATIONS}
    assert {"directory", "umask", "locale", "time zone", "hash seed", "processors", "order of variants"} <= changed


CLOCK = """
import pathlib, sys, time
out = pathlib.Path(sys.argv[1])
(out / "constants.inc").write_text("static constexpr long answer = 42;\\n")
(out / "_native.pyi").write_text(f"def answer() -> int: ...\\nMADE = {time.time_ns()}\\n")
"""


def test_a_build_that_writes_the_time_down_is_found_and_its_first_cause_named(lab: Lab, tmp_path: Path) -> None:
    """Two real rebuilds of a project whose generated stub holds the clock."""
    project = sample_project(tmp_path / "project", {"native/codegen/constants.py": CLOCK})
    done = run_millcert("repro", *CPU, *REUSE, "--project", str(project))
    assert done.returncode == 12, done.stderr
    assert "sample/_native.pyi at byte" in done.stderr
    assert "DIFFERS" in done.stdout
    kept = list((project / "dist/repro").rglob("*.whl"))
    assert len({digest_of_file(path) for path in kept}) == 2
    if shutil.which("diffoscope"):  # says more, where it is at hand
        assert "MADE = " in done.stderr or "diffoscope failed" in done.stderr, done.stderr


def test_diffoscope_is_asked_and_its_report_cut(tmp_path: Path) -> None:
    if shutil.which("diffoscope") is None:
        pytest.skip("diffoscope is not installed (apt-get install diffoscope-minimal)")
    long = "\n".join(f"x{i} = {i}" for i in range(400)).encode()
    one = wheel(tmp_path / "one.whl", {**BASE, "a/__init__.py": long})
    other = wheel(tmp_path / "other.whl", {**BASE, "a/__init__.py": long.replace(b"x", b"y")})
    report = explain(one, other)
    assert "a/__init__.py" in report
    assert "-x0 = 0" in report
    assert len(report.splitlines()) == 60


def test_a_diffoscope_that_fails_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "diffoscope"
    program.write_text("#!/bin/sh\necho half a report\necho Traceback >&2\necho MemoryError >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert explain(tmp_path / "one", tmp_path / "other") == "diffoscope failed with status 2: MemoryError"


def test_each_variation_has_a_build_of_its_own_or_a_reason() -> None:
    pythons = installed_pythons()
    (_, first, settings), (_, second, other) = pairwise(pythons)
    assert [varied.name for varied in settings] == [varied.name for varied in other]
    for varied, before in zip(other, settings, strict=True):
        assert varied.setting
        assert varied.skipped or varied.setting != before.setting
    assert first != second
    for name, outside, _ in alone(pythons)[1:]:
        assert outside != first, name


def wheel(path: Path, members: dict[str, bytes], *, change: Callable[[zipfile.ZipInfo], None] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2026, 11, 23, 0, 0, 0))
            if change:
                change(info)
            archive.writestr(info, data)
    return path


BASE = {"a/__init__.py": b"import x\n", "a/lib.so": b"\x7fELF" + bytes(64), "a-1.dist-info/RECORD": b"a,,\n"}
CAUSES: list[tuple[dict[str, bytes], Callable[[zipfile.ZipInfo], None] | None, str]] = [
    ({**BASE, "a/lib.so": b"\x7fELF" + bytes(63) + b"\x01"}, None, "a/lib.so at byte 67"),
    ({**BASE, "a/more.py": b""}, None, "members in only one of them: a/more.py"),
    (dict(reversed(BASE.items())), None, "the order of the members"),
    (BASE, lambda info: setattr(info, "date_time", (2026, 11, 23, 0, 0, 2)), "a/__init__.py: date_time"),
    (BASE, lambda info: setattr(info, "external_attr", 0o755 << 16), "a/__init__.py: external_attr"),
    (BASE, lambda info: setattr(info, "compress_type", zipfile.ZIP_DEFLATED), "a/__init__.py: compress_type"),
    (BASE, lambda info: setattr(info, "comment", b"x"), "the archive itself, at byte"),
]


@pytest.mark.parametrize(("members", "change", "cause"), CAUSES)
def test_the_first_cause_of_two_wheels(
    tmp_path: Path, members: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None, cause: str
) -> None:
    one, other = wheel(tmp_path / "one.whl", BASE), wheel(tmp_path / "other.whl", members, change=change)
    assert first_cause(one, other).startswith(cause)


def test_a_file_that_one_build_lacks_is_not_identical() -> None:
    from millcert.model import Digest

    both, lacking = {"a.whl": Digest("1" * 64), "b.whl": Digest("2" * 64)}, {"a.whl": Digest("1" * 64)}
    first, second = compare({"first": both, "second": lacking})
    assert first.identical
    assert not second.identical
    assert second.odd == "second"


def test_an_interrupted_run_goes_on_where_it_was(built: Built, warm_store: Store) -> None:
    words = ["repro", *CPU, *REUSE, "--project", str(built.project)]
    before = set((warm_store.root / "tmp").glob("rebuilds-*.json"))
    with run_python(COMMAND, *words) as first:
        assert first.stderr is not None
        while not (said := first.stderr.readline()).startswith(("first: ", "second: ")):
            assert said, "it ended before a step was done"
        first.send_signal(signal.SIGINT)
        rest = first.stderr.read()
    assert first.returncode == 130, rest
    assert "what was finished is kept" in rest
    (note,) = set((warm_store.root / "tmp").glob("rebuilds-*.json")) - before
    folders = [Path(path) for path, *_ in json.loads(note.read_bytes()).values()]
    done = [record for folder in folders for record in folder.rglob("store/records/*.json")]
    assert len(done) > len(folders) * len(LENT), "more than what was lent: the steps that were done"
    with run_python(COMMAND, *words) as second:
        assert second.stderr is not None
        while not (said := second.stderr.readline()).startswith("2 rebuilds of "):
            assert said, "it ended before it began"
        assert [Path(path) for path, *_ in json.loads(note.read_bytes()).values()] == folders
        answer, rest = second.communicate()
    assert second.returncode == 0, rest
    assert "3 of 3 files identical in 2 rebuilds" in answer
    assert not any(path.exists() for path in [note, *folders])


def test_another_version_of_python_builds_the_same_bytes(built: Built, tmp_path: Path) -> None:
    other = next(filter(is_other_python, installed_pythons()), "")
    if not other:
        pytest.skip("no other version of Python is at hand")
    build = ["-m", "millcert", "build", *CPU, "--project", str(built.project), "--dist", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": import_path()}
    done = subprocess.run([other, *build], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    ours = {path.name: digest_of_file(path) for path in built.wheel.parent.iterdir()}
    assert {path.name: digest_of_file(path) for path in tmp_path.iterdir()} == ours


def test_a_python_of_the_same_version_is_refused_as_another(built: Built) -> None:
    done = run_millcert("repro", *CPU, "--python", sys.executable, "--project", str(built.project))
    assert done.returncode == 2
    assert sys.executable in done.stderr
