"""Checks this machine's GPU and prints a short table: `python -m tests.support.gpu [PART ...]` from a checkout's root.

Needs an installed CUDA wheel of wootz with its CuPy; PyTorch and compute-sanitizer are used where they
are found. Exit code 0: all is well; 1: something failed; 3: there is no GPU that this wheel can use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import wootz
from wootz import cuda, nn, optim
from wootz.autograd import gradcheck, gradgradcheck

__all__ = ["NO_GPU", "PARTS", "Row", "main"]

NO_GPU = 3


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
    }
    wrong = []
    for name, (function, inputs) in cases.items():
        try:
            assert gradcheck(function, inputs) and gradgradcheck(function, inputs)
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__} {str(error).splitlines()[0][:100]}")
    seen = f"{len(cases) - len(wrong)} of {len(cases)} functions, first and second"
    return [Row("gradcheck in float64", not wrong, seen), *_list(wrong)]


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


def training() -> list[Row]:
    """A small network learns, alone and as one graph."""
    x, y = _blobs()
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


def sanitizer() -> list[Row]:
    """The op table under NVIDIA's compute-sanitizer."""
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
            "derivatives",
        ]
        run = subprocess.run(command, capture_output=True, text=True, timeout=500, env=os.environ)
        summary = [line for line in run.stdout.splitlines() if "SUMMARY" in line] or ["no summary"]
        rows.append(Row(f"compute-sanitizer {tool}", run.returncode == 0, summary[-1].strip("= ")))
    return rows


# Benchmarks, by device events; every library in this process, in turns


def _milliseconds(action: Callable[[], Any], event: Callable[[], Any], elapsed: Callable[[Any, Any], float]) -> float:
    for _ in range(5):
        action()
    best = float("inf")
    for _ in range(5):
        start, end = event(), event()
        start.record()
        for _ in range(10):
            action()
        end.record()
        end.synchronize()
        best = min(best, elapsed(start, end) / 10)
    return best


def _of_wootz(action: Callable[[], Any]) -> float:
    return _milliseconds(action, lambda: cuda.Event(enable_timing=True), lambda a, b: a.elapsed_time(b))


def _of_torch(action: Callable[[], Any]) -> float:
    import torch

    return _milliseconds(action, lambda: torch.cuda.Event(enable_timing=True), lambda a, b: a.elapsed_time(b))


def _cases(torch: Any, n: int, rows: int, size: int) -> dict[str, tuple[Callable[[], Any], Callable[[], Any] | None]]:
    x, m = wootz.randn(n, device="cuda"), wootz.randn(rows, size, device="cuda")
    a, weight = wootz.randn(size, size, device="cuda"), wootz.ones(size, device="cuda")
    cases: dict[str, tuple[Callable[[], Any], Any]] = {
        "copy": (lambda: x.clone(), lambda t: t["x"].clone),
        "add": (lambda: x + x, lambda t: lambda: t["x"] + t["x"]),
        "gelu": (lambda: wootz.gelu(x), lambda t: lambda: torch.nn.functional.gelu(t["x"])),
        "sum": (lambda: x.sum(), lambda t: t["x"].sum),
        "softmax": (lambda: m.softmax(-1), lambda t: lambda: t["m"].softmax(-1)),
        "layer norm": (
            lambda: nn.functional.layer_norm(m, (size,), weight, weight),
            lambda t: lambda: torch.nn.functional.layer_norm(t["m"], (size,), t["weight"], t["weight"]),
        ),
        "matmul": (lambda: a @ a, lambda t: lambda: t["a"] @ t["a"]),
    }
    if torch is None:
        return {name: (ours, None) for name, (ours, _) in cases.items()}
    theirs = {"x": torch.from_dlpack(x), "m": torch.from_dlpack(m), "a": torch.from_dlpack(a),
              "weight": torch.from_dlpack(weight)}  # fmt: skip
    return {name: (ours, make(theirs)) for name, (ours, make) in cases.items()}


def benchmarks(n: int = 1 << 26, rows: int = 8192, size: int = 4096) -> list[Row]:
    """Times beside PyTorch's; of what is bound by memory, the share of a copy's bandwidth."""
    try:
        import torch
    except ImportError:
        torch = None  # type: ignore[assignment]
    moved = {"copy": 8 * n, "add": 8 * n, "gelu": 8 * n, "sum": 4 * n, "softmax": 8 * rows * size,
             "layer norm": 8 * rows * size}  # fmt: skip
    table, bandwidth = [], 0.0
    for name, (ours, theirs) in _cases(torch, n, rows, size).items():
        mine = _of_wootz(ours)
        seen = f"{mine:9.3f} ms"
        if name in moved:
            speed = moved[name] / mine
            bandwidth = bandwidth or speed
            seen += f"  {speed / 1e6:7.0f} GB/s, {speed / bandwidth:4.0%} of copy"
        if theirs is not None:
            seen += f"  PyTorch {_of_torch(theirs) / mine:5.2f} times as long"
        table.append(Row(f"  {name}", None if theirs is None else True, seen))
    return [*table, *_step_times()]


def _step_times() -> list[Row]:
    x, y = _blobs(64)
    step = _stepper(*_classifier(), x, y)
    eager = _of_wootz(step)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        step()
    whole = _of_wootz(graph.replay)
    seen = f"{eager:9.3f} ms op by op, {whole:.3f} ms as a graph: {eager / whole:.1f} times faster"
    return [Row("  step of a small network", True, seen)]


PARTS: dict[str, Callable[[], list[Row]]] = {
    "table": op_table, "derivatives": derivatives, "training": training, "sanitizer": sanitizer,
    "benchmarks": benchmarks,
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
