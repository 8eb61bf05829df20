"""Attacks on locking: a hostile file must never be written into a lock, whatever the machine is configured with.

Where it is possible the same attack is run on plain pip-compile first, which shows that it is a real one.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.index import LoopbackIndex, loopback_index
from tests.support.locks import NAMESPACES, LockProject
from tests.support.nightly import make_wheel

from millcert.errors import ConfigError, ConfusionError, LockError
from millcert.index import AbsentError
from millcert.lock import read_lock
from millcert.lock.assembly import assemble
from millcert.lock.namespaces import parse_namespaces
from millcert.lock.relock import Upgrade
from millcert.lock.resolver import Resolution
from millcert.lock.selection import Target
from millcert.names import normalize


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LoopbackIndex]:
    with loopback_index() as running:
        running.add(make_wheel(tmp_path / "honest", "thing", "1.0"))
        yield running


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[LoopbackIndex]:
    """An index of a stranger: the same name and version with other bytes, and a higher version."""
    with loopback_index() as running:
        for version in ("1.0", "9.0"):
            running.add(make_wheel(tmp_path / "hostile", "thing", version, content=b"print('owned')"))
        yield running


@pytest.fixture
def project(index: LoopbackIndex, tmp_path: Path) -> LockProject:
    project = LockProject(tmp_path / "project", index.url)
    project.ask("tools/any", "thing")
    return project


def hostile_hashes(hostile: LoopbackIndex) -> list[str]:
    return [hashlib.sha256(listed.data).hexdigest() for listed in hostile.projects["thing"]]


def only_honest(project: LockProject, index: LoopbackIndex) -> None:
    (pin,) = project.read().pins
    assert [(file.filename, file.digest) for file in pin.files] == [
        (listed.filename, listed.sha256) for listed in index.projects["thing"]
    ]


def pip_compile(project: LockProject, requirement: str = "thing") -> str:
    """What plain pip-compile makes of the person's own configuration."""
    (project.root / "plain.in").write_text(f"{requirement}\n")
    command = [sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes", "--output-file=-",
               f"--cache-dir={project.root / 'cache'}", "plain.in"]  # fmt: skip
    environ = {key: value for key, value in project.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(command, cwd=project.root, env=environ, capture_output=True, text=True, check=True)
    return result.stdout


@pytest.mark.parametrize("where", ["variable", "file"])
def test_an_extra_index_of_the_machine(
    project: LockProject, index: LoopbackIndex, hostile: LoopbackIndex, where: str
) -> None:
    if where == "variable":
        project.environ["PIP_EXTRA_INDEX_URL"] = hostile.url
    else:
        configuration = project.root / ".config/pip/pip.conf"
        configuration.parent.mkdir(parents=True)
        configuration.write_text(f"[global]\nextra-index-url = {hostile.url}\n")
        project.environ["HOME"] = str(project.root)
        del project.environ["PIP_CONFIG_FILE"]
        assert "thing==9.0" in pip_compile(project)  # plain pip-compile takes the stranger's
    hostile.requests.clear()
    project.lock()
    only_honest(project, index)
    assert hostile.requests == []


def test_a_link_folder_of_the_machine(
    project: LockProject, index: LoopbackIndex, hostile: LoopbackIndex, tmp_path: Path
) -> None:
    project.environ["PIP_FIND_LINKS"] = str(tmp_path / "hostile")
    assert "thing==9.0" in pip_compile(project)
    project.lock()
    only_honest(project, index)


def test_other_bytes_of_the_same_version_on_a_merged_index(
    project: LockProject, index: LoopbackIndex, hostile: LoopbackIndex
) -> None:
    project.environ["PIP_EXTRA_INDEX_URL"] = hostile.url
    assert hostile_hashes(hostile)[0] in pip_compile(project, "thing==1.0")  # its hash is locked beside the honest one
    project.ask("tools/any", "thing==1.0")
    project.lock()
    only_honest(project, index)


@pytest.mark.parametrize("variable", ["PIP_TRUSTED_HOST", "PIP_CONSTRAINT", "PIP_NO_INDEX", "PIP_PRE", "PIP_NO_BINARY"])
def test_no_other_setting_of_the_machine_counts(
    project: LockProject, index: LoopbackIndex, tmp_path: Path, variable: str
) -> None:
    (tmp_path / "constraints.txt").write_text("thing<1\n")
    index.add(make_wheel(tmp_path / "honest", "thing", "2.0rc1"))
    values = {"PIP_TRUSTED_HOST": "127.0.0.1", "PIP_CONSTRAINT": str(tmp_path / "constraints.txt"), "PIP_NO_INDEX": "1",
              "PIP_PRE": "1", "PIP_NO_BINARY": ":all:"}  # fmt: skip
    project.environ[variable] = values[variable]
    project.lock()
    assert project.read().pin("thing").version == "1.0"


def test_project_settings_beside_the_requirements_do_not_count(project: LockProject, hostile: LoopbackIndex) -> None:
    text = f'[tool.pip-tools]\nextra-index-url = ["{hostile.url}"]\n'
    for folder in (project.root, project.folder, project.folder / "tools"):
        (folder / "pyproject.toml").write_text(text)
        (folder / ".pip-tools.toml").write_text(text)
    project.lock()
    assert hostile.requests == []


# -- owned names


def test_an_owned_name_on_the_public_index_is_never_looked_at(
    project: LockProject, index: LoopbackIndex, tmp_path: Path
) -> None:
    """The torchtriton attack: our internal dependency's name, registered in public with a higher version."""
    index.add(make_wheel(tmp_path / "hostile", "wootz-kernels", "99.0", content=b"print('owned')"))
    with loopback_index() as ours:
        ours.add(make_wheel(tmp_path / "ours", "wootz-kernels", "1.0"))
        project.environ["MILLCERT_INDEX_OURS"] = ours.url
        project.ask("tools/any", "wootz-kernels", "thing")
        project.lock()
        assert [(pin.name, pin.version, pin.index) for pin in project.read().pins] == [
            ("thing", "1.0", "pypi"),
            ("wootz-kernels", "1.0", "ours"),
        ]
        assert not [path for path, _ in index.requests if "wootz" in path]


def test_an_owned_name_absent_from_its_index_does_not_fall_through(
    project: LockProject, index: LoopbackIndex, tmp_path: Path
) -> None:
    index.add(make_wheel(tmp_path / "hostile", "wootz", "99.0"))
    project.ask("tools/any", "wootz")
    with pytest.raises(ConfigError, match="MILLCERT_INDEX_OURS"):
        project.lock()
    with loopback_index() as ours:
        project.environ["MILLCERT_INDEX_OURS"] = ours.url
        with pytest.raises((LockError, AbsentError)):
            project.lock()
    assert not [path for path, _ in index.requests if "wootz" in path]
    assert not (project.folder / "tools/any.txt").exists()


def test_an_owned_name_as_a_dependency_of_a_public_project(
    project: LockProject, index: LoopbackIndex, tmp_path: Path
) -> None:
    index.add(make_wheel(tmp_path / "hostile", "wootz-kernels", "99.0"))
    index.add(make_wheel(tmp_path / "hostile", "thing", "2.0", requires=["wootz_kernels"]))
    with pytest.raises(ConfusionError, match="wootz-kernels") as caught:
        project.lock()
    assert (caught.value.evidence["expected"], caught.value.evidence["found"]) == ("ours", "pypi")
    assert caught.value.exit_code == 15


def test_a_public_name_on_our_index(project: LockProject, tmp_path: Path) -> None:
    """Our own index, taken over, cannot bring in a changed NumPy."""
    with loopback_index() as ours:
        ours.add(make_wheel(tmp_path / "ours", "wootz", "1.0", requires=["thing"]))
        ours.add(make_wheel(tmp_path / "ours", "thing", "9.0"))
        project.environ["MILLCERT_INDEX_OURS"] = ours.url
        project.ask("tools/any", "wootz")
        with pytest.raises(ConfusionError, match="thing"):
            project.lock()


@pytest.mark.parametrize("name", ["w00tz", "W00TZ", "wo.otz"])
def test_a_look_alike(project: LockProject, index: LoopbackIndex, tmp_path: Path, name: str) -> None:
    index.add(make_wheel(tmp_path / "hostile", "w00tz", "1.0"))
    project.ask("tools/any", name)
    with pytest.raises(ConfusionError, match="looks like"):
        project.lock()


def test_a_name_on_two_indexes() -> None:
    namespaces = parse_namespaces(NAMESPACES.encode())
    thing = Resolution(normalize("thing"), "1.0", ())
    page = LoopbackIndex().json_page  # never reached
    with pytest.raises(ConfusionError):
        assemble({"ours": [thing], "pypi": [thing]}, [], [Target()], namespaces, page, len)  # type: ignore[arg-type]


# -- what an index may say


def test_a_source_distribution_only(project: LockProject, index: LoopbackIndex, tmp_path: Path) -> None:
    sdist = tmp_path / "other-1.0.tar.gz"
    sdist.write_bytes(b"not even read")
    index.add(sdist)
    project.ask("tools/any", "other")
    with pytest.raises(LockError):
        project.lock()
    assert not index.file_requests(sdist.name)


def test_a_source_distribution_beside_a_wheel_is_left_out(
    project: LockProject, index: LoopbackIndex, tmp_path: Path
) -> None:
    sdist = tmp_path / "thing-1.0.tar.gz"
    sdist.write_bytes(b"not even read")
    index.add(sdist)
    project.lock()
    assert ".tar.gz" not in project.text()
    assert hashlib.sha256(b"not even read").hexdigest() not in project.text()


def test_a_higher_version_without_a_wheel_for_the_target(
    project: LockProject, index: LoopbackIndex, tmp_path: Path
) -> None:
    index.add(make_wheel(tmp_path / "honest", "thing", "5.0", tag="cp311-cp311-win_amd64"))
    project.lock()
    assert project.read().pin("thing").version == "1.0"


def test_a_file_without_a_hash(project: LockProject, index: LoopbackIndex) -> None:
    index.projects["thing"][0].sha256 = None
    with pytest.raises(LockError, match="no sha256"):
        project.lock()
    index.forms = {"html"}
    with pytest.raises(LockError, match="no sha256"):
        project.lock()


def test_a_dependency_by_address(
    project: LockProject, index: LoopbackIndex, hostile: LoopbackIndex, tmp_path: Path
) -> None:
    wheel = hostile.projects["thing"][1].filename
    requires = [f"evil @ {hostile.base}/files/{wheel}"]
    index.add(make_wheel(tmp_path / "honest", "thing", "2.0", requires=requires))
    with pytest.raises(LockError):
        project.lock()
    assert not (project.folder / "tools/any.txt").exists()


def test_a_yanked_file(project: LockProject, index: LoopbackIndex) -> None:
    project.lock()
    index.projects["thing"][0].yanked = True
    with pytest.raises(LockError, match="yanked"):
        project.lock()
    project.ask("tools/any", "thing==1.0")
    with pytest.raises(LockError, match="yanked"):
        project.lock(upgrade=Upgrade(everything=True))


def test_a_page_that_lists_a_file_of_another_project(
    project: LockProject, index: LoopbackIndex, tmp_path: Path
) -> None:
    better = "cp311-cp311-manylinux_2_17_x86_64"
    index.add(make_wheel(tmp_path / "hostile", "evil", "1.0", tag=better), project="thing")
    project.lock()
    only = project.read().pin("thing")
    assert [file.filename for file in only.files] == ["thing-1.0-py3-none-any.whl"]


def test_a_credential_in_the_address_stays_out_of_everything(project: LockProject, index: LoopbackIndex) -> None:
    project.environ["PIP_INDEX_URL"] = index.url.replace("http://", "http://someone:hunter2@")
    project.lock()
    assert "hunter2" not in project.text()
    project.ask("tools/any", "thing==7")
    with pytest.raises(LockError) as caught:
        project.lock()
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" not in project.text()


# -- a poisoned lock


def test_pip_refuses_a_lock_whose_hash_was_changed(project: LockProject, tmp_path: Path) -> None:
    project.lock()
    path = project.folder / "tools/any.txt"
    digest = project.read().pins[0].files[0].digest
    path.write_text(path.read_text().replace(digest, "0" * 64))
    project.read()  # well-formed: only the bytes themselves can tell
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--require-hashes",
        f"--target={tmp_path / 'x'}",
        "-r",
        str(path),
    ]
    result = subprocess.run(command, env=project.environ, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "HASHES" in result.stderr
    with pytest.raises(LockError, match="not what its requirements"):
        project.lock(check=True)


@pytest.mark.parametrize(("name", "index"), [("wootz", "pypi"), ("w00tz", "pypi"), ("millcert-tools", "pypi")])
def test_a_lock_poisoned_in_name_hash_and_index_is_refused_wherever_it_is_read(
    tmp_path: Path, name: str, index: str
) -> None:
    folder = tmp_path / "lockfiles"
    (folder / "toolchain").mkdir(parents=True)
    real = Path(__file__).parents[2] / "lockfiles" / "namespaces.toml"
    (folder / "namespaces.toml").write_bytes(real.read_bytes())
    file = f"{name.replace('-', '_')}-9.0-py3-none-any.whl"
    lock = folder / "toolchain" / "any.txt"
    lock.write_text(
        f"{name}==9.0 \\\n    --hash=sha256:{'a' * 64}\n    # index: {index}\n    # file: {'a' * 64} 100 {file}\n"
    )
    with pytest.raises(ConfusionError):
        read_lock(lock)
