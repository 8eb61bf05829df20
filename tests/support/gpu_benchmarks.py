"""How long ops take on this machine's GPU, by device events, beside PyTorch and CuPy in the same process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from tests.support.gpu_checks import Row, blobs, classifier, stepper

import wootz
from wootz import backend, cuda, nn, optim
from wootz.errors import KernelError

__all__ = ["Sizes", "of_memory", "of_models"]

Action = Callable[[], Any]


class Sizes(NamedTuple):
    """What is timed: elements, rows and columns of a matrix; batch, tokens, heads of 64 and words of a model; its
    layers' parameters for the optimiser; repetitions."""

    elements: int = 1 << 26
    rows: int = 8192
    columns: int = 4096
    batch: int = 4
    tokens: int = 2048
    heads: int = 16
    words: int = 50257
    layers: int = 24
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


def _wootz() -> Library:
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


class Both:
    """Tensors of wootz, the same memory as PyTorch's, and actions of either over its own; PyTorch may be absent."""

    def __init__(self, torch: Any, **tensors: wootz.Tensor) -> None:
        self._torch = torch
        self._ours = tensors
        self._theirs = {} if torch is None else {name: torch.from_dlpack(t) for name, t in tensors.items()}

    def case(self, name: str, moved: int, action: Callable[..., Any], cupy: Action | None = None) -> Case:
        """``action(functional, **tensors)`` in both libraries."""
        return Case(name, moved, *self._pair(lambda f, tensors: lambda: action(f, **tensors)), cupy)

    def gradients(
        self, name: str, moved: int, action: Callable[..., Any], leaves: Sequence[str], grad: str | None = None
    ) -> Case:
        """An action and the gradients of its result, a number or one to which ``grad`` is the gradient."""

        def build(f: Any, tensors: dict[str, Any]) -> Action:
            given = {**tensors, **{leaf: tensors[leaf].detach().requires_grad_() for leaf in leaves}}

            def run() -> None:
                for leaf in leaves:
                    given[leaf].grad = None
                made = action(f, **given)
                made.backward(*([] if grad is None else [tensors[grad]]))

            return run

        return Case(name, moved, *self._pair(build))

    def _pair(self, build: Callable[[Any, dict[str, Any]], Action]) -> tuple[Action, Action | None]:
        ours = build(nn.functional, self._ours)
        return ours, None if self._torch is None else build(self._torch.nn.functional, self._theirs)


def _memory(sizes: Sizes, torch: Any) -> Iterator[Case]:
    """Bound by memory, and the matrix product."""
    n, (rows, columns) = sizes.elements, sizes[1:3]
    active = backend.active()
    xp, number = active.cupy, 4 * rows * columns  # bytes of one matrix
    x, m, weight = (wootz.randn(*shape, device="cuda") for shape in ((n,), (rows, columns), (columns,)))
    labels = wootz.randint(0, columns, (rows,), device="cuda")
    both = Both(torch, x=x, m=m, w=weight, grad=wootz.ones_like(m), labels=labels)
    cx, cm, cw = (active.array(t) for t in (x, m, weight))
    yield both.case("copy", 8 * n, lambda f, x, **_: x.clone(), cx.copy)
    yield both.case("add", 8 * n, lambda f, x, **_: x + x, lambda: xp.add(cx, cx))
    yield both.case("add a row", 2 * number, lambda f, m, w, **_: m + w, lambda: xp.add(cm, cw))
    yield both.case("gelu", 8 * n, lambda f, x, **_: f.gelu(x))
    yield both.case("dropout", 8 * n, lambda f, x, **_: f.dropout(x, 0.1))
    yield both.case("sum", 4 * n, lambda f, x, **_: x.sum(), cx.sum)
    yield both.case("softmax", 2 * number, lambda f, m, **_: f.softmax(m, -1))
    yield both.gradients("  with gradient", 5 * number, lambda f, m, **_: f.softmax(m, -1), ["m"], "grad")
    yield both.case("layer norm", 2 * number, lambda f, m, w, **_: f.layer_norm(m, (columns,), w, w))
    yield both.gradients(
        "  with gradients", 5 * number, lambda f, m, w, **_: f.layer_norm(m, (columns,), w, w), ["m", "w"], "grad"
    )
    yield both.case("RMS norm", 2 * number, lambda f, m, w, **_: f.rms_norm(m, (columns,), w))
    yield both.gradients(
        "  with gradients", 5 * number, lambda f, m, w, **_: f.rms_norm(m, (columns,), w), ["m", "w"], "grad"
    )
    yield both.case("cross-entropy", number, lambda f, m, labels, **_: f.cross_entropy(m, labels))
    yield both.gradients("  with gradient", 3 * number, lambda f, m, labels, **_: f.cross_entropy(m, labels), ["m"])
    a = wootz.randn(columns, columns, device="cuda")
    ca = active.array(a)
    yield Both(torch, a=a).case("matmul, float32", 0, lambda f, a: a @ a, lambda: xp.matmul(ca, ca))


def _mlp(f: Any, x: Any, w1: Any, b1: Any, w2: Any, b2: Any, **_: Any) -> Any:
    return f.linear(f.gelu(f.linear(x, w1, b1)), w2, b2)


