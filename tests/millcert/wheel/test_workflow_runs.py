"""The generated workflow, run: every job's steps in order, in a clean clone of the sample project."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.hermetic import Lab, sample_project
from tests.support.workflow import parse, run_job

from millcert.targets import load_targets
from millcert.wheel.workflow import PATH, render_workflow

ROOT = Path(__file__).parents[3]


class Runners:
    """A project with this repository's ci/nox and noxfile.py, and machines that clone it and run its workflow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        targets = (ROOT / "tests/support/sample/ci/targets.toml").read_text()
        head, _, rest = targets.partition("[variants.cpu]")
        limits = targets[targets.index("[limits]") :]
        cpu = f'{head}[variants.cpu]\narchitectures = ["x86_64"]\n\n{limits}'
        assert rest
        self.project = sample_project(folder / "project", {"ci/targets.toml": cpu})
        for name in ("ci/nox", "ci/peers.txt", "noxfile.py", ".gitignore"):
            shutil.copy(ROOT / name, self.project / name)
        (self.project / "build").symlink_to(ROOT / "build")
        self.workflow = render_workflow(load_targets(self.project / "ci/targets.toml"))
        place = self.project / PATH
        place.parent.mkdir(parents=True)
        place.write_text(self.workflow)
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        for words in (["add", "-A"], [*identity, "commit", "-qm", "workflow"]):
            subprocess.run(["git", *words], cwd=self.project, check=True)
        tools = folder / "bin"
        tools.mkdir()
        self.log = folder / "sudo.log"
        # what an administrator's commands would do here is on the machine already, or not ours to do
        self._program(tools / "sudo", f'echo "$@" >> {self.log}')
        self.environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHON": sys.executable}
        self.environment.pop("CI", None)  # brings other projects' programs with apt

    @staticmethod
    def _program(path: Path, line: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def checkout(self, workspace: Path) -> None:
        """A clean clone, with an environment for millcert that is not installed anew: this process's own."""
        subprocess.run(["git", "clone", "-q", str(self.project), str(workspace)], check=True)
        home = workspace / ".nox" / "millcert"
        self._program(home / "bin" / "python", f'exec {sys.executable} "$@"')
        lock = workspace / "lockfiles" / "millcert" / "any.txt"
        (home / "complete").write_text(hashlib.sha256(lock.read_bytes()).hexdigest())

    def run(self, text: str) -> Path:
        """Run a workflow's jobs in their order; the folder of what they uploaded."""
        artifacts = self.folder / "artifacts"
        artifacts.mkdir()
        for name, job in parse(text)["jobs"].items():
            for variant in job.get("strategy", {}).get("matrix", {}).get("variant", [""]):
                workspace = self.folder / f"runner-{name}-{variant}"
                run_job(job, {"variant": variant}, self.checkout, workspace, artifacts, self.environment)
        return artifacts


@pytest.fixture
def runners(lab: Lab, tmp_path: Path) -> Runners:
    made = Runners(tmp_path)
    ready = subprocess.run(
        [str(made.project / "ci/nox"), "--version"], env=made.environment, capture_output=True, text=True, check=False
    )
    if ready.returncode:
        pytest.skip(f"ci/nox cannot make its environment here: {ready.stderr[-300:]}")
    return made


def test_every_step_of_every_job_runs(runners: Runners) -> None:
    artifacts = runners.run(runners.workflow)
    (wheel,) = (artifacts / "wheels").glob("*.whl")
    assert wheel.name.startswith("sample-") and "dirty" not in wheel.name
    (line,) = (artifacts / "wheels/SHA256SUMS").read_text().splitlines()
    assert line.split() == [hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel.name]
    commands = runners.log.read_text().splitlines()
    assert [command.split()[0] for command in commands] == ["sysctl", "apt-get", "apt-get"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("nox -s build_wheels", "nox -s build_wheel"),
        ("matrix.variant }}", "matrix.kind }}"),
        ("sudo apt-get", "sodo apt-get"),
    ],
)
def test_a_broken_step_is_caught(runners: Runners, right: str, wrong: str) -> None:
    assert right in runners.workflow
    with pytest.raises(AssertionError):
        runners.run(runners.workflow.replace(right, wrong))


def test_the_whole_workflow_reads_as_yaml_says() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the same file where it is installed")
    text = (ROOT / PATH).read_text()
    ours, theirs = parse(text), yaml.safe_load(text)
    assert ours["jobs"].keys() == theirs["jobs"].keys()
    for name, job in theirs["jobs"].items():
        steps = [{key: step[key] for key in ("uses", "run", "name") if key in step} for step in job["steps"]]
        mine = [
            {key: step[key] for key in ("uses", "run", "name") if key in step} for step in ours["jobs"][name]["steps"]
        ]
        assert mine == steps
        assert ours["jobs"][name].get("strategy", {}).get("matrix") == job.get("strategy", {}).get("matrix")
