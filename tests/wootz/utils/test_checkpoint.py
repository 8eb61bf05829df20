"""Activation checkpointing: the same gradients from less memory."""

from __future__ import annotations

import numpy as np
import pytest

import wootz
from wootz import _core, nn
from wootz.autograd import gradcheck, gradgradcheck
from wootz.errors import GradientError
from wootz.utils.checkpoint import checkpoint, checkpoint_sequential


def block(x: wootz.Tensor, w: wootz.Tensor) -> wootz.Tensor:
    return ((x @ w).tanh() @ w).exp().softmax(-1)


def inputs() -> tuple[wootz.Tensor, wootz.Tensor]:
    wootz.manual_seed(3)
    make = {"dtype": wootz.float64, "requires_grad": True}
    return wootz.randn(4, 3, **make), wootz.randn(3, 3, **make)


def test_gradients_of_every_order_are_those_without_checkpoint() -> None:
    def through(x: wootz.Tensor, w: wootz.Tensor) -> wootz.Tensor:
        return checkpoint(block, x, w, use_reentrant=False)

    x, w = inputs()
    weights = wootz.randn(4, 3, dtype=wootz.float64)
    expected = wootz.autograd.grad((block(x, w) * weights).sum(), [x, w])
    found = wootz.autograd.grad((through(x, w) * weights).sum(), [x, w])
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(found, expected, strict=True))
    assert gradcheck(through, inputs()) and gradgradcheck(through, inputs())


def test_the_function_runs_again_only_in_backward_and_only_as_far_as_needed() -> None:
    calls = []

    def f(x: wootz.Tensor) -> wootz.Tensor:
        calls.append("start")
        y = x.exp().sin()
        calls.append("end")
        return y + 1

    x = wootz.ones(3, requires_grad=True)
    out = checkpoint(f, x)
    assert calls == ["start", "end"]
    out.sum().backward()
    assert calls == ["start", "end", "start"]  # the second run stopped when everything saved was there again


def test_the_second_run_draws_the_same_random_numbers_and_leaves_the_generator_alone() -> None:
    def noisy(x: wootz.Tensor) -> wootz.Tensor:
        return x * wootz.rand(100) * x

    x = wootz.ones(100, requires_grad=True)
    wootz.manual_seed(0)
    (noisy(x)).sum().backward()
    expected = x.grad.numpy().copy()
    x.grad = None
    wootz.manual_seed(0)
    out = checkpoint(noisy, x).sum()
    after = wootz.rand(3).tolist()
    state = _core.random_state()
    out.backward()
    assert np.array_equal(x.grad.numpy(), expected) and _core.random_state() == state and after
    wootz.manual_seed(0)
    x.grad = None
    checkpoint(noisy, x, preserve_rng_state=False).sum().backward()
    assert not np.array_equal(x.grad.numpy(), expected)


def test_intermediate_values_are_not_kept() -> None:
    x = wootz.randn(1000, requires_grad=True)

    def deep(t: wootz.Tensor) -> wootz.Tensor:
        for _ in range(50):
            t = t.sin()
        return t

    base = _core.memory_stats()["in_use"]
    plain = deep(x)
    without = _core.memory_stats()["in_use"] - base
    del plain
    base = _core.memory_stats()["in_use"]
    kept = checkpoint(deep, x)
    with_it = _core.memory_stats()["in_use"] - base
    assert kept.requires_grad and with_it < without / 3


def test_nested_checkpoints_modules_and_keyword_arguments() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    x = wootz.randn(2, 3)

    def inner(t: wootz.Tensor, *, scale: float) -> wootz.Tensor:
        return checkpoint(model, t) * scale

    model(x).mul(2).sum().backward()
    expected = [p.grad.numpy().copy() for p in model.parameters()]
    model.zero_grad()
    checkpoint(inner, x, scale=2.0).sum().backward()
    assert all(np.allclose(p.grad.numpy(), e) for p, e in zip(model.parameters(), expected, strict=True))
    model.zero_grad()
    checkpoint_sequential(model, 2, x).mul(2).sum().backward()
    assert all(np.allclose(p.grad.numpy(), e) for p, e in zip(model.parameters(), expected, strict=True))


def test_retained_graphs_run_the_function_again() -> None:
    x, w = inputs()
    out = checkpoint(block, x, w).sum(0)[0]
    out.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    out.backward()
    assert np.allclose(x.grad.numpy(), 2 * first, rtol=1e-12)


def test_a_function_that_changes_its_mind_is_an_error() -> None:
    runs = []

    def fickle(x: wootz.Tensor) -> wootz.Tensor:
        runs.append(1)
        return x.exp() if len(runs) > 1 else x.exp().sin()

    def reshaped(x: wootz.Tensor) -> wootz.Tensor:
        runs.append(1)
        return x[: 3 - len(runs)].exp()

    x = wootz.ones(3, requires_grad=True)
    with pytest.raises(GradientError, match="must do the same thing"):
        checkpoint(fickle, x).sum().backward()
    runs.clear()
    with pytest.raises(GradientError, match=r"shape \(2,\) in the forward pass and .* of shape \(1,\)"):
        checkpoint(reshaped, x).sum().backward()
    with pytest.raises(ValueError, match="use_reentrant"):
        checkpoint(block, x, use_reentrant=True)
    with pytest.raises(ValueError, match="segments"):
        checkpoint_sequential(nn.Sequential(nn.Tanh()), 2, x)


def test_without_grad_it_is_a_call() -> None:
    with wootz.no_grad():
        assert not checkpoint(block, *inputs()).requires_grad