def _block(f: Any, x: Any, scale: Any, into: Any, out: Any, heads: int, **mlp: Any) -> Any:
    """A transformer's layer: [batch, tokens, width]."""
    batch, tokens, width = x.shape
    mixed = f.linear(f.layer_norm(x, (width,), scale, scale), into)
    q, k, v = (t.reshape(batch, tokens, heads, width // heads).transpose(1, 2) for t in mixed.chunk(3, -1))
    attended = f.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + f.linear(attended.transpose(1, 2).reshape(batch, tokens, width), out)
    return x + _mlp(f, f.layer_norm(x, (width,), scale, scale), **mlp)


def _models(sizes: Sizes, torch: Any) -> Iterator[Case]:
    """Attention, embeddings, an optimiser, blocks bound by their products, and a step bound by its launches."""
    batch, tokens, heads = sizes.batch, sizes.tokens, sizes.heads
    width = 64 * heads

    def draw(*shape: int) -> wootz.Tensor:
        return (wootz.randn(*shape, device="cuda") / width**0.5).to(wootz.float16)

    def attend(f: Any, q: Any, k: Any, v: Any, **_: Any) -> Any:
        return f.scaled_dot_product_attention(q, k, v, is_causal=True)

    shape = (batch, heads, tokens, 64)
    both = Both(torch, q=draw(*shape), k=draw(*shape), v=draw(*shape), grad=draw(*shape))
    yield both.case("attention, float16", 0, attend)
    yield both.gradients("  with gradients", 0, attend, "qkv", "grad")

    table = wootz.randn(sizes.words, 768, device="cuda")
    places = wootz.from_numpy(np.random.default_rng(0).zipf(1.3, batch * tokens) % sizes.words).to("cuda")
    both = Both(torch, table=table, places=places, grad=wootz.ones(batch * tokens, 768, device="cuda"))
    active = backend.active()
    ctable, cplaces = active.array(table), active.array(places)

    def look_up(f: Any, table: Any, places: Any, **_: Any) -> Any:
        return f.embedding(places, table)

    yield both.case(
        "embedding", 8 * 768 * places.numel(), look_up, lambda: active.cupy.take(ctable, cplaces, axis=0)
    )  # fmt: skip
    yield both.gradients("  with gradient", 0, look_up, ["table"], "grad")

    parameters = [wootz.randn(*s, device="cuda") for s in ((width, width), (width,)) for _ in range(sizes.layers)]
    count = sum(t.numel() for t in parameters)
    yield Case("AdamW step", 28 * count, _adamw(optim, parameters), torch and _adamw(
        torch.optim, [torch.from_dlpack(t) for t in parameters], fused=True
    ))  # fmt: skip

    both = Both(
        torch, x=draw(batch, tokens, width), grad=draw(batch, tokens, width), scale=draw(width),
        into=draw(3 * width, width), out=draw(width, width), w1=draw(4 * width, width), b1=draw(4 * width),
        w2=draw(width, 4 * width), b2=draw(width),
    )  # fmt: skip
    yield both.gradients("MLP block, float16", 0, _mlp, ("x", "w1", "b1", "w2", "b2"), "grad")

    def layer(f: Any, grad: Any, **tensors: Any) -> Any:
        return _block(f, heads=heads, **tensors)

    leaves = ("x", "scale", "into", "out", "w1", "b1", "w2", "b2")
    yield both.gradients("transformer block, float16", 0, layer, leaves, "grad")
    yield from _small(torch)


def _adamw(library: Any, parameters: Sequence[Any], **options: Any) -> Action:
    leaves = [t.detach().requires_grad_() for t in parameters]
    for leaf in leaves:
        leaf.grad = leaf.detach().clone()
    step: Action = library.AdamW(leaves, lr=1e-4, **options).step
    return step


def _small(torch: Any) -> Iterator[Case]:
    """A training step of a network so small that launches are what it costs."""
    x, y = blobs(64)
    step, theirs = stepper(*classifier(), x, y), torch and _step_of(torch, x, y)
    yield Case("small step, op by op", 0, step, theirs)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        step()
    yield Case("  as a graph, theirs not", 0, graph.replay, theirs)
    yield Case("  both as graphs", 0, graph.replay, torch and _graph_of(torch, theirs))


def _step_of(torch: Any, x: wootz.Tensor, y: wootz.Tensor) -> Action:
    inputs, labels = torch.from_dlpack(x), torch.from_dlpack(y)
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)).to(inputs.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    return step


def _graph_of(torch: Any, step: Action) -> Action:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    replay: Action = graph.replay
    return replay


def _rows(cases: Callable[[Sizes, Any], Iterator[Case]], sizes: Sizes) -> Iterator[Row]:
    """A line a case. One that fails does not end the others, unless nothing can run any more."""
    torch, bandwidth = _torch(), 0.0
    if torch is None:
        yield Row("PyTorch", None, "not installed, or it sees no GPU: there is nothing to compare with")
    for case in cases(sizes, torch):
        seen = ""
        try:
            mine = _wootz().milliseconds(case.ours, sizes.repeats)
            seen += f"{mine:9.3f} ms"
            if case.moved:
                speed = case.moved / mine
                bandwidth = bandwidth or speed
                seen += f"  {speed / 1e6:7.0f} GB/s"
                seen += f", {speed / bandwidth:4.0%} of copy" if cases is _memory else ""
            if case.torch is not None:
                theirs = _events_of(torch).milliseconds(case.torch, sizes.repeats)
                seen += f"  PyTorch {theirs / mine:5.2f} times as long"
            if case.cupy is not None:
                seen += f"  CuPy {_cupy().milliseconds(case.cupy, sizes.repeats) / mine:5.2f}"
            yield Row(f"  {case.name}", True if case.torch or case.cupy else None, seen)
        except KernelError:
            raise
        except Exception as error:
            yield Row(f"  {case.name}", False, f"{seen}  {Row.of_error('', error).seen}")


def of_memory(sizes: Sizes | None = None) -> Iterator[Row]:
    """Point-wise ops, reductions, norms and losses: also the share of a copy's bandwidth."""
    yield from _rows(_memory, sizes or Sizes())


def of_models(sizes: Sizes | None = None) -> Iterator[Row]:
    """What models are made of."""
    yield from _rows(_models, sizes or Sizes())
