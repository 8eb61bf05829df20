"""Held names: reproducible files that pip accepts, and that say where the project really is."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from packaging.version import Version

from millcert.errors import ConfusionError, UsageError
from millcert.guard import Answer, Presence
from millcert.guard.reserve import VERSION, check_free, reserve
from millcert.lock.namespaces import Namespaces
from millcert.names import normalize

NAME = normalize("wootz-kernels")
HOMEPAGE = "https://wootz.example/install"
NAMESPACES = Namespaces("pypi", {normalize("wootz"): "ours"}, {"wootz-": "ours"})


def test_the_same_name_gives_the_same_bytes() -> None:
    assert reserve(NAME, HOMEPAGE) == reserve(NAME, HOMEPAGE)
    assert reserve(NAME, HOMEPAGE) != reserve(NAME)


def test_the_version_is_below_everything() -> None:
    assert Version(VERSION) < Version("0.0.1.dev0")


def pip_install(file: tuple[str, bytes], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / file[0]).write_bytes(file[1])
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", f"--target={folder / 'target'}"]
    environ = {"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null", "HOME": str(folder)}
    return subprocess.run(
        [*command, str(folder / file[0])], env=environ, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_pip_refuses_to_build_the_sdist_and_says_where_the_project_is(tmp_path: Path) -> None:
    result = pip_install(reserve(NAME, HOMEPAGE).sdist, tmp_path)
    assert result.returncode != 0
    assert "RuntimeError: wootz-kernels is not distributed on this index" in result.stderr
    assert HOMEPAGE in result.stderr


def test_pip_installs_the_wheel_and_importing_it_says_where_the_project_is(tmp_path: Path) -> None:
    assert pip_install(reserve(NAME, HOMEPAGE).wheel, tmp_path).returncode == 0
    code, path = "import wootz_kernels", {"PYTHONPATH": str(tmp_path / "target")}
    result = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "ImportError: wootz-kernels is not distributed on this index" in result.stderr
    assert HOMEPAGE in result.stderr


def test_the_archives_hold_nothing_else() -> None:
    held = reserve(NAME)
    with zipfile.ZipFile(BytesIO(held.wheel[1])) as archive:
        info = "wootz_kernels-0.0.0.dist-info"
        assert archive.namelist() == [
            "wootz_kernels.py",
            *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD")),
        ]
        assert archive.testzip() is None
    with tarfile.open(fileobj=BytesIO(held.sdist[1])) as archive:
        names = ("PKG-INFO", "pyproject.toml", "held.py")
        assert archive.getnames() == [f"wootz_kernels-0.0.0/{name}" for name in names]
    assert held.sdist[0] == "wootz_kernels-0.0.0.tar.gz"


@pytest.mark.parametrize(
    "homepage", ["http://a.example/", "https://a b/", 'https://a"/', "https://a\nx", "x", "https://a\\"]
)
def test_a_homepage_that_is_none(homepage: str) -> None:
    with pytest.raises(UsageError):
        reserve(NAME, homepage)


@pytest.mark.parametrize("name", ["json", "4u", "class"])
def test_a_module_that_would_hide_python_s_own(name: str) -> None:
    with pytest.raises(UsageError):
        reserve(normalize(name))


def test_only_owned_names_are_held_and_only_where_nobody_has_them() -> None:
    absent = Answer(Presence.ABSENT)
    check_free(NAMESPACES, NAME, "pypi", absent)
    with pytest.raises(UsageError, match="only owned"):
        check_free(NAMESPACES, normalize("numpy"), "pypi", absent)
    with pytest.raises(UsageError, match="its own index"):
        check_free(NAMESPACES, NAME, "ours", absent)
    with pytest.raises(ConfusionError, match="already"):
        check_free(NAMESPACES, NAME, "pypi", Answer(Presence.PRESENT, ("1.0",)))
    with pytest.raises(ConfusionError, match="did not say"):
        check_free(NAMESPACES, NAME, "pypi", Answer(Presence.UNAVAILABLE))
    with pytest.raises(ConfusionError, match="looks like"):
        check_free(NAMESPACES, normalize("w00tz"), "pypi", absent)
