"""The tutorials' pages and programs: commands run, excerpts are the programs', promises hold."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import wootz

ROOT = Path(__file__).parents[2]
PAGES = {"digits": 5, "convnet": 4, "gpt": 5}  # how many excerpts each has


def blocks(page, kind):
    text = (ROOT / f"docs/tutorial/{page}.md").read_text()
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(page, folder, *more):
    """What the page's command prints, with further arguments."""
    (command,) = [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    program, script, *arguments = shlex.split(command)
    assert program == "python"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *arguments, *more],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def points(path):
    """The curve of a plot, as pairs of numbers."""
    (line,) = ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}polyline")
    return [tuple(map(float, point.split(","))) for point in line.get("points").split()]


@pytest.mark.parametrize("page", PAGES)
def test_every_excerpt_is_in_the_program(page):
    program = (ROOT / f"docs/tutorial/{page}.py").read_text()
    excerpts = blocks(page, "python")
    assert len(excerpts) == PAGES[page]
    for excerpt in excerpts:
        assert excerpt in program


def test_digits_are_read_as_the_page_says(tmp_path):
    pytest.importorskip("sklearn", reason="the tutorial's data set comes with scikit-learn, which is not installed")
    printed = run("digits", tmp_path)
    found = [float(x) for x in re.findall(r"test accuracy ([\d.]+)%", printed)]
    assert len(found) == 2 and found[0] == found[1] > 95
    losses = [float(x) for x in re.findall(r"loss ([\d.]+)", printed)]
    assert len(losses) == 5 and losses[-1] < losses[0] / 2
    assert wootz.load(tmp_path / "digits.safetensors")["0.weight"].shape == (128, 64)


def test_the_convolutional_network_does_what_the_page_says(tmp_path):
    pytest.importorskip("sklearn", reason="the tutorial's data set comes with scikit-learn, which is not installed")
    printed = run("convnet", tmp_path)
    found = [float(x) for x in re.findall(r"test accuracy ([\d.]+)%", printed)]
    assert len(found) == 2 and found[0] == found[1] > 97
    curve = points(tmp_path / "convnet.svg")
    assert len(curve) == 12 * (1437 // 64)
    assert curve[-1][1] > curve[0][1] + 100  # downwards: the loss fell


def test_the_gpt_learns_in_a_short_run_too(tmp_path):
    printed = run("gpt", tmp_path, "--steps", "40")  # the last of two options counts
    losses = [float(x) for x in re.findall(r"loss ([\d.]+)$", printed, re.MULTILINE)]
    guess = losses.pop(0)
    assert losses[-1] < 0.7 * guess < 0.7 * losses[0]
    assert len(points(tmp_path / "gpt.svg")) == 40
    assert len(printed.split("|", 1)[1]) == 201  # what it wrote, and the end of the line
