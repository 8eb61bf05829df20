"""How long ops take on this machine's GPU, by device events, beside PyTorch and CuPy in the same process, in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

import wootz
from wootz import backend, cuda, nn

__all__ = ["Sizes", "benchmarks", "of_wootz"]

Action = Callable[[], Any]


class Sizes(NamedTuple):
    """What is timed: elements, rows and columns of a matrix, and tokens, heads and rows of a table."""

    elements: int = 1 << 26
    rows: int = 8192
    columns: int = 4096
    tokens: int = 2048
    heads: int = 32
    words: int = 50257
    repeats: int = 10


class Library(NamedTuple):
    """One of the libraries: its events, and how to read the milliseconds between two."""

    event: Callable[[], Any]
    elapsed: Callable[[Any, Any], float]

    def milliseconds(self, action: Action, repeats: int) -> float:
        """The best of five runs of an action."""
        for _ in range(max(1, repeats // 2)):
            action()
        best = float("inf")
        for _ in range(5):
            start, end = self.event(), self.event()
            start.record()
            for _ in range(repeats):
                action()
            end.record()
            end.synchronize()
            best = min(best, self.elapsed(start, end) / repeats)
        return best


def of_wootz() -> Library:
    """This library's events."""
    return Library(lambda: cuda.Event(enable_timing=True), lambda a, b: a.elapsed_time(b))


def _cupy() -> Library:
    cupy = backend.active().cupy
    return Library(cupy.cuda.Event, cupy.cuda.get_elapsed_time)


def _events_of(torch: Any) -> Library:
    return Library(lambda: torch.cuda.Event(enable_timing=True), lambda a, b: a.elapsed_time(b))


def _torch() -> Any:
    """PyTorch, if it is installed and sees the GPU."""
    try:
        torch = import_module("torch")
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


class Case(NamedTuple):
    """An op: bytes it has to move, what it is in wootz, and in PyTorch and CuPy where they have it."""

    name: str
    moved: int
    ours: Action
    torch: Action | None = None
    cupy: Action | None = None


def _plain(sizes: Sizes, torch: Any) -> Iterator[Case]:
    """Bound by memory, and the matrix product."""
    n, (rows, columns) = sizes.elements, sizes[1:3]
    x, m, weight = (wootz.randn(*shape, device="cuda") for shape in ((n,), (rows, columns), (columns,)))
    a = wootz.randn(columns, columns, device="cuda")
    xp = backend.active().cupy
    cx, ca = (backend.active().array(t) for t in (x, a))
    tx, tm, tw, ta = (None if torch is None else torch.from_dlpack(t) for t in (x, m, weight, a))
    f = None if torch is None else torch.nn.functional

    def theirs(action: Callable[[], Any]) -> Action | None:
        return None if torch is None else action

    yield Case("copy", 8 * n, x.clone, theirs(lambda: tx.clone()), cx.copy)
    yield Case("add", 8 * n, lambda: x + x, theirs(lambda: tx + tx), lambda: xp.add(cx, cx))
    yield Case("gelu", 8 * n, lambda: wootz.gelu(x), theirs(lambda: f.gelu(tx)))
    yield Case("dropout", 8 * n, lambda: nn.functional.dropout(x, 0.1), theirs(lambda: f.dropout(tx, 0.1)))
    yield Case("sum", 4 * n, x.sum, theirs(lambda: tx.sum()), cx.sum)
    yield Case("softmax", 8 * rows * columns, lambda: m.softmax(-1), theirs(lambda: tm.softmax(-1)))
    yield Case(
        "layer norm", 8 * rows * columns, lambda: nn.functional.layer_norm(m, (columns,), weight, weight),
        theirs(lambda: f.layer_norm(tm, (columns,), tw, tw)),
    )  # fmt: skip
    yield Case("matmul", 0, lambda: a @ a, theirs(lambda: ta @ ta), lambda: xp.matmul(ca, ca))


def _of_models(sizes: Sizes, torch: Any) -> Iterator[Case]:
    """Attention and embedding, forward and with gradients."""
    tokens, heads = sizes.tokens, sizes.heads
    q, k, v = (wootz.randn(1, heads, tokens, 64, device="cuda", dtype=wootz.float16) for _ in range(3))
    table = wootz.randn(sizes.words, 768, device="cuda")
    drawn = np.random.default_rng(0).zipf(1.3, 4 * tokens) % sizes.words
    places = wootz.from_numpy(drawn).to("cuda")
    mine = [t.requires_grad_() for t in (q, k, v, table)]
    grad_out, grad_rows = wootz.ones_like(q), wootz.ones(4 * tokens, 768, device="cuda")
    theirs = [] if torch is None else [torch.from_dlpack(t.detach()).requires_grad_() for t in mine]
    theirs_out, theirs_rows, theirs_at = (
        None if torch is None else torch.from_dlpack(t) for t in (grad_out, grad_rows, places)
    )

    def attend() -> Any:
        return nn.functional.scaled_dot_product_attention(*mine[:3], is_causal=True)

    def attend_theirs() -> Any:
        return torch.nn.functional.scaled_dot_product_attention(*theirs[:3], is_causal=True)

    def look_up() -> Any:
        return nn.functional.embedding(places, mine[3])

    def look_up_theirs() -> Any:
        return torch.nn.functional.embedding(theirs_at, theirs[3])

    def with_gradient(forward: Action, gradient: Any, leaves: list[Any]) -> Action:
        def run() -> None:
            for leaf in leaves:
                leaf.grad = None
            forward().backward(gradient)

        return run

    def other(action: Action) -> Action | None:
        return None if torch is None else action

    yield Case("attention, float16", 0, attend, other(attend_theirs))
    yield Case(
        "  with gradients", 0, with_gradient(attend, grad_out, mine[:3]),
        other(with_gradient(attend_theirs, theirs_out, theirs[:3])),
    )  # fmt: skip
    xp = backend.active().cupy
    ctable, cplaces = (backend.active().array(t.detach()) for t in (table, places))
    taken = 8 * 768 * places.numel()
    yield Case("embedding", taken, look_up, other(look_up_theirs), lambda: xp.take(ctable, cplaces, axis=0))
    yield Case(
        "  with gradient", 0, with_gradient(look_up, grad_rows, mine[3:]),
        other(with_gradient(look_up_theirs, theirs_rows, theirs[3:])),
    )  # fmt: skip


def benchmarks(sizes: Sizes) -> Iterator[tuple[str, bool | None, str]]:
    """A line a case: name, whether it could be compared, and what was seen."""
    torch, bandwidth = _torch(), 0.0
    wootzs, cupys = of_wootz(), _cupy()
    theirs = None if torch is None else _events_of(torch)
    for family in (_plain, _of_models):
        for case in family(sizes, torch):
            mine = wootzs.milliseconds(case.ours, sizes.repeats)
            seen = f"{mine:9.3f} ms"
            if case.moved:
                speed = case.moved / mine
                bandwidth = bandwidth or speed
                seen += f"  {speed / 1e6:7.0f} GB/s, {speed / bandwidth:4.0%} of copy"
            if theirs is not None and case.torch is not None:
                seen += f"  PyTorch {theirs.milliseconds(case.torch, sizes.repeats) / mine:5.2f} times as long"
            if case.cupy is not None:
                seen += f"  CuPy {cupys.milliseconds(case.cupy, sizes.repeats) / mine:5.2f}"
            yield f"  {case.name}", True if case.torch or case.cupy else None, seen
