"""The program that checks a machine's GPU: its table over the emulated device, and its answer where there is none."""

from __future__ import annotations

import pytest
from tests.support import gpu, gpu_benchmarks, optable

from wootz import cuda
from wootz.backend import probe


def test_without_a_gpu_it_says_why(capsys):
    if probe() is not None:
        pytest.skip("this machine has an NVIDIA driver")
    assert gpu.main([]) == gpu.NO_GPU
    printed = capsys.readouterr().out
    assert "no GPU was used: no NVIDIA driver" in printed and "driver   not found" in printed


@pytest.fixture
def program(cupy, monkeypatch):
    """The program on the emulated device: its parts, with less to do, and without the libraries that need a GPU."""

    class Fits:
        fits = True

    monkeypatch.setattr(cuda, "diagnose", lambda: Fits())
    monkeypatch.setattr(gpu_benchmarks, "_torch", lambda: None)
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    return gpu


def test_derivatives_and_kernels(program, monkeypatch, capsys):
    monkeypatch.setitem(program.PARTS, "kernels", lambda: program.kernels(8))
    assert program.main(["derivatives", "kernels"]) == 0
    printed = capsys.readouterr().out
    assert "10 of 10 functions, first and second" in printed
    assert printed.count("4 types, error") == 5 and "FAILED" not in printed


def test_the_op_table(program, monkeypatch, capsys):
    chosen = [s for s in optable.samples() if s.row["name"] in ("add", "dropout", "embedding", "softmax")]
    monkeypatch.setattr(optable, "samples", lambda: iter(chosen))
    assert program.main(["table"]) == 0
    assert f"{len(chosen)} of {len(chosen)} samples" in capsys.readouterr().out


def test_training_and_the_tutorial(program, monkeypatch, capsys):
    small = program._tutorial()
    for name, value in {"CONTEXT": 8, "WIDTH": 16, "HEADS": 2, "LAYERS": 1, "BATCH": 4}.items():
        monkeypatch.setattr(small, name, value)
    monkeypatch.setattr(small, "licence", lambda: "abcd" * 20)
    monkeypatch.setitem(program.PARTS, "training", lambda: program.training(64))
    monkeypatch.setitem(program.PARTS, "tutorial", lambda: program.tutorial(steps=8, gpt=small))
    assert program.main(["training", "tutorial"]) == 0
    printed = capsys.readouterr().out
    assert "training, as one graph" in printed and "loss" in printed and "in 8 steps" in printed


def test_benchmarks_and_what_is_not_installed(program, monkeypatch, capsys):
    sizes = gpu_benchmarks.Sizes(512, 4, 16, 8, 2, 20, 1)
    monkeypatch.setitem(program.PARTS, "benchmarks", lambda: program.benchmarks(sizes))
    assert program.main(["sanitizer", "benchmarks"]) == 0
    printed = capsys.readouterr().out
    assert "not installed" in printed and "of copy  CuPy" in printed
    for name in ("copy", "attention, float16", "with gradients", "embedding", "matmul", "step of a small network"):
        assert name in printed


def test_what_fails_is_told_and_counted(program, monkeypatch, capsys):
    monkeypatch.setitem(program.PARTS, "derivatives", lambda: [program.Row("odd", False, "seen")])
    assert program.main(["derivatives"]) == 1
    assert "odd" in capsys.readouterr().out


def test_a_wrong_kernel_is_noticed(program, cupy, monkeypatch, capsys):
    right = cupy.emulator.launch
    monkeypatch.setitem(program.PARTS, "kernels", lambda: program.kernels(8))
    monkeypatch.setattr(cupy.emulator, "launch", lambda name, *rest: None if "dropout" in name else right(name, *rest))
    assert program.main(["kernels"]) == 1
    assert "dropout of float32" in capsys.readouterr().out
