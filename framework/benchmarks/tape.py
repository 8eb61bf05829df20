"""What the tape's and wootz.func's features cost: `python benchmarks/tape.py`. Ratios within this run, on one thread.

PyTorch's are printed where it is installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import best, torch

import wootz
from wootz import _core
from wootz.func import grad, hessian, jvp, vmap
from wootz.utils.checkpoint import checkpoint

__all__ = ["main"]


def overrides() -> None:
    """An op on plain tensors, before and after a subclass with an override exists, and on the subclass itself."""
    x = wootz.ones(10)
    before = best(lambda: x + x)

    class Sub(wootz.Tensor):
        pass

    after = best(lambda: x + x)
    y = x.as_subclass(Sub)
    asked = best(lambda: y + y)
    print(f"add of 10 elements: {after / before:.2f} times as long once a subclass exists, {asked / before:.0f} on it")


def mapped(t: Any) -> None:
    """vmap against a loop, and against PyTorch's."""
    a, w = np.random.default_rng(0).standard_normal((256, 32)), np.random.default_rng(1).standard_normal((32, 32))
    xs, m = wootz.from_numpy(a), wootz.from_numpy(w)

    def f(lib: Any, m: Any) -> Any:
        return lambda x: lib.tanh(m @ x).sum()

    together = best(lambda: vmap(grad(f(wootz, m)))(xs))
    loop = best(lambda: [grad(f(wootz, m))(x) for x in xs])
    line = f"256 gradients: a loop takes {loop / together:.0f} times as long as vmap(grad)"
    if t:
        xt, mt = t.from_numpy(a), t.from_numpy(w)
        line += f", torch.func {best(lambda: t.func.vmap(t.func.grad(f(t, mt)))(xt)) / together:.2f}"
    print(line)


def derivatives(t: Any) -> None:
    """jvp beside the function itself, hessian beside PyTorch's."""
    a = np.random.default_rng(0).standard_normal(64)
    x = wootz.from_numpy(a)

    def f(lib: Any) -> Any:
        return lambda x: (lib.exp(lib.sin(x)) * x).sum()

    plain, pushed = best(lambda: f(wootz)(x)), best(lambda: jvp(f(wootz), (x,), (x,)))
    second = best(lambda: hessian(f(wootz))(x))
    line = f"jvp: {pushed / plain:.1f} times the function; hessian of 64: {second / plain:.0f} times"
    if t:
        xt = t.from_numpy(a)
        line += f", torch.func takes {best(lambda: t.func.hessian(f(t))(xt)) / second:.2f} times as long"
    print(line)


def recomputed() -> None:
    """Memory that a checkpoint holds until backward, and the time that it costs."""
    x = wootz.randn(100_000, requires_grad=True)

    def deep(y: wootz.Tensor) -> wootz.Tensor:
        for _ in range(16):
            y = y.sin()
        return y

    def held(run: Any) -> int:
        before = _core.memory_stats()["in_use"]
        out = run()
        return int(_core.memory_stats()["in_use"] - before) if out is not None else 0

    memory = held(lambda: checkpoint(deep, x)) / held(lambda: deep(x))
    time = best(lambda: checkpoint(deep, x).sum().backward()) / best(lambda: deep(x).sum().backward())
    print(f"checkpoint of 16 ops: {memory:.2f} times the memory, {time:.2f} times the time")


def main() -> None:
    wootz.set_num_threads(1)
    t = torch()
    overrides()
    mapped(t)
    derivatives(t)
    recomputed()


if __name__ == "__main__":
    main()
