"""The tutorial's page and program: its commands run, its excerpts are the program's, its promise holds."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import wootz

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/tutorial/digits.md").read_text()


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_excerpt_is_in_the_program():
    program = (ROOT / "docs/tutorial/digits.py").read_text()
    excerpts = blocks("python")
    assert len(excerpts) == 5
    for excerpt in excerpts:
        assert excerpt in program


def test_the_commands_do_what_the_page_says(tmp_path):
    pytest.importorskip("sklearn", reason="the tutorial's data set comes with scikit-learn, which is not installed")
    commands = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    assert commands
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    for command in commands:
        program, script, *arguments = shlex.split(command)
        assert program == "python"
        run = subprocess.run(
            [sys.executable, str(ROOT / script), *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
    found = [float(x) for x in re.findall(r"test accuracy ([\d.]+)%", run.stdout)]
    assert len(found) == 2 and found[0] == found[1] > 95
    losses = [float(x) for x in re.findall(r"loss ([\d.]+)", run.stdout)]
    assert len(losses) == 5 and losses[-1] < losses[0] / 2
    assert wootz.load(tmp_path / "digits.safetensors")["0.weight"].shape == (128, 64)
