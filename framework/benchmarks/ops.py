"""Times the core's ops beside NumPy's, and PyTorch's where it is installed: `python benchmarks/ops.py [FILTER]`.

All libraries run in this process, on one thread, in turns; each figure is the best of several rounds. The last columns
say how many times as long the other library takes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

import wootz
import wootz.nn
import wootz.nn.functional
import wootz.optim

__all__ = ["cases", "main"]

Action = Callable[[], Any]


@dataclass
class Case:
    """One thing to time, in each library that can do it."""

    name: str
    wootz: Action
    others: dict[str, Action] = field(default_factory=dict)


def torch() -> Any:
    """PyTorch on one thread, or None."""
    try:
        module = import_module("torch")
    except ImportError:
        return None
    module.set_num_threads(1)
    return module


def best(action: Action, seconds: float = 0.15, clock: Callable[[], float] = time.perf_counter) -> float:
    """The shortest time of one call, in seconds."""
    action()
    start = clock()
    action()
    count = max(1, int(seconds / 5 / max(clock() - start, 1e-7)))
    times = []
    for _ in range(5):
        start = clock()
        for _ in range(count):
            action()
        times.append((clock() - start) / count)
    return min(times)


def _array(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _small(t: Any) -> list[Case]:
    a = _array(10)
    w, g = wootz.tensor(a), wootz.tensor(a, requires_grad=True)
    out = [
        Case("add, 10 elements", lambda: w + w, {"numpy": lambda: a + a}),
        Case("add, 10 elements, recorded", lambda: g + w),
        Case("add, sum, backward", lambda: (g + w).sum().backward()),
    ]
    if t:
        x, y = t.tensor(a), t.tensor(a, requires_grad=True)
        for case, action in zip(out, (lambda: x + x, lambda: y + x, lambda: (y + x).sum().backward()), strict=True):
            case.others["torch"] = action
    return out


def _elementwise(t: Any) -> list[Case]:
    a = _array(1 << 20)
    w, x = wootz.tensor(a), t.tensor(a) if t else None
    out = []
    for name in ("add", "exp", "tanh", "erf", "sigmoid", "sum", "relu"):
        known = {"add": lambda: a + a, "exp": lambda: np.exp(a), "tanh": lambda: np.tanh(a), "sum": lambda: a.sum(),
                 "relu": lambda: np.maximum(a, 0)}  # fmt: skip
        operands = 2 if name == "add" else 1
        case = Case(f"{name}, 1M float32", lambda n=name, k=operands: getattr(wootz, n)(*[w] * k))  # type: ignore[misc]
        if name in known:
            case.others["numpy"] = known[name]
        if t:
            case.others["torch"] = lambda n=name, k=operands: getattr(t, n)(*[x] * k)  # type: ignore[misc]
        out.append(case)
    rows = a.reshape(1024, 1024)
    wr, tr = wootz.tensor(rows), t.tensor(rows) if t else None
    out.append(Case("softmax, 1024 x 1024", lambda: wr.softmax(1), {"torch": lambda: tr.softmax(1)} if t else {}))
    out.append(Case("add transposed, 1024 x 1024", lambda: wr + wr.T, {"numpy": lambda: rows + rows.T}))
    out.append(Case("sum over rows, 1024 x 1024", lambda: wr.sum(0), {"numpy": lambda: rows.sum(0)}))
    if t:
        out[-2].others["torch"] = lambda: tr + tr.T
        out[-1].others["torch"] = lambda: tr.sum(0)
    return out


def _dtypes(t: Any) -> list[Case]:
    """16-bit floats, which are computed in float32, and complex numbers."""
    out = []
    for kind in ("float16", "bfloat16", "complex64"):
        values = _array(1 << 20) + (1j * _array(1 << 20)[::-1] if kind == "complex64" else 0)
        w = wootz.tensor(values, dtype=getattr(wootz, kind))
        x = t.tensor(values, dtype=getattr(t, kind)) if t else None
        for name, work in (
            ("add", lambda v: v + v),
            ("exp", lambda v: v.exp()),
            ("sum", lambda v: v.sum()),
            ("matmul 256", lambda v: v[: 1 << 16].reshape(256, 256) @ v[: 1 << 16].reshape(256, 256)),
        ):
            case = Case(f"{name}, {kind}", lambda f=work, v=w: f(v))  # type: ignore[misc]
            if t:
                case.others["torch"] = lambda f=work, v=x: f(v)  # type: ignore[misc]
            out.append(case)
    return out


def _products(t: Any) -> list[Case]:
    out = []
    for n in (32, 256, 1024):
        a = _array(n, n)
        w, x = wootz.tensor(a), t.tensor(a) if t else None
        case = Case(f"matmul, {n} x {n}", lambda w=w: w @ w, {"numpy": lambda a=a: a @ a})  # type: ignore[misc]
        if t:
            case.others["torch"] = lambda x=x: x @ x  # type: ignore[misc]
        out.append(case)
    return out


def _step(nn: Any, functional: Any, optim: Any, inputs: Any, labels: Any) -> Action:
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        loss = functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _training(t: Any) -> list[Case]:
    a, labels = _array(32, 784), np.arange(32) % 10
    case = Case(
        "MLP 784-256-10 AdamW step, batch 32",
        _step(wootz.nn, wootz.nn.functional, wootz.optim, wootz.tensor(a), wootz.tensor(labels)),
    )
    if t:
        case.others["torch"] = _step(t.nn, t.nn.functional, t.optim, t.tensor(a), t.tensor(labels))
    return [case]


def cases(t: Any) -> list[Case]:
    """Everything that is timed; `t` is PyTorch or None."""
    return [*_small(t), *_elementwise(t), *_dtypes(t), *_products(t), *_training(t)]


def _column(ratio: float | None) -> str:
    return f"{ratio:9.2f}x" if ratio else f"{'-':>10}"


def main() -> None:
    wootz.set_num_threads(1)
    t = torch()
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    versions = f"NumPy {np.__version__}, PyTorch {t.__version__ if t else 'absent'}"
    print(f"wootz {wootz.__version__} on {wootz._core.isa()}, {versions}")
    print(f"{'':38}{'wootz µs':>12}{'NumPy':>10}{'PyTorch':>10}")
    for case in cases(t):
        if wanted not in case.name:
            continue
        ours = best(case.wootz)
        ratios = [best(case.others[n]) / ours if n in case.others else None for n in ("numpy", "torch")]
        print(f"{case.name:38}{ours * 1e6:12.2f}" + "".join(_column(r) for r in ratios))


if __name__ == "__main__":
    main()
