"""Making locks with the real pip-tools against a real index on loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.faults import status
from tests.support.index import LoopbackIndex
from tests.support.locks import LockProject
from tests.support.nightly import make_wheel

from millcert.errors import LockError, UsageError
from millcert.index import UnavailableError
from millcert.lock.purposes import find_sources
from millcert.lock.relock import Upgrade
from millcert.names import normalize


def versions(project: LockProject, label: str = "tools/any") -> dict[str, str]:
    return {str(pin.name): pin.version for pin in project.read(label).pins}


def test_the_newest_versions_with_the_listed_hashes(project: LockProject, index: LoopbackIndex) -> None:
    outcome = project.lock()
    assert outcome.changed
    assert outcome.moves == (("app", None, "1.1"), ("base", None, "2.0"))
    app, base = project.read().pins
    listed = index.projects["app"][1]
    assert [(file.filename, file.digest, file.size) for file in app.files] == [
        (listed.filename, listed.sha256, len(listed.data))
    ]
    assert app.via == ("-r lockfiles/tools/any.in",)
    assert base.via == ("app",)
    assert index.base not in project.text()


def test_the_same_input_gives_the_same_bytes(project: LockProject, tmp_path: Path) -> None:
    project.lock()
    first = project.text()
    assert not project.lock().changed
    other = LockProject(
        tmp_path / "elsewhere" / "project", project.upstream, {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    )
    other.ask("tools/any", "app")
    other.lock()
    assert other.text() == first


def test_versions_stay_until_asked_to_move(project: LockProject, index: LoopbackIndex, tmp_path: Path) -> None:
    project.lock()
    index.add(make_wheel(tmp_path / "wheels", "app", "2.0", requires=["base>=1"]))
    index.add(make_wheel(tmp_path / "wheels", "base", "3.0"))
    assert not project.lock().changed
    assert project.lock(check=True).moves == ()
    assert project.lock(upgrade=Upgrade(names=frozenset({normalize("base")}))).moves == (("base", "2.0", "3.0"),)
    assert project.lock(upgrade=Upgrade(everything=True)).moves == (("app", "1.1", "2.0"),)


def test_check_writes_nothing_and_says_what_would_change(project: LockProject) -> None:
    project.lock()
    before = project.text()
    project.ask("tools/any", "app", "base<2")
    with pytest.raises(LockError, match=r"base 2\.0 -> 1\.0"):
        project.lock(check=True)
    assert project.text() == before


@pytest.mark.parametrize("problem", ["conflict", "absent", "unavailable"])
def test_a_lock_that_cannot_be_made_leaves_the_old_one(
    project: LockProject, index: LoopbackIndex, problem: str
) -> None:
    project.lock()
    before = project.text()
    if problem == "conflict":
        project.ask("tools/any", "app", "base<1")
    elif problem == "absent":
        project.ask("tools/any", "app", "nowhere")
    else:
        index.fail("/simple/base/", status(503), always=True)
    with pytest.raises((LockError, UnavailableError)):
        project.lock(upgrade=Upgrade(everything=True))
    assert project.text() == before
    assert sorted(path.name for path in (project.folder / "tools").iterdir()) == ["any.in", "any.txt"]


def test_a_broken_lock_is_made_anew(project: LockProject) -> None:
    project.lock()
    good = project.text()
    (project.folder / "tools/any.txt").write_text("--extra-index-url https://x.example\n")
    project.lock()
    assert project.text() == good


def test_wheels_are_kept_for_every_target_of_the_purpose(
    project: LockProject, index: LoopbackIndex, tmp_path: Path
) -> None:
    tags = [f"cp3{minor}-cp3{minor}-manylinux_2_{glibc}_{machine}" for minor in (11, 12, 13) for glibc in (17, 34)
            for machine in ("x86_64", "aarch64")]  # fmt: skip
    for tag in [*tags, "cp311-cp311-win_amd64"]:
        index.add(make_wheel(tmp_path / "wheels", "native", "1.0", tag=tag))
    project.ask("runtime/any", "native")
    project.lock("runtime/any")
    (pin,) = project.read("runtime/any").pins
    assert {file.filename.removeprefix("native-1.0-").removesuffix(".whl") for file in pin.files} == {
        f"cp3{minor}-cp3{minor}-manylinux_2_17_{machine}" for minor in (11, 13) for machine in ("x86_64", "aarch64")
    }


def test_an_index_without_json_sizes_and_metadata_gives_the_same_lock(
    project: LockProject, index: LoopbackIndex
) -> None:
    project.lock()
    first = project.text()
    index.forms = {"html"}
    (project.folder / "tools/any.txt").unlink()
    project.lock()
    assert project.text() == first


def test_two_files_share_requirements_by_including(project: LockProject) -> None:
    project.ask("runtime/cpu", "base<2")
    project.ask("tools/any", "-r ../runtime/cpu.in", "app")
    project.lock()
    assert versions(project) == {"app": "1.1", "base": "1.0"}
    assert project.read().pin("base").via == ("-r lockfiles/runtime/cpu.in", "app")


MARKED = [
    'yes1 ; python_version == "3.11"',
    'yes2 ; sys_platform == "linux" and platform_machine == "x86_64"',
    'yes3 ; implementation_name == "cpython" and python_full_version < "3.12"',
    'no1 ; python_version >= "3.12"',
    'no2 ; sys_platform == "darwin" or os_name == "nt"',
    'no3 ; platform_machine == "aarch64"',
]


def other_python() -> str | None:
    """An interpreter of another minor version, if one is on PATH or installed beside this one."""
    candidates = [shutil.which(f"python3.{minor}") for minor in (12, 13, 14)]
    candidates += [str(path) for path in sorted(Path(sys.base_prefix).parent.glob("3.1[2-9]*/bin/python3"))]
    question = f"import sys; sys.exit(sys.version_info[:2] == {tuple(sys.version_info[:2])})"
    for found in filter(None, candidates):
        if subprocess.run([found, "-c", question], capture_output=True, check=False).returncode == 0:
            return found
    return None


def test_versions_are_chosen_for_the_target_not_for_this_machine(
    project: LockProject, index: LoopbackIndex, tmp_path: Path
) -> None:
    """Each marker is decided as CPython 3.11 on Linux decides it, in the requirements and behind a dependency."""
    for name in ("yes1", "yes2", "yes3", "no1", "no2", "no3"):
        index.add(make_wheel(tmp_path / "wheels", name, "1.0"))
    index.add(make_wheel(tmp_path / "wheels", "deep", "1.0", requires=MARKED))
    project.ask("tools/any", "deep", *MARKED)
    project.lock()
    assert sorted(versions(project)) == ["deep", "yes1", "yes2", "yes3"]


def borrowed_environment(python: str, folder: Path) -> Path:
    """That interpreter with this environment's packages; what locking needs of them is pure Python."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    paths = [path for path in sys.path if path.endswith("site-packages")]
    paths.append(str(Path(sys.modules["millcert"].__path__[0]).parent))
    (site / "borrowed.pth").write_text("".join(f"{path}\n" for path in paths))
    return folder / "bin/python"


