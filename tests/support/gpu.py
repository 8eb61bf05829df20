"""Checks this machine's GPU and prints a short table: `python -m tests.support.gpu [PART ...]` from a checkout's root.

Needs an installed CUDA wheel of wootz with its CuPy; PyTorch and compute-sanitizer are used where they
are found. Exit code 0: all is well; 1: something failed; 3: there is no GPU that this wheel can use.
"""

from __future__ import annotations

import importlib.util
import io
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from tests.support import gpu_benchmarks

import wootz
from wootz import cuda, nn, optim
from wootz.autograd import gradcheck, gradgradcheck

__all__ = ["NO_GPU", "PARTS", "Row", "main"]

NO_GPU = 3
ROOT = Path(__file__).resolve().parents[2]
# Of the largest value: results are rounded once, factors of products before.
_TOLERANCES = {wootz.float32: 2e-5, wootz.float64: 1e-13, wootz.float16: 8e-3, wootz.bfloat16: 6e-2}


class Row(NamedTuple):
    """A line of the table: what was done, whether it went well (None: it could not be done), and what was seen."""

    name: str
    good: bool | None
    seen: str


def op_table() -> list[Row]:
    """Every sample of every op: values and two derivatives beside the CPU's."""
    from tests.support.devices import compare
    from tests.support.optable import samples

    wrong, count = [], 0
    for sample in samples():
        count += 1
        try:
            compare(sample, 1e-9)
        except Exception as error:  # a table of what fails is the purpose
            wrong.append(f"{sample}: {type(error).__name__} {str(error).strip().splitlines()[0][:100]}")
    return [Row("op table, two derivatives", not wrong, f"{count - len(wrong)} of {count} samples"), *_list(wrong)]


def _list(wrong: list[str]) -> list[Row]:
    return [Row("", False, line) for line in wrong[:20]]


def derivatives() -> list[Row]:
    """Finite differences in float64, on the GPU itself."""
    random = np.random.default_rng(0)

    def leaf(*shape: int) -> wootz.Tensor:
        return wootz.from_numpy(random.standard_normal(shape)).to("cuda").requires_grad_()

    labels = wootz.tensor([0, 2, 1], device="cuda")
    cases: dict[str, tuple[Callable[..., Any], list[wootz.Tensor]]] = {
        "gelu": (lambda x: nn.functional.gelu(x), [leaf(3, 4)]),
        "linear": (lambda x, w, b: nn.functional.linear(x, w, b), [leaf(3, 4), leaf(2, 4), leaf(2)]),
        "softmax": (lambda x: x.softmax(-1), [leaf(3, 5)]),
        "cross_entropy": (lambda x: nn.functional.cross_entropy(x, labels), [leaf(3, 5)]),
        "layer_norm": (lambda x, w, b: nn.functional.layer_norm(x, (5,), w, b), [leaf(3, 5), leaf(5), leaf(5)]),
        "var": (lambda x: x.var(1), [leaf(4, 3)]),
        "embedding": (lambda w: wootz.embedding(w, labels), [leaf(4, 3)]),
        "attention": (
            lambda q, k, v: nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
            [leaf(1, 3, 4), leaf(1, 3, 4), leaf(1, 3, 2)],
        ),
        "dropout": (lambda x: nn.functional.dropout(x, 0.5, generator=wootz.Generator(1)), [leaf(7)]),
        "convolution": (lambda x, w: nn.functional.conv2d(x, w), [leaf(1, 2, 4, 4), leaf(2, 2, 3, 3)]),
    }
    wrong = []
    for name, (function, inputs) in cases.items():
        try:
            assert gradcheck(function, inputs) and gradgradcheck(function, inputs)
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__} {str(error).splitlines()[0][:100]}")
    seen = f"{len(cases) - len(wrong)} of {len(cases)} functions, first and second"
    return [Row("gradcheck in float64", not wrong, seen), *_list(wrong)]


