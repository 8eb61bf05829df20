"""The cross-compiled CPU wheel: what the checkers say of it, and its native part at work under an emulator."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.support.hermetic import Lab, build_steps, run_millcert, sample_project

from millcert.store import Store
from millcert.store.references import records

# no C library: the object's function, and its result as the exit status
START = """
double sum(const double* values, unsigned long count) __asm__("_Z8sum_neonPKdm");
void _start(void) {
    double values[] = {1.5, 2.25, 38.25};
    register long status __asm__("x0") = (long)sum(values, 3);
    register long call __asm__("x8") = 93;  // exit
    __asm__ volatile("svc 0" ::"r"(status), "r"(call));
    __builtin_unreachable();
}
"""


@pytest.fixture(scope="module")
def wheel(warm_store: Store, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample for aarch64."""
    if not any(record.name == "runtime-aarch64" for record in records(warm_store)):
        pytest.skip("aarch64's run-time libraries, a minute's work, are not in the store: `millcert build cpu` once")
    folder = tmp_path_factory.mktemp("cross")
    project = sample_project(folder / "project")
    arguments = ("--arch", "aarch64", "--project", str(project), "--dist", str(folder / "dist"))
    done = run_millcert("build", "cpu", *arguments)
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "dist").glob("*.whl")
    return found


def test_the_wheel_is_tagged_and_built_for_aarch64(wheel: Path, warm_store: Store) -> None:
    """`check-wheel` ran auditwheel and abi3audit; what they said is in the store under that step's record."""
    assert wheel.name.endswith("-cp311-abi3-manylinux_2_17_aarch64.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".so"))
        header = archive.read(name)[:20]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == 183  # EM_AARCH64
    made = [record for record in records(warm_store) if record.name == "check-wheel-cpu-aarch64"]
    reports = [json.loads(warm_store.tree_file(record.tree, "report.json").read_text()) for record in made]
    ours = [report for report in reports if wheel.name in json.dumps(report)]
    assert ours
    assert all(report["platform"] == "manylinux_2_17_aarch64" for report in ours)


def test_the_native_part_runs_under_qemu(warm_store: Store, lab: Lab, tmp_path: Path) -> None:
    """The very object of the wheel, linked into a program, adds up in an emulated processor."""
    emulator = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("qemu-user is not installed (apt-get install qemu-user-static)")
    project = sample_project(tmp_path / "project")
    name = "compile-aarch64-csrc-cpu-sum.neon.o"
    built = build_steps(project, warm_store, name, "zig", architecture="aarch64")
    shutil.copyfile(warm_store.tree_file(built[name].tree, "csrc-cpu-sum.neon.o"), tmp_path / "sum.o")
    (tmp_path / "start.c").write_text(START)
    zig = str(warm_store.checkout(built["zig"].tree) / "ziglang" / "zig")
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(tmp_path / "cache"), "ZIG_LOCAL_CACHE_DIR": str(tmp_path / "cache")}
    compile_ = ["cc", "-target", "aarch64-linux-gnu", "-O1", "-ffreestanding", "-fno-sanitize=undefined", "-c"]
    for command in (
        [*compile_, "start.c", "-o", "start.o"],
        ["ld.lld", "-static", "start.o", "sum.o", "-o", "program"],
    ):
        made = subprocess.run([zig, *command], cwd=tmp_path, env=caches, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
    assert subprocess.run([emulator, tmp_path / "program"], check=False).returncode == 42
