"""The program that checks a machine's GPU: its table over the emulated device, and its answer where there is none."""

from __future__ import annotations

import pytest
from tests.support import gpu

from wootz import cuda
from wootz.backend import probe


def test_without_a_gpu_it_says_why(capsys):
    if probe() is not None:
        pytest.skip("this machine has an NVIDIA driver")
    assert gpu.main([]) == gpu.NO_GPU
    printed = capsys.readouterr().out
    assert "no GPU was used: no NVIDIA driver" in printed and "driver   not found" in printed


def test_its_parts_run_on_the_emulated_device(cupy, monkeypatch, capsys):
    class Fits:
        fits = True

    monkeypatch.setattr(cuda, "diagnose", lambda: Fits())
    assert gpu.main(["derivatives"]) == 0
    assert "7 of 7 functions, first and second" in capsys.readouterr().out


def test_what_fails_is_told_and_counted(cupy, monkeypatch, capsys):
    class Fits:
        fits = True

    monkeypatch.setattr(cuda, "diagnose", lambda: Fits())
    monkeypatch.setitem(gpu.PARTS, "derivatives", lambda: [gpu.Row("odd", False, "seen")])
    assert gpu.main(["derivatives"]) == 1
    assert "odd" in capsys.readouterr().out