def _attended(kind: Any, device: str, width: int, causal: bool, queries: int, keys: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(width)
    sizes = ((2, 3, queries, width), (2, 3, keys, width), (2, 3, keys, width))
    q, k, v = (wootz.from_numpy(random.standard_normal(s)).to(kind).to(device).detach().requires_grad_() for s in sizes)
    out = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    out.backward(wootz.ones_like(out))
    return [t.double().numpy(force=True) for t in (out, q.grad, k.grad, v.grad)]


def _looked_up(kind: Any, device: str, count: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(1)
    weight = wootz.from_numpy(random.standard_normal((50, 40))).to(kind).to(device).detach().requires_grad_()
    places = wootz.from_numpy(random.integers(0, 50, count) // random.integers(1, 50, count))
    out = nn.functional.embedding(places.to(device), weight)
    out.backward(out.detach())
    return [t.double().numpy(force=True) for t in (out, weight.grad)]


def _dropped(kind: Any, device: str, count: int) -> list[np.ndarray[Any, Any]]:
    x = wootz.ones(count, dtype=kind).to(device).detach().requires_grad_()
    out = nn.functional.dropout(x, 0.3, generator=wootz.Generator(7))
    out.backward(wootz.ones_like(out))
    return [t.double().numpy(force=True) for t in (out, x.grad)]


def kernels(size: int = 256) -> list[Row]:
    """Attention, embedding and dropout of every type they have kernels for, beside the CPU's; and again, bit by bit."""
    cases: dict[str, Callable[..., list[np.ndarray[Any, Any]]]] = {
        "attention": lambda kind, device: _attended(kind, device, 64, False, size + 1, size // 2 + 1),
        "causal attention": lambda kind, device: _attended(kind, device, 24, True, size + 1, size + 1),
        "attention of wide rows": lambda kind, device: _attended(kind, device, 128, False, size // 8, size + 1),
        "embedding": lambda kind, device: _looked_up(kind, device, 8 * size),
        "dropout": lambda kind, device: _dropped(kind, device, 4 * size + 1),
    }
    rows = []
    for name, case in cases.items():
        wrong, worst = [], 0.0
        for kind, tolerance in _TOLERANCES.items():
            expected, found, again = case(kind, "cpu"), case(kind, "cuda"), case(kind, "cuda")
            for theirs, ours, twice in zip(expected, found, again, strict=True):
                error = float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()) / tolerance)
                worst = max(worst, error)
                if not error <= 1 or ours.tobytes() != twice.tobytes():
                    wrong.append(f"{name} of {kind.name}: {error:.3g} of the tolerance")
        rows += [Row(name, not wrong, f"{len(_TOLERANCES)} types, error {worst:.0%} of the tolerance"), *_list(wrong)]
    return rows


def _blobs(count: int = 512) -> tuple[wootz.Tensor, wootz.Tensor]:
    """Points around ten centres, and which."""
    random = np.random.default_rng(0)
    centres, labels = random.standard_normal((10, 64)) * 3, random.integers(0, 10, count)
    points = (centres[labels] + random.standard_normal((count, 64))).astype("f4")
    return wootz.from_numpy(points).to("cuda"), wootz.from_numpy(labels).to("cuda")


def _classifier() -> tuple[nn.Module, optim.Optimizer]:
    wootz.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).to("cuda")
    return model, optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def _stepper(model: nn.Module, optimizer: optim.Optimizer, x: Any, y: Any) -> Callable[[], wootz.Tensor]:
    def step() -> wootz.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def training(count: int = 512) -> list[Row]:
    """A small network learns, alone and as one graph."""
    x, y = _blobs(count)
    model, optimizer = _classifier()
    step = _stepper(model, optimizer, x, y)
    for _ in range(40):
        step()
    right = (model(x).argmax(1) == y).float().mean().item()
    rows = [Row("training, op by op", right > 0.95, f"{right:.1%} right after 40 steps")]
    model, optimizer = _classifier()
    step = _stepper(model, optimizer, x, y)
    step()
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        loss = step()
    for _ in range(39):
        graph.replay()
    right = (model(x).argmax(1) == y).float().mean().item()
    return [*rows, Row("training, as one graph", right > 0.95, f"{right:.1%} right, loss {loss.item():.4f}")]


def _tutorial() -> ModuleType:
    """docs/tutorial/gpt.py, as it stands there."""
    folder = ROOT / "docs" / "tutorial"
    spec = importlib.util.spec_from_file_location("gpt", folder / "gpt.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))  # it imports its neighbour
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def tutorial(steps: int = 200, gpt: ModuleType | None = None) -> list[Row]:
    """The tutorial's GPT: embedding, attention, norms and AdamW together."""
    gpt = gpt or _tutorial()
    wootz.manual_seed(0)
    source = gpt.licence()
    alphabet = sorted(set(source))
    text = wootz.tensor([alphabet.index(character) for character in source], device="cuda")
    model = gpt.GPT(len(alphabet)).to("cuda")
    with redirect_stdout(io.StringIO()):
        losses = gpt.train(model, text, steps)
    guess = math.log(len(alphabet))
    seen = f"loss {losses[0]:.3f} to {losses[-1]:.3f} in {steps} steps; a guess has {guess:.3f}"
    return [Row("the tutorial's GPT", losses[-1] < min(losses[0], guess), seen)]


def sanitizer() -> list[Row]:
    """Our kernels under NVIDIA's compute-sanitizer."""
    program = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if program is None:
        return [Row("compute-sanitizer", None, "not installed (it comes with the CUDA toolkit)")]
    rows = []
    for tool in ("memcheck", "racecheck"):
        command = [
            program,
            "--tool",
            tool,
            "--error-exitcode",
            "9",
            sys.executable,
            "-m",
            "tests.support.gpu",
            "kernels",
            "derivatives",
        ]
        run = subprocess.run(command, capture_output=True, text=True, timeout=500, env=os.environ, check=False)
        summary = [line for line in run.stdout.splitlines() if "SUMMARY" in line] or ["no summary"]
        rows.append(Row(f"compute-sanitizer {tool}", run.returncode == 0, summary[-1].strip("= ")))
    return rows


def benchmarks(sizes: gpu_benchmarks.Sizes | None = None) -> list[Row]:
    """Times beside PyTorch's and CuPy's; of what is bound by memory, the share of a copy's bandwidth."""
    rows = [Row(*row) for row in gpu_benchmarks.benchmarks(sizes or gpu_benchmarks.Sizes())]
    x, y = _blobs(64)
    step = _stepper(*_classifier(), x, y)
    eager = gpu_benchmarks.of_wootz().milliseconds(step, 10)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        step()
    whole = gpu_benchmarks.of_wootz().milliseconds(graph.replay, 10)
    seen = f"{eager:9.3f} ms op by op, {whole:.3f} ms as a graph: {eager / whole:.1f} times faster"
    return [*rows, Row("  step of a small network", None, seen)]


PARTS: dict[str, Callable[[], list[Row]]] = {
    "table": op_table, "kernels": kernels, "derivatives": derivatives, "training": training, "tutorial": tutorial,
    "sanitizer": sanitizer, "benchmarks": benchmarks,
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Prints the diagnosis and the table; returns the exit code."""
    diagnosis = cuda.diagnose()
    print(diagnosis)
    if not diagnosis.fits:
        print(f"no GPU was used: {diagnosis.reason}")
        return NO_GPU
    good = True
    for part in arguments or PARTS:
        start = time.perf_counter()
        for row in PARTS[part]():
            mark = {True: "ok", False: "FAILED", None: "-"}[row.good]
            print(f"{row.name:<28}{mark:<8}{row.seen}", flush=True)
            good = good and row.good is not False
        print(f"{'':<36}({part}: {time.perf_counter() - start:.1f} s)", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
