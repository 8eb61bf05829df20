"""Times many ops at three sizes beside PyTorch, worst ratio first: `python benchmarks/sweep.py [FILTER] [THREADS]`.

The same expression runs in both libraries, in turns, float32 unless it says otherwise; each figure is the best of
several rounds. On one thread processor time counts, so that a busy machine tells the same; on more the wall's. A
ratio says how many times as long PyTorch takes. Without PyTorch the times alone are printed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ops import torch

import wootz
import wootz.nn.functional

__all__ = ["CASES", "main"]

SIZES = {"10": (2, 5), "10k": (100, 100), "1M": (1000, 1000)}


class Inputs:
    """What the expressions take: matrices and vectors of one size in one library."""

    def __init__(self, lib: Any, shape: tuple[int, int]) -> None:
        random = np.random.default_rng(0)
        rows, columns = shape
        n = rows * columns
        m = random.standard_normal(shape).astype(np.float32)
        self.lib, self.F, self.rows = lib, lib.nn.functional, rows
        self.m, self.x, self.y = lib.tensor(m), lib.tensor(m.reshape(-1)), lib.tensor(m.reshape(-1)[::-1].copy())
        self.p = lib.tensor(np.abs(m.reshape(-1)) + 0.1)
        self.u = lib.tensor((random.random(n) * 1.98 - 0.99).astype(np.float32))
        self.mask = lib.tensor(m > 0)
        self.whole = lib.tensor(random.integers(0, 100, n))
        self.places = lib.tensor(random.permutation(n))
        self.row_places = lib.tensor(random.integers(0, rows, rows))
        self.gathered = lib.tensor(random.integers(0, columns, shape))
        self.c = lib.tensor((m + 1j * m[::-1]).astype(np.complex64))
        self.weight, self.bias = lib.tensor(m[0].copy()), lib.tensor(m[-1].copy())
        self.labels = lib.tensor(random.integers(0, columns, rows))
        self.parts = [self.m] * 16
        self.ordered = lib.tensor(np.sort(m))
        self.bounds = lib.tensor(np.linspace(-2, 2, 50).astype(np.float32))


CASES: dict[str, Callable[[Inputs], Any]] = {
    **{name: lambda i, n=name: getattr(i.lib, n)(i.x) for name in (  # type: ignore[misc]
        "neg", "abs", "sign", "floor", "round", "exp", "exp2", "expm1", "sigmoid", "tanh", "erf", "erfc", "sin", "cos",
        "tan", "atan", "sinh", "cosh", "asinh", "relu", "square", "isnan", "isfinite", "signbit", "frac", "sinc", "i0",
    )},
    **{name: lambda i, n=name: getattr(i.lib, n)(i.p) for name in (  # type: ignore[misc]
        "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "lgamma", "digamma",
    )},
    **{name: lambda i, n=name: getattr(i.lib, n)(i.u) for name in ("asin", "acos", "atanh", "erfinv")},  # type: ignore[misc]
    **{name: lambda i, n=name: getattr(i.F, n)(i.x) for name in (  # type: ignore[misc]
        "gelu", "silu", "softplus", "elu", "mish", "hardswish", "leaky_relu", "logsigmoid",
    )},
    **{name: lambda i, n=name: getattr(i.lib, n)(i.x, i.y) for name in (  # type: ignore[misc]
        "add", "mul", "div", "maximum", "minimum", "atan2", "lt", "eq", "hypot", "fmod", "remainder", "copysign",
    )},
    "pow 3": lambda i: i.p**3,
    "pow 2.5": lambda i: i.p**2.5,
    "pow tensor": lambda i: i.p**i.x,
    "add scalar": lambda i: i.x + 1.5,
    "add row": lambda i: i.m + i.weight,
    "add transposed": lambda i: i.m + i.m.T if i.m.shape[0] == i.m.shape[1] else i.m,
    "where": lambda i: i.lib.where(i.mask, i.m, i.weight),
    "clamp": lambda i: i.x.clamp(-1, 1),
    "lerp": lambda i: i.lib.lerp(i.x, i.y, 0.3),
    "addcmul": lambda i: i.lib.addcmul(i.x, i.y, i.x),
    "masked_fill": lambda i: i.m.masked_fill(i.mask, 0.0),
    "masked_select": lambda i: i.m[i.mask],
    "nonzero": lambda i: i.mask.nonzero(),
    "sum": lambda i: i.x.sum(),
    "sum rows": lambda i: i.m.sum(0),
    "sum columns": lambda i: i.m.sum(1),
    "sum complex": lambda i: i.c.sum(),
    "sum complex columns": lambda i: i.c.sum(1),
    "mul complex": lambda i: i.c * i.c,
    "abs complex": lambda i: i.c.abs(),
    "exp complex": lambda i: i.c.exp(),
    "mean": lambda i: i.x.mean(),
    "var": lambda i: i.x.var(),
    "std rows": lambda i: i.m.std(0),
    "std columns": lambda i: i.m.std(1),
    "prod": lambda i: i.x.prod(),
    "amax": lambda i: i.x.amax(),
    "amax rows": lambda i: i.m.amax(0),
    "max columns": lambda i: i.m.max(1),
    "argmax": lambda i: i.x.argmax(),
    "argmax columns": lambda i: i.m.argmax(1),
    "argmax rows": lambda i: i.m.argmax(0),
    "any": lambda i: i.mask.any(),
    "all columns": lambda i: i.mask.all(1),
    "count_nonzero": lambda i: i.lib.count_nonzero(i.mask),
    "norm": lambda i: i.x.norm(),
    "logsumexp": lambda i: i.m.logsumexp(1),
    "softmax": lambda i: i.m.softmax(1),
    "softmax rows": lambda i: i.m.softmax(0),
    "log_softmax": lambda i: i.m.log_softmax(1),
    "cross_entropy": lambda i: i.F.cross_entropy(i.m, i.labels),
    "mse_loss": lambda i: i.F.mse_loss(i.x, i.y),
    "layer_norm": lambda i: i.F.layer_norm(i.m, i.weight.shape, i.weight, i.bias),
    "cumsum": lambda i: i.x.cumsum(0),
    "cumsum columns": lambda i: i.m.cumsum(1),
    "cumsum rows": lambda i: i.m.cumsum(0),
    "cumprod": lambda i: i.u.cumprod(0),
    "cummax": lambda i: i.m.cummax(1),
    "sort": lambda i: i.x.sort(),
    "sort columns": lambda i: i.m.sort(1),
    "sort whole": lambda i: i.whole.sort(),
    "argsort": lambda i: i.x.argsort(),
    "topk": lambda i: i.x.topk(5),
    "topk columns": lambda i: i.m.topk(2, 1),
    "median": lambda i: i.x.median(),
    "median columns": lambda i: i.m.median(1),
    "median rows": lambda i: i.m.median(0),
    "nanmedian": lambda i: i.x.nanmedian(),
    "nanmedian columns": lambda i: i.m.nanmedian(1),
    "kthvalue": lambda i: i.x.kthvalue(i.rows),
    "kthvalue columns": lambda i: i.m.kthvalue(2, 1),
    "quantile": lambda i: i.x.quantile(0.3),
    "quantile columns": lambda i: i.m.quantile(0.3, 1),
    "nanquantile columns": lambda i: i.m.nanquantile(0.3, 1),
    "mode columns": lambda i: i.gathered.mode(1),
    "unique": lambda i: i.whole.unique(),
    "unique inverse": lambda i: i.whole.unique(return_inverse=True),
    "unique floats": lambda i: i.x.unique(),
    "unique_consecutive": lambda i: i.whole.unique_consecutive(),
    "isin": lambda i: i.lib.isin(i.whole, i.labels),
    "bincount": lambda i: i.whole.bincount(),
    "bincount weights": lambda i: i.whole.bincount(i.x),
    "histc": lambda i: i.x.histc(100),
    "histogram": lambda i: i.x.histogram(100),
    "searchsorted": lambda i: i.lib.searchsorted(i.bounds, i.x),
    "searchsorted rows": lambda i: i.lib.searchsorted(i.ordered, i.m),
    "bucketize": lambda i: i.lib.bucketize(i.x, i.bounds, right=True),
    "gather": lambda i: i.m.gather(1, i.gathered),
    "scatter_add": lambda i: i.m.scatter_add(1, i.gathered, i.m),
    "scatter": lambda i: i.m.scatter(1, i.gathered, i.m),
    "take": lambda i: i.x.take(i.places),
    "index": lambda i: i.x[i.places],
    "index rows": lambda i: i.m[i.row_places],
    "index_select": lambda i: i.m.index_select(0, i.row_places),
    "index_select columns": lambda i: i.m.index_select(1, i.row_places % i.m.shape[1]),
    "index_add": lambda i: i.m.index_add(0, i.row_places, i.m),
    "index_put": lambda i: i.lib.index_put(i.m, (i.row_places,), i.m),
    "embedding": lambda i: i.F.embedding(i.row_places, i.m),
    "one_hot": lambda i: i.F.one_hot(i.labels),
    "cat of 16": lambda i: i.lib.cat(i.parts),
    "cat of 16, dim 1": lambda i: i.lib.cat(i.parts, 1),
    "stack of 16": lambda i: i.lib.stack(i.parts),
    "transpose copy": lambda i: i.m.T.contiguous(),
    "flip": lambda i: i.m.flip(1),
    "roll": lambda i: i.m.roll(1, 0),
    "tril": lambda i: i.m.tril(),
    "repeat": lambda i: i.m.repeat(2, 1),
    "repeat_interleave": lambda i: i.m.repeat_interleave(2, 0),
    "pad": lambda i: i.F.pad(i.m, (1, 1)),
    "to float64": lambda i: i.x.to(i.lib.float64),
    "to int64": lambda i: i.x.to(i.lib.int64),
    "clone": lambda i: i.x.clone(),
    "zeros_like": lambda i: i.lib.zeros_like(i.x),
    "arange": lambda i: i.lib.arange(i.x.shape[0]),
    "int add": lambda i: i.whole + i.whole,
    "int floor divide": lambda i: i.whole // 3,
    "matmul": lambda i: i.m @ i.m.T,
    "matrix by vector": lambda i: i.m @ i.weight,
    "dot": lambda i: i.x.dot(i.y),
    "outer": lambda i: i.lib.outer(i.weight, i.bias),
    "einsum ij,kj": lambda i: i.lib.einsum("ij,kj->ik", i.m, i.m),
    "dropout": lambda i: i.F.dropout(i.x, 0.5, True),
    "randn": lambda i: i.lib.randn(i.x.shape[0]),
    "rand": lambda i: i.lib.rand(i.x.shape[0]),
}  # fmt: skip


def in_turns(actions: list[Callable[[], Any]], clock: Callable[[], float], seconds: float = 0.04) -> list[float]:
    """The shortest time of one call of each, in seconds; a round of one follows a round of the other."""
    counts = []
    for action in actions:
        action()
        start = clock()
        action()
        counts.append(max(1, int(seconds / 5 / max(clock() - start, 1e-7))))
    times = [float("inf")] * len(actions)
    for _ in range(5):
        for k, (action, count) in enumerate(zip(actions, counts, strict=True)):
            start = clock()
            for _ in range(count):
                action()
            times[k] = min(times[k], (clock() - start) / count)
    return times


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    clock = time.process_time if threads == 1 else time.perf_counter
    t = torch()
    wootz.set_num_threads(threads)
    libraries = [wootz]
    if t:
        t.set_num_threads(threads)
        libraries.append(t)
    rows = []
    for size, shape in SIZES.items():
        inputs = [Inputs(lib, shape) for lib in libraries]
        for name, call in CASES.items():
            if wanted not in name:
                continue
            times = in_turns([lambda i=i, c=call: c(i) for i in inputs], clock)  # type: ignore[misc]
            rows.append((times[1] / times[0] if t else 0.0, f"{name}, {size}", times[0]))
    peer = f"PyTorch {t.__version__ if t else 'absent'}"
    print(f"wootz {wootz.__version__} on {wootz._core.isa()}, {threads} thread(s), {peer}")
    print(f"{'':38}{'wootz µs':>12}{'PyTorch':>10}")
    for ratio, label, ours in sorted(rows):
        print(f"{label:38}{ours * 1e6:12.2f}" + (f"{ratio:9.2f}x" if ratio else f"{'-':>10}"))


if __name__ == "__main__":
    main()