def test_another_python_makes_the_same_lock(project: LockProject, index: LoopbackIndex, tmp_path: Path) -> None:
    if (found := other_python()) is None:
        pytest.skip("no second Python on this machine")
    for name in ("yes1", "yes2", "yes3", "no1", "no2", "no3"):
        index.add(make_wheel(tmp_path / "wheels", name, "1.0"))
    index.add(make_wheel(tmp_path / "wheels", "deep", "1.0", requires=MARKED))
    index.add(make_wheel(tmp_path / "wheels", "native", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64"))
    project.ask("tools/any", "deep", "native")
    project.lock()
    here = project.text()
    (project.folder / "tools/any.txt").unlink()
    python = borrowed_environment(found, tmp_path / "other")
    command = [str(python), "-m", "millcert", "lock", "--project", str(project.root)]
    result = subprocess.run(command, env=project.environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert project.text() == here


def test_pip_installs_from_the_lock(project: LockProject, index: LoopbackIndex, tmp_path: Path) -> None:
    project.lock()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
               f"--target={tmp_path / 'site'}", "-r", str(project.folder / "tools/any.txt")]  # fmt: skip
    subprocess.run(command, env=project.environ, check=True)
    assert sorted(path.name for path in (tmp_path / "site").glob("*.dist-info")) == [
        "app-1.1.dist-info",
        "base-2.0.dist-info",
    ]
    # and with dependencies followed: the lock is complete
    report = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report=-",
         "--require-hashes", "-r", str(project.folder / "tools/any.txt")],
        env=project.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(json.loads(report.stdout)["install"]) == 2


def test_an_unknown_lock_is_named(project: LockProject) -> None:
    with pytest.raises(UsageError, match="tools/any"):
        find_sources(project.folder, ("tools/nothing",))
    assert [source.label for source in find_sources(project.folder, ("tools",))] == ["tools/any"]


def test_the_command(project: LockProject, index: LoopbackIndex, tmp_path: Path) -> None:
    def millcert(*arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {**project.environ, "PIP_EXTRA_INDEX_URL": "http://127.0.0.1:9/simple"}
        command = [sys.executable, "-m", "millcert", *arguments, "--project", str(project.root)]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    made = millcert("lock")
    assert made.returncode == 0, made.stderr
    assert "tools/any: written" in made.stdout
    assert "app - → 1.1" in made.stdout
    assert "extra-index-url" in made.stderr
    assert json.loads(millcert("lock", "--json").stdout)["locks"][0]["changed"] is False
    fetched = millcert("fetch", "tools", "--store", str(tmp_path / "store"), "--json")
    assert [file["file"] for file in json.loads(fetched.stdout)["files"]] == [
        "app-1.1-py3-none-any.whl",
        "base-2.0-py3-none-any.whl",
    ]
    assert millcert("lock", "nothing").returncode == 2
    project.ask("tools/any", "app", "base<1")
    refused = millcert("lock")
    assert refused.returncode == 4
    assert index.base not in refused.stderr
