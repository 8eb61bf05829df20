"""``millcert build`` up to where something would be built: planning, refusals, exit codes, output for machines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "tests" / "support" / "sample", folder)
    shutil.copytree(ROOT / "lockfiles", folder / "lockfiles")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", folder, "init", "-q"], check=True)
    subprocess.run(["git", "-C", folder, "add", "-A"], check=True)
    subprocess.run(["git", "-C", folder, *identity, "commit", "-q", "-m", "sample"], check=True)
    return folder


def millcert(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "build" / "src"),
        "MILLCERT_STORE": str(project.parent / "store"),
        **environment,
    }
    command = [sys.executable, "-m", "millcert", *arguments]
    return subprocess.run(command, cwd=project, env=settings, capture_output=True, text=True)


def plan(project: Path, *arguments: str) -> dict[str, Any]:
    result = millcert(project, "build", *arguments, "--plan", "json")
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def names(document: dict[str, Any]) -> list[str]:
    return [step["name"] for step in document["steps"]]


def objects(*units: str) -> list[str]:
    """The steps that compile some CUDA units of the sample."""
    return [f"{made}-{unit}" for unit in units for made in ("cubin-12.9-80", "cubin-ptx-12.9-90")]


def test_the_plan_needs_no_network_no_sandbox_and_builds_nothing(project: Path) -> None:
    document = plan(project)
    assert [(w["variant"], w["architecture"]) for w in document["wheels"]] == [
        ("cpu", "x86_64"), ("cpu", "aarch64"), ("cu129", "x86_64"),
    ]  # fmt: skip
    seen: set[str] = set()
    for step in document["steps"]:
        assert set(step["needs"]) <= seen, "a step stands before what it needs"
        seen.add(step["name"])
    assert not (project / "dist").exists()


def test_variants_share_what_they_can(project: Path) -> None:
    both = names(plan(project, "cpu", "cu129", "--arch", "x86_64"))
    cpu = names(plan(project, "cpu", "--arch", "x86_64"))
    extra = [name for name in both if name not in cpu]
    assert not [name for name in extra if name.startswith(("compile-", "link-", "runtime-"))]
    assert {name for name in extra if name.startswith(("cuda-", "cubin-", "ptx-", "kernels-", "fatbin-"))} == {
        "cuda-12.9", "kernels-cu129", "fatbin-cu129",
        *objects("offset", "scale"),
    }  # fmt: skip


def test_a_changed_kernel_changes_only_its_own_objects_inputs(project: Path) -> None:
    before = {step["name"]: step for step in plan(project, "cpu")["steps"]}
    kernel = project / "native" / "csrc" / "cpu" / "sum.cpp"
    kernel.write_text(kernel.read_text() + "// a change\n")
    after = {step["name"]: step for step in plan(project, "cpu")["steps"]}
    compiled = [name for name in after if name.startswith("compile-")]
    changed = {name for name in compiled if before[name] != after[name]}
    assert changed == {name for name in compiled if "csrc-cpu-sum" in name}


def test_a_changed_cuda_file_recompiles_only_the_units_that_include_it(project: Path) -> None:
    folder = project / "native" / "csrc" / "cuda"
    (folder / "unused.cuh").write_text("// nobody includes this\n")
    before = {step["name"]: step for step in plan(project, "cu129")["steps"]}
    expected = {
        "scale.cu": ["scale"], "scale.cuh": ["scale"], "offset.cuh": ["offset"], "common.cuh": ["offset", "scale"],
        "unused.cuh": [],
    }  # fmt: skip
    for file, units in expected.items():
        text = (folder / file).read_text()
        (folder / file).write_text(text + "// a change\n")
        after = {step["name"]: step for step in plan(project, "cu129")["steps"]}
        (folder / file).write_text(text)
        assert before.keys() == after.keys()
        changed = {name for name in after if before[name] != after[name]}
        assert changed - {"wheel-cu129-x86_64", "check-wheel-cu129-x86_64"} == set(objects(*units)), file


def test_every_unit_of_a_gpu_is_packed_and_listed_from_its_own_object(project: Path) -> None:
    steps = {step["name"]: step for step in plan(project, "cu129")["steps"]}
    compiled = set(objects("offset", "scale"))
    for name in ("kernels-cu129", "fatbin-cu129"):
        assert compiled <= set(steps[name]["needs"])
    assert "fatbin-cu129" in steps["wheel-cu129-x86_64"]["needs"]


def test_a_python_change_changes_nothing_native(project: Path) -> None:
    before = {step["name"]: step for step in plan(project, "cpu")["steps"]}
    module = project / "native" / "src" / "sample" / "__init__.py"
    module.write_text(module.read_text() + "# a change\n")
    after = {step["name"]: step for step in plan(project, "cpu")["steps"]}
    native = [name for name in after if not name.startswith(("wheel-", "check-"))]
    assert all(before[name] == after[name] for name in native)


def test_uncommitted_files_mark_the_version(project: Path) -> None:
    assert all(".dirty-" not in wheel["file"] for wheel in plan(project)["wheels"])
    (project / "note.txt").write_text("not committed")
    assert all("+cpu.dirty-cp311" in wheel["file"] for wheel in plan(project, "cpu")["wheels"])


def test_ignored_files_do_not_mark_it(project: Path) -> None:
    (project / ".git" / "info" / "exclude").write_text("dist/\n")
    (project / "dist").mkdir()
    (project / "dist" / "old.whl").write_bytes(b"old")
    assert all(".dirty-" not in wheel["file"] for wheel in plan(project)["wheels"])


def test_an_unknown_variant_is_a_usage_error_that_names_the_known_ones(project: Path) -> None:
    result = millcert(project, "build", "cu999")
    assert result.returncode == 2
    assert "there is no variant 'cu999'" in result.stderr
    assert "cpu, cu129" in result.stderr
    assert not (project / "dist").exists()


def test_errors_come_as_json_on_request(project: Path) -> None:
    result = millcert(project, "build", "cu999", "--json")
    error = json.loads(result.stdout)
    assert (result.returncode, error["exit_code"], error["error"]) == (2, 2, "UsageError")
    assert error["evidence"]["found"] == "cu999"


@pytest.mark.parametrize(
    ("file", "old", "new", "code", "said"),
    [
        ("lockfiles/toolchain/any.txt", "--hash=sha256:", "--hash=md5:", 4, "any.txt"),
        ("lockfiles/debian/base.lock", "main/", "../", 4, "base.lock"),
        ("ci/targets.toml", "wall_seconds", "wall_second", 3, "limits.wall_seconds"),
        ("native/native.toml", "csrc/module.cpp", "csrc/absent.cpp", 3, "csrc/absent.cpp"),
    ],
)
def test_a_damaged_project_file_is_named(project: Path, file: str, old: str, new: str, code: int, said: str) -> None:
    path = project / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    result = millcert(project, "build", "cpu", "--plan", "json")
    assert result.returncode == code, result.stderr
    assert said in result.stderr


def test_outside_a_project_it_says_where_to_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = millcert(tmp_path / "empty", "build")
    assert result.returncode == 3
    assert "run from the project's root" in result.stderr


def test_outside_a_git_checkout_it_says_so(project: Path) -> None:
    shutil.rmtree(project / ".git")
    result = millcert(project, "build", "cpu", "--plan", "json")
    assert result.returncode == 3
    assert "git checkout" in result.stderr


def test_help_lists_every_command_without_importing_what_is_heavy(project: Path) -> None:
    result = millcert(project, "--help")
    assert result.returncode == 0
    for command in ("build", "fetch", "lock", "sign", "verify"):
        assert f"  {command} " in result.stdout
    probe = (
        "import sys, millcert.cli; print([m for m in ('sigstore', 'tuf', 'cyclonedx', 'requests') if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "build" / "src")},
    )
    assert loaded.stdout.strip() == "[]"
