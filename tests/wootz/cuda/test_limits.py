"""The build's step that lists the CUDA kernels and holds what they take of a thread against the limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.support.kernels import ROOT

STEP = ROOT / "build" / "src" / "millcert" / "hermetic" / "steps" / "kernels.py"


def step(folder, reports, limits):
    """The build's own step over some compiler's reports: (exit status, what it said, the list of kernels)."""
    for (unit, gpu), report in reports.items():
        made = folder / "kernels" / unit / gpu
        made.mkdir(parents=True)
        (made / f"{gpu}.cubin").write_bytes(b"cubin")
        (made / f"{gpu}.json").write_text(json.dumps(report))
    (folder / "limits.toml").write_text(limits)
    command = [sys.executable, STEP, folder / "kernels", folder / "limits.toml", folder / "kernels.json"]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    listed = folder / "kernels.json"
    return result.returncode, result.stdout + result.stderr, json.loads(listed.read_text()) if listed.exists() else None


EVERY = "[every]\nregisters = 64\nstack = 0\nspill = 0\n"


def taken(registers=32, stack=0, spill=0):
    return {"registers": registers, "stack": stack, "spill": spill}


def test_the_build_lists_the_kernels_and_the_most_that_one_takes(tmp_path):
    reports = {
        ("a", "sm_80"): {"k_f32": taken(), "k_f64": taken(40)},
        ("a", "sm_90"): {"k_f32": taken(), "k_f64": taken()},
    }
    status, said, listed = step(tmp_path, reports, EVERY)
    assert status == 0, said
    assert listed["a"]["kernels"] == ["k_f32", "k_f64"]
    assert listed["a"]["gpu"]["sm_80"]["registers"] == 40 and listed["a"]["gpu"]["sm_90"]["registers"] == 32


def test_the_build_fails_with_a_table_of_what_is_beyond_the_limits(tmp_path):
    reports = {("a", "sm_80"): {"k": taken(65), "m": taken(64)}, ("b", "sm_80"): {"n": taken(80, 8, 4)}}
    status, said, listed = step(tmp_path, reports, EVERY + "[unit.b]\nregisters = 80\nstack = 8\n")
    assert status == 1 and listed is None
    rows = [line.split() for line in said.splitlines()]
    assert ["a", "sm_80", "k", "registers", "65", "64"] in rows and ["b", "sm_80", "n", "spill", "4", "0"] in rows
    assert "2 limits are exceeded" in said


def test_the_build_refuses_kernels_of_one_name_kernels_that_a_gpu_lacks_and_limits_of_nothing(tmp_path):
    cases = {
        "twice": ({("a", "sm_80"): {"k": taken()}, ("b", "sm_80"): {"k": taken()}}, EVERY, "is in a and in b"),
        "lacks": ({("a", "sm_80"): {"k": taken()}, ("a", "sm_90"): {"m": taken()}}, EVERY, "sm_80 and sm_90 differ"),
        "limit": ({("a", "sm_80"): {"k": taken()}}, EVERY + "[unit.z]\nspill = 4\n", "unit z, which does not exist"),
    }
    for name, (reports, limits, expected) in cases.items():
        (tmp_path / name).mkdir()
        status, said, _ = step(tmp_path / name, reports, limits)
        assert status == 1 and expected in said
