"""Every op of the table inside vmap, against one call an example: values, and gradients through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tests.support.optable import Sample, samples

import wootz
from wootz import _core
from wootz.func import vmap
from wootz.func.batching import RULES

EXAMPLES = 3
# what these give has another shape for each example
RAGGED = {"nonzero", "runs"}


def varied(x: wootz.Tensor, i: int) -> wootz.Tensor:
    """Another example of the same kind: other numbers, indices in the same range, as many True in a mask."""
    if x.dtype.is_floating_point:
        return x.detach() * (1 + 0.05 * i)
    return x.flip(tuple(range(x.dim()))) if i % 2 and x.dim() else x


def examples(arguments: list[Any]) -> list[list[Any]]:
    def vary(a: Any, i: int) -> Any:
        if isinstance(a, list):
            return [vary(x, i) for x in a]
        return varied(a, i) if isinstance(a, wootz.Tensor) else a

    return [[vary(a, i) for a in arguments] for i in range(EXAMPLES)]


def stacked(parts: list[Any]) -> Any:
    if isinstance(parts[0], list):
        return [stacked([p[k] for p in parts]) for k in range(len(parts[0]))]
    return wootz.stack(parts) if isinstance(parts[0], wootz.Tensor) else parts[0]


def tensors(tree: Any) -> Iterator[wootz.Tensor]:
    if isinstance(tree, (list, tuple)):
        for x in tree:
            yield from tensors(x)
    elif isinstance(tree, wootz.Tensor):
        yield tree


def dims(tree: Any) -> Any:
    if isinstance(tree, list):
        return [dims(x) for x in tree]
    return 0 if isinstance(tree, wootz.Tensor) else None


def masks(tree: Any) -> bool:
    return any(t.dtype == wootz.bool for t in tensors(tree))


def cases() -> Iterator[Any]:
    for sample in samples():
        name = sample.row["name"]
        if name in RAGGED:
            continue
        arguments, _ = sample.arguments()
        places = [i for i, a in enumerate(arguments) if any(True for _ in tensors(a))]
        patterns = [tuple(places)] + ([(p,) for p in places] if len(places) > 1 else [])
        for pattern in patterns:
            if name in ("index", "index_put") and any(masks(arguments[p]) for p in pattern if p):
                continue  # refused: see test_vmap
            yield pytest.param(sample, pattern, id=f"{sample}-{','.join(map(str, pattern))}")


def mapped(sample: Sample, pattern: tuple[int, ...]) -> tuple[Callable[..., Any], list[Any], list[list[Any]]]:
    """vmap of the op over the arguments in the pattern, its arguments, and the calls that it stands for."""
    arguments, keywords = sample.arguments()
    calls = examples(arguments)
    for call in calls:
        for i in range(len(call)):
            if i not in pattern:
                call[i] = arguments[i]
    batch = [stacked([c[i] for c in calls]) if i in pattern else a for i, a in enumerate(arguments)]
    in_dims = tuple(dims(a) if i in pattern else None for i, a in enumerate(batch))
    op = sample.op()
    return vmap(lambda *a: op(*a, **keywords), in_dims=in_dims), batch, calls


@pytest.mark.parametrize(("sample", "pattern"), list(cases()))
def test_vmap_is_a_call_for_each_example(sample: Sample, pattern: tuple[int, ...]) -> None:
    function, batch, calls = mapped(sample, pattern)
    _, keywords = sample.arguments()
    found = list(tensors(function(*batch)))
    expected = [list(tensors(sample.op()(*c, **keywords))) for c in calls]
    for k, f in enumerate(found):
        want = np.stack([e[k].detach().numpy() for e in expected])
        assert f.shape == want.shape and str(f.dtype).removeprefix("wootz.") == str(want.dtype)
        assert np.allclose(f.detach().numpy(), want, rtol=1e-9, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize(
    ("sample", "pattern"),
    [c for c in cases() if c.values[0].row["differentiable"]],  # type: ignore[attr-defined]
)
def test_gradients_go_through_vmap(sample: Sample, pattern: tuple[int, ...]) -> None:
    function, batch, calls = mapped(sample, pattern)
    _, keywords = sample.arguments()
    leaves = [t.requires_grad_() for t in tensors(batch) if t.dtype.is_floating_point]
    found = [o for o in tensors(function(*batch)) if o.requires_grad]
    if not found:
        pytest.skip("this sample has no input that a gradient flows to")
    wootz.manual_seed(1)
    weights = [wootz.randn(o.shape, dtype=o.dtype) for o in found]
    got = wootz.autograd.grad(found, leaves, weights, allow_unused=True, materialize_grads=True)
    want = [np.zeros(t.shape) for t in leaves]
    for i, call in enumerate(calls):
        _add_example(sample, call, keywords, i, pattern, weights, want)
    for g, w in zip(got, want, strict=True):
        assert np.allclose(g.numpy(), w, rtol=1e-8, atol=1e-10, equal_nan=True)


def _add_example(
    sample: Sample, call: list[Any], keywords: Any, i: int, pattern: tuple[int, ...], weights: Any, want: Any
) -> None:
    fresh = [_fresh(a) for a in call]
    outputs = [o for o in tensors(sample.op()(*fresh, **keywords)) if o.requires_grad]
    where = [(k, t) for k, a in enumerate(fresh) for t in tensors(a) if t.dtype.is_floating_point]
    gradients = wootz.autograd.grad(
        outputs, [t for _, t in where], [w[i] for w in weights], allow_unused=True, materialize_grads=True
    )
    for (k, _), g, total in zip(where, gradients, want, strict=True):
        if k in pattern:
            total[i] += g.numpy()
        else:
            total += g.numpy()


def _fresh(a: Any) -> Any:
    if isinstance(a, list):
        return [_fresh(x) for x in a]
    if isinstance(a, wootz.Tensor) and a.dtype.is_floating_point:
        return a.detach().requires_grad_()
    return a


def test_every_rule_is_of_an_op_of_the_table() -> None:
    known = {line.split()[0] for line in _core.op_signatures().splitlines()}
    assert set(RULES) <= known
