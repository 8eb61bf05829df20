"""`ci/nox` on machines that lack something: what it would install, where, and that the suite runs without the peers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("sh", "bash", "bwrap", "cat", "cut", "dirname", "env", "flock", "id", "mkdir", "printenv", "sed", "sha256sum",
         "tail")  # fmt: skip
PACKAGES = [line.split()[1] for line in (ROOT / "ci/peers.txt").read_text().splitlines() if not line.startswith("#")]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with the tools of a small Debian, an apt-get that notes its words and fails, and a nox that greets."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        if found is None:
            pytest.skip(f"{tool} is not installed")
        (folder / tool).symlink_to(found)
    python = """case "$*" in
"-m nox"*) echo "nox was called with $4" ;;
*version_info* | *ensurepip*) exit 0 ;;
*) echo 3.11 ;;
esac"""
    for name, body in {"python3": python, "dpkg": "exit 0", "apt-get": f'echo "$@" >>{tmp_path}/apt; exit 100'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


def set_up(machine: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ci/nox there, with its environment as if made before."""
    cache = machine.parent / "cache"
    environment = {"PATH": str(machine), "XDG_CACHE_HOME": str(cache), **variables}
    lock = (ROOT / "lockfiles/nox/any.txt").read_bytes() + b"3.11\n"
    key = subprocess.run(["sha256sum"], input=lock, capture_output=True, check=True).stdout.decode()[:16]
    home = cache / "millcert" / f"nox-{key}"
    (home / "bin").mkdir(parents=True)
    (home / "complete").touch()
    (home / "bin/python").symlink_to(machine / "python3")
    command = [str(machine / "sh"), str(ROOT / "ci/nox"), "-s", "tests"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def noted(machine: Path) -> str:
    """What apt-get was asked for."""
    path = machine.parent / "apt"
    return path.read_text() if path.exists() else ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install packages")
def test_continuous_integration_brings_the_peers_and_does_without_them_where_it_cannot(machine: Path) -> None:
    done = set_up(machine, CI="true")
    assert done.returncode == 0, done.stderr
    assert "nox was called" in done.stdout
    assert "some tests will be skipped" in done.stderr
    assert "update" in noted(machine)
    assert all(package in done.stderr for package in PACKAGES)


def test_a_contributors_machine_gets_no_peers(machine: Path) -> None:
    done = set_up(machine)
    assert (done.returncode, noted(machine)) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install packages")
def test_without_bubblewrap_and_without_a_way_to_get_it_the_command_is_named(machine: Path) -> None:
    (machine / "bwrap").unlink()
    done = set_up(machine)
    assert done.returncode == 69
    assert "bubblewrap" in noted(machine) + done.stderr
    assert "nox was called" not in done.stdout
