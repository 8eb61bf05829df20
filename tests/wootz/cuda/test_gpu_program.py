"""The program that checks a machine's GPU: its parts over the emulated device, their processes, and no GPU at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from tests.support import gpu, gpu_benchmarks, gpu_checks
from tests.support.gpu_checks import Row

from wootz import cuda
from wootz.backend import probe
from wootz.errors import KernelError

SIZES = gpu_benchmarks.Sizes(
    elements=512, rows=4, columns=16, batch=1, tokens=8, heads=2, words=20, layers=2, repeats=1
)  # fmt: skip


def test_without_a_gpu_it_says_why(capsys):
    if probe() is not None:
        pytest.skip("this machine has an NVIDIA driver")
    assert gpu.main([]) == gpu.NO_GPU
    printed = capsys.readouterr().out
    assert "no GPU was used: no NVIDIA driver" in printed and "driver   not found" in printed
    assert f"Python {sys.version.split()[0]}" in printed


def test_an_unknown_part_is_named(capsys):
    assert gpu.main(["table", "tabel"]) == 2
    assert "no part is named 'tabel'; there are table, kernels" in capsys.readouterr().err


def test_a_wheel_of_another_commit_than_the_tests_is_told_of(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message", "first"]):
        subprocess.run([*git, *command], check=True)
    here = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    other = "0" * 40
    assert gpu.origins(here, tmp_path) == f"wheel of commit {here}"
    assert f"wheel of commit {other}\nnote: these tests are of commit {here}" in gpu.origins(other, tmp_path)
    assert gpu.origins(other, tmp_path / "unpacked") == f"wheel of commit {other}"
    assert gpu.origins(None, tmp_path) == "no wheel: a source checkout"


def test_all_parts_end_within_ten_minutes():
    assert sum(part.seconds for part in gpu.PARTS.values()) <= 540


class TestInThisProcess:
    """Each part on the emulated device, with less to do."""

    @pytest.fixture
    def run(self, cupy, monkeypatch):
        def run(part, rows):
            monkeypatch.setitem(gpu.PARTS, part, gpu.Part(rows, 1))
            return gpu.here(part)

        monkeypatch.setattr(gpu_benchmarks, "_torch", lambda: None)
        return run

    def test_derivatives(self, run, capsys):
        assert run("derivatives", gpu_checks.derivatives) == 0
        assert "10 of 10 functions, first and second" in capsys.readouterr().out

    def test_what_a_sanitizer_watches(self, run, capsys):
        assert run("memcheck", lambda: gpu_checks.small(8)) == 0
        printed = capsys.readouterr().out
        assert printed.count("4 of 4 types, error") == 7 and "op table" in printed and "FAILED" not in printed

    def test_the_op_table(self, run, capsys):
        names = ("add", "dropout", "embedding", "softmax", "to_device")
        assert run("table", lambda: gpu_checks.op_table(names)) == 0
        count = sum(sample.row["name"] in names[:-1] for sample in gpu_checks.samples())
        assert f"{count} of {count} samples" in capsys.readouterr().out

    def test_training_and_the_tutorial(self, run, monkeypatch, capsys):
        small = gpu_checks._tutorial()
        for name, value in {"CONTEXT": 8, "WIDTH": 16, "HEADS": 2, "LAYERS": 1, "BATCH": 4}.items():
            monkeypatch.setattr(small, name, value)
        monkeypatch.setattr(small, "licence", lambda: "abcd" * 20)
        assert run("training", lambda: gpu_checks.training(64)) == 0
        assert run("tutorial", lambda: gpu_checks.tutorial(steps=8, gpt=small)) == 0
        printed = capsys.readouterr().out
        assert "training, as one graph" in printed and "loss" in printed and "in 8 steps" in printed

    def test_benchmarks_without_pytorch(self, run, capsys):
        assert run("benchmarks", lambda: gpu_benchmarks.of_memory(SIZES)) == 0
        assert run("models", lambda: gpu_benchmarks.of_models(SIZES)) == 0
        printed = capsys.readouterr().out
        assert "not installed, or it sees no GPU" in printed and "of copy  CuPy" in printed
        for name in ("copy", "layer norm", "cross-entropy", "matmul", "attention, float16", "embedding", "AdamW step"):
            assert name in printed
        for name in ("MLP block", "transformer block", "small step, op by op", "both as graphs"):
            assert name in printed

    def test_benchmarks_beside_pytorch(self, run, monkeypatch, capsys):
        torch = pytest.importorskip("torch", reason="PyTorch is what is compared with")
        events = SimpleNamespace(
            record=lambda: None, synchronize=lambda: None, elapsed_time=lambda end: 2.0
        )  # fmt: skip
        on_the_cpu = SimpleNamespace(
            nn=torch.nn, optim=torch.optim, cuda=MagicMock(Event=lambda **_: events),
            from_dlpack=lambda t: torch.from_numpy(t.numpy(force=True).copy()),
        )  # fmt: skip
        monkeypatch.setattr(gpu_benchmarks, "_torch", lambda: on_the_cpu)
        assert run("benchmarks", lambda: gpu_benchmarks.of_memory(SIZES)) == 0
        assert run("models", lambda: gpu_benchmarks.of_models(SIZES)) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 25 and all("PyTorch  2.00 times as long" in line for line in lines)

    def test_a_benchmark_that_fails_leaves_the_others(self, run, monkeypatch, capsys):
        def cases(sizes, torch):
            yield gpu_benchmarks.Case("odd", 0, lambda: 1, cupy=lambda: 1 / 0)
            yield gpu_benchmarks.Case("even", 0, lambda: 1)

        monkeypatch.setattr(gpu_benchmarks, "_models", cases)
        assert run("models", lambda: gpu_benchmarks.of_models(SIZES)) == 1
        printed = capsys.readouterr().out
        assert "odd" in printed and "ms  PyTorch" not in printed and "ZeroDivisionError division by zero" in printed
        assert "even" in printed

    def test_a_wrong_kernel_is_noticed(self, run, cupy, monkeypatch, capsys):
        right = cupy.emulator.launch
        monkeypatch.setattr(
            cupy.emulator, "launch", lambda name, *rest: None if "dropout" in name else right(name, *rest)
        )
        assert run("kernels", lambda: gpu_checks.kernels(8)) == 1
        printed = capsys.readouterr().out
        assert "dropout of float32: AssertionError" in printed and "0 of 4 types" in printed
        assert "embedding" in printed

    def test_after_a_fault_nothing_else_is_run(self, run, monkeypatch, capsys):
        def fault(sample, tolerance):
            raise KernelError("a kernel failed")

        monkeypatch.setattr(gpu_checks, "compare", fault)
        assert run("table", gpu_checks.op_table) == 1
        printed = capsys.readouterr().out
        assert printed.count("KernelError a kernel failed") == 1 and "what comes after it was not run" in printed

    def test_an_error_of_a_part_is_a_row(self, run, capsys):
        def rows():
            yield Row("first", True, "seen")
            raise ValueError("odd")

        with pytest.raises(ValueError, match="odd"):
            run("table", rows)
        printed = capsys.readouterr().out
        assert "first" in printed and "FAILED  table: ValueError odd" in printed


class TestApart:
    """The processes of parts, played by other programs."""

    @pytest.fixture
    def program(self, tmp_path, monkeypatch):
        """`main` on a machine that fits, whose parts are scripts."""
        fitting = SimpleNamespace(fits=True, machine=SimpleNamespace(cupy=()))
        monkeypatch.setattr(cuda, "diagnose", lambda: fitting)
        monkeypatch.setattr(gpu, "PARTS", {})
        monkeypatch.setattr(gpu, "sanitizer", lambda: None)
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nfor part; do :; done\nexec {sys.executable} "{tmp_path}/$part.py"\n')
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))

        def add(name, code, seconds=60.0, tool=""):
            (tmp_path / f"{name}.py").write_text(code)
            gpu.PARTS[name] = gpu.Part(lambda: iter(()), seconds, tool)

        return add

    def test_one_part_does_not_take_the_others_along(self, program, capfd):
        program("fault", "print('before', flush=True); import os; os.abort()")
        program("wrong", "raise SystemExit(1)")
        program("strange", "raise SystemExit(255)")
        program("right", "print('after')")
        assert gpu.main([]) == 1
        printed = capfd.readouterr().out
        assert "before" in printed and "fault                         FAILED  ended by SIGABRT" in printed
        assert "strange                       FAILED  ended with exit code 255: see above" in printed
        assert "after" in printed and printed.splitlines()[-1] == "failed: fault, wrong, strange"
        assert gpu.main(["right"]) == 0
        assert capfd.readouterr().out.splitlines()[-1] == "all is well"

    def test_a_part_that_hangs_is_stopped_with_what_it_started(self, program, tmp_path, monkeypatch, capfd):
        child, wait = tmp_path / "child", subprocess.Popen.wait

        def wait_for_both(process, timeout=None):
            while timeout == 3 and not (child.is_file() and child.read_text()):
                time.sleep(0.01)
            return wait(process, timeout)

        monkeypatch.setattr(subprocess.Popen, "wait", wait_for_both)
        program(
            "hangs",
            "import subprocess, sys, time, pathlib\n"
            "held = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
            "print('so far', flush=True)\n"
            f"pathlib.Path({str(child)!r}).write_text(str(held.pid)); time.sleep(600)",
            seconds=3,
        )  # fmt: skip
        program("next", "print('after')")
        assert gpu.main([]) == 1
        printed = capfd.readouterr().out
        assert "so far" in printed and "FAILED  stopped after 3 s" in printed and "after\n" in printed
        with suppress(FileNotFoundError):  # it is gone, or waits to be collected
            while Path(f"/proc/{child.read_text()}/stat").read_text().split(") ")[1][0] != "Z":
                time.sleep(0.01)

    def test_a_sanitizers_verdict(self, program, tmp_path, monkeypatch, capfd):
        program("race", "", tool="racecheck")
        assert gpu.main(["race"]) == 0
        assert "no compute-sanitizer" in capfd.readouterr().out
        tool = tmp_path / "compute-sanitizer"
        monkeypatch.setattr(gpu, "sanitizer", lambda: str(tool))
        for status, code, verdict in ((0, 0, "all is well"), (9, 1, "compute-sanitizer found errors: see above")):
            tool.write_text(f'#!/bin/sh\necho "$@"\nexit {status}\n')
            tool.chmod(0o755)
            assert gpu.main(["race"]) == code
            printed = capfd.readouterr().out
            assert "--tool racecheck --error-exitcode 9" in printed and verdict in printed
        tool.write_text("#!/bin/sh\nexec sleep 600\n")
        program("race", "", 0.5, "racecheck")
        assert gpu.main(["race"]) == 0
        assert "-       stopped after 0.5 s" in capfd.readouterr().out


def test_where_compute_sanitizer_is_looked_for(tmp_path):
    def make(*parts):
        path = tmp_path.joinpath(*parts, "compute-sanitizer")
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return str(path)

    toolkit = {"PATH": "", "CUDA_HOME": str(tmp_path / "toolkit")}
    packages = [str(tmp_path / "site")]
    package = make("site", "nvidia", "cu13", "compute-sanitizer")
    assert gpu.sanitizer({"PATH": ""}, packages) == package
    inside = make("toolkit", "bin")
    assert gpu.sanitizer(toolkit, packages) == inside
    first = make("path")
    assert gpu.sanitizer(toolkit | {"PATH": str(tmp_path / "path")}, packages) == first


def test_the_program_needs_no_test_runner(tmp_path):
    """The machine with the GPU has NumPy, CuPy and this: what the program imports has to be that little."""
    code = (
        "import sys; sys.modules |= dict.fromkeys(('pytest', 'ml_dtypes', 'cupy', 'torch', 'safetensors', 'nox'))\n"
        "from tests.support import gpu, gpu_checks; from tests.support import optable, devices\n"
        "print(len(gpu.PARTS))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=gpu.ROOT, env=os.environ)
    assert run.stdout.strip() == "9", run.stderr
