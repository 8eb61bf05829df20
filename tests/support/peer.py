"""The same call in wootz and in PyTorch (where installed), values and gradients held together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wootz

__all__ = ["agree", "same_state"]


def _given(value: Any, make: Callable[[np.ndarray], Any]) -> Any:
    if isinstance(value, np.ndarray):
        return make(value)
    return {k: _given(v, make) for k, v in value.items()} if isinstance(value, dict) else value


def _flow(out: Any, probe: np.ndarray, lib: Any) -> None:
    (out * lib.tensor(probe)).sum().backward()


def agree(
    ours: Callable[..., Any], theirs: Callable[..., Any], *args: Any, tolerance: float = 1e-10, **kwargs: Any
) -> None:
    """Same values, and same gradients of a random weighting, for float64 arrays among the arguments."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")

    def leaf(lib: Any) -> Callable[[np.ndarray], Any]:
        made = lib.tensor
        return lambda a: made(a.copy()).requires_grad_() if a.dtype == np.float64 else made(a.copy())

    sides = []
    for lib, function in ((wootz, ours), (torch, theirs)):
        inputs = [_given(a, leaf(lib)) for a in args]
        named = {k: _given(v, leaf(lib)) for k, v in kwargs.items()}
        out = function(*inputs, **named)
        out = out[0] if isinstance(out, tuple) else out
        leaves = [t for t in [*inputs, *named.values()] if getattr(t, "requires_grad", False)]
        if leaves:
            _flow(out, np.random.default_rng(9).standard_normal(tuple(out.shape)), lib)
        sides.append([out.detach().numpy(), *(np.zeros(t.shape) if t.grad is None else t.grad.numpy() for t in leaves)])
    for found, expected in zip(*sides, strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def same_state(ours: Any, theirs: Any) -> None:
    """Loads PyTorch's state into ours: the keys and shapes are the same."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: wootz.tensor(v.numpy().copy()) for k, v in theirs.state_dict().items()})
