"""The op table on two devices: an op's values and two derivatives, with all its tensors placed somewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tests.support.optable import Sample

import wootz
from wootz import autograd

__all__ = ["compare", "derivatives", "on_gpu"]


def on_gpu(value: Any) -> Any:
    """Arguments with the tensors in them on the GPU, as transposed as they were."""
    if isinstance(value, list):
        return [on_gpu(x) for x in value]
    if not isinstance(value, wootz.Tensor):
        return value
    base = value.detach()
    moved = base.to("cuda") if base.is_contiguous() else wootz.Tensor(base.T.to("cuda").T)
    return moved.requires_grad_(value.requires_grad)


def _inputs(value: Any) -> list[wootz.Tensor]:
    if isinstance(value, (list, tuple)):
        return [t for x in value for t in _inputs(x)]
    if isinstance(value, dict):
        return _inputs(list(value.values()))
    return [value] if isinstance(value, wootz.Tensor) and value.requires_grad else []


def derivatives(sample: Sample, place: Callable[[Any], Any] | None = None) -> list[np.ndarray]:
    """Outputs, gradients of a weighted sum of them, and gradients of a weighted sum of those."""
    put = place or (lambda x: x)
    args, kwargs = sample.arguments(grad=True)
    args, kwargs = [put(a) for a in args], {k: put(v) for k, v in kwargs.items()}
    made = sample.op()(*args, **kwargs)
    found = [made] if isinstance(made, wootz.Tensor) else list(made)
    inputs, random = _inputs([args, kwargs]), np.random.default_rng(5)

    def gradients(live: list[wootz.Tensor], again: bool) -> list[wootz.Tensor]:
        weights = [put(wootz.from_numpy(np.array(random.standard_normal(t.shape)))) for t in live]
        every = autograd.grad(live, inputs, weights, create_graph=again, allow_unused=True)
        return [g for g in every if g is not None]

    result = list(found)
    live = [t for t in found if t.requires_grad]
    if live:
        first = gradients(live, again=True)
        result += first
        live = [g for g in first if g.requires_grad]
    if live:
        result += gradients(live, again=False)
    if place is not None:
        away = [str(t.device) for t in result if t.device.type != "cuda"]
        assert not away, f"{sample} left the GPU: a result is on {away[0]}"
    return [t.numpy(force=True) for t in result]


def compare(sample: Sample, tolerance: float = 1e-11) -> None:
    """Raises AssertionError unless the GPU's values and derivatives are the CPU's."""
    expected, found = derivatives(sample), derivatives(sample, on_gpu)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)
