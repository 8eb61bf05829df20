"""Derivatives as functions of functions: against finite differences, against torch.func, and composed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wootz
from wootz.autograd import functional
from wootz.errors import GradientError
from wootz.func import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp, vmap

Fn = Callable[..., Any]


def normal(*shape: int) -> wootz.Tensor:
    return wootz.randn(*shape, dtype=wootz.float64)


@pytest.fixture(autouse=True)
def seeded() -> None:
    wootz.manual_seed(11)


def numerical_jacobian(f: Fn, x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    """(*out, *in) by central differences."""
    columns = []
    for at in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[at] = eps
        ends = [f(wootz.from_numpy(x + s)).detach().numpy() for s in (step, -step)]
        columns.append((ends[0] - ends[1]) / (2 * eps))
    out = np.stack(columns, -1)
    return out.reshape(*out.shape[:-1], *x.shape)


W = np.random.default_rng(5).standard_normal((3, 3))
FUNCTIONS: dict[str, Fn] = {
    "elementwise": lambda x: x.sin() * x.exp(),
    "matrix": lambda x: wootz.outer(x, x.tanh()) @ wootz.from_numpy(W),
    "softmax": lambda x: wootz.softmax(x * x, 0),
    "views": lambda x: wootz.cat([x[1:] * x[:-1], x.flip(0)]).reshape(-1, 1) ** 2,
    "in place": lambda x: _in_place(x),
    "norm": lambda x: x.norm() + x.logsumexp(0) * x.prod(),
    "constant": lambda x: wootz.ones(2, dtype=wootz.float64),
    "index": lambda x: x[[2, 0, 0]] * x,
}


def _in_place(x: wootz.Tensor) -> wootz.Tensor:
    y = x * 1
    y[0] = x[1] * x[2]
    return y.mul_(y + 1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians_from_both_sides_are_those_of_finite_differences(name: str) -> None:
    f, x = FUNCTIONS[name], normal(3)
    expected = numerical_jacobian(f, x.numpy())
    for jacobian in (jacrev(f), jacfwd(f), jacrev(f, chunk_size=2), lambda t: functional.jacobian(f, t),
                     lambda t: functional.jacobian(f, t, vectorize=True),
                     lambda t: functional.jacobian(f, t, strategy="forward-mode")):  # fmt: skip
        found = jacobian(x)
        assert not found.requires_grad
        assert np.allclose(found.numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_in_every_combination_agree(name: str) -> None:
    f, x = FUNCTIONS[name], normal(3)
    expected = numerical_jacobian(jacrev(f), x.numpy())
    for outer, inner in ((jacfwd, jacrev), (jacrev, jacfwd), (jacrev, jacrev), (jacfwd, jacfwd)):
        assert np.allclose(outer(inner(f))(x).numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_products_with_the_jacobian(name: str) -> None:
    f, x, v = FUNCTIONS[name], normal(3), normal(3)
    jacobian = numerical_jacobian(f, x.numpy())
    value, pushed = jvp(f, (x,), (v,))
    assert np.allclose(pushed.numpy(), jacobian @ v.numpy(), rtol=1e-5, atol=1e-7)
    assert np.array_equal(value.numpy(), f(x).numpy())
    out, pull = vjp(f, x)
    u = wootz.randn(*out.shape, dtype=wootz.float64)
    (pulled,) = pull(u)
    assert np.allclose(pulled.numpy(), np.tensordot(u.numpy(), jacobian, out.dim()), rtol=1e-5, atol=1e-7)
    assert np.allclose(functional.jvp(f, x, v)[1].numpy(), pushed.numpy())
    assert np.allclose(functional.vjp(f, x, u)[1].numpy(), pulled.numpy())


def test_transforms_inside_vmap_are_a_call_for_each_example() -> None:
    xs, vs = normal(4, 3), normal(4, 3)
    for f in FUNCTIONS.values():
        pushed = vmap(lambda x, v, f=f: jvp(f, (x,), (v,))[1])(xs, vs)
        expected = np.stack([jvp(f, (x,), (v,))[1].numpy() for x, v in zip(xs, vs, strict=True)])
        assert np.allclose(pushed.numpy(), expected)
        jacobians = vmap(jacrev(f))(xs)
        assert np.allclose(jacobians.numpy(), np.stack([jacrev(f)(x).numpy() for x in xs]))
        assert np.allclose(vmap(jacfwd(f))(xs).numpy(), jacobians.numpy())


def test_what_is_shared_is_differentiated_for_each_example_inside_and_summed_outside() -> None:
    w, a = normal(3), normal(5, 3)

    def f(w: wootz.Tensor, a: wootz.Tensor) -> wootz.Tensor:
        return ((w * w) * a + w).sin().sum() + (w * w).sum()

    each = vmap(grad(f), in_dims=(None, 0))(w, a)
    expected = np.stack([grad(f)(w, row).numpy() for row in a])
    assert np.allclose(each.numpy(), expected)
    total = grad(lambda w: vmap(f, in_dims=(None, 0))(w, a).sum())(w)
    assert np.allclose(total.numpy(), expected.sum(0))
    # The shared value meets the examples only after it was computed with, at every nesting.
    nested = grad(lambda w: vmap(lambda row: (grad(f)(w, row) * grad(lambda u: (u**3).sum())(w)).sum())(a).sum())
    loops = lambda w: sum((grad(f)(w, row) * grad(lambda u: (u**3).sum())(w)).sum() for row in a)  # noqa: E731
    assert np.allclose(nested(w).numpy(), grad(loops)(w).numpy())
    unused = grad(lambda w: vmap(lambda row: grad(lambda u: (u**3).sum())(w))(a).sum())
    assert np.allclose(unused(w).numpy(), 5 * 6 * w.numpy())


def test_perturbations_are_not_confused() -> None:
    # d/dx [x d/dy (x + y)] = 1, where confusing x with y gives 2 (Siskind & Pearlmutter 2005).
    x = wootz.tensor(3.0, dtype=wootz.float64)
    assert grad(lambda x: x * grad(lambda y: x + y)(wootz.tensor(1.0, dtype=wootz.float64)))(x).item() == 1.0
    one = wootz.ones((), dtype=wootz.float64)
    assert jvp(lambda x: x * jvp(lambda y: x + y, (one,), (one,))[1], (x,), (one,))[1].item() == 1.0


def test_arguments_auxiliary_results_and_structures() -> None:
    x, y = normal(3), normal(3)

    def f(p: dict[str, wootz.Tensor], y: wootz.Tensor, *, scale: float) -> tuple[wootz.Tensor, wootz.Tensor]:
        return (p["a"] * y).sum() * scale, y + 1

    (slopes, dy), aux = grad(f, argnums=(0, 1), has_aux=True)({"a": x}, y, scale=2.0)
    assert np.allclose(slopes["a"].numpy(), 2 * y.numpy()) and np.allclose(dy.numpy(), 2 * x.numpy())
    assert np.allclose(aux.numpy(), y.numpy() + 1)
    gradient, (value, _) = grad_and_value(f, has_aux=True)({"a": x}, y, scale=1.0)
    assert np.allclose(value.item(), (x.numpy() * y.numpy()).sum()) and set(gradient) == {"a"}
    two = jacrev(lambda a, b: {"s": a * b, "t": [a + b]}, argnums=(0, 1))(x, y)
    forward = jacfwd(lambda a, b: {"s": a * b, "t": [a + b]}, argnums=(0, 1))(x, y)
    assert np.allclose(two["s"][1].numpy(), np.diag(x.numpy())) and np.allclose(two["t"][0][0].numpy(), np.eye(3))
    assert np.allclose(forward["s"][1].numpy(), np.diag(x.numpy()))
    _, pull, aux = vjp(lambda a: (a * 2, a), x, has_aux=True)
    assert np.allclose(pull(y)[0].numpy(), 2 * y.numpy()) and np.array_equal(aux.numpy(), x.numpy())
    assert len(jvp(lambda a: (a * 2, a), (x,), (y,), has_aux=True)) == 3
    jacobian, aux = jacfwd(lambda a: (a * 2, a), has_aux=True)(x)
    assert np.array_equal(aux.numpy(), x.numpy()) and np.allclose(jacobian.numpy(), 2 * np.eye(3))


def test_results_are_on_the_tape_exactly_when_somebody_outside_can_use_it() -> None:
    x = normal(3)
    p = normal(3).requires_grad_()
    assert not grad(lambda t: (t * t).sum())(x).requires_grad
    through = grad(lambda t: (t * t * p).sum())(x)
    through.sum().backward()
    assert np.allclose(p.grad.numpy(), 2 * x.numpy())
    q = normal(3).requires_grad_()
    grad(lambda t: (t**3).sum())(q).sum().backward()
    assert np.allclose(q.grad.numpy(), 6 * q.detach().numpy())
    with wootz.no_grad():
        assert np.allclose(grad(lambda t: (t**3).sum())(q).numpy(), 3 * q.detach().numpy() ** 2)
        assert grad(lambda t: (t.detach() * t).sum())(q).requires_grad is False


def test_no_memory_stays_behind() -> None:
    import gc

    from wootz import _core

    x = normal(50)

    def run() -> None:
        hessian(lambda t: (t.sin() * t).sum())(x)
        vmap(grad(lambda t: t.exp().sum()))(x.reshape(5, 10))

    run()
    gc.collect()
    before = _core.memory_stats()["in_use"]
    gc.disable()
    try:
        for _ in range(5):
            run()
        assert _core.memory_stats()["in_use"] == before
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda: grad(lambda t: t * 2)(normal(3)), GradientError, r"must return a scalar, not shape \(3,\)"),
        (lambda: grad(lambda t: 2.0)(normal(3)), TypeError, "must return a tensor, got a float"),
        (lambda: grad(lambda t: t.sum())(2.0), TypeError, "expected tensors to differentiate by, got a float"),
        (lambda: grad(lambda t: t.sum())(wootz.tensor([1])), wootz.errors.DTypeError, "floating point"),
        (lambda: grad(lambda t: t.sum(), argnums=1)(normal(3)), IndexError, "argnums 1"),
        (lambda: grad(lambda t: t.sum(), argnums=(0, 0))(normal(3)), ValueError, "twice"),
        (lambda: grad(lambda t: t.sum(), has_aux=True)(normal(3)), TypeError, r"\(output, aux\)"),
        (lambda: jvp(lambda t: t, normal(3), normal(3)), TypeError, "must be tuples"),
        (lambda: jvp(lambda t: t, (normal(3),), (normal(2),)), ValueError, r"shape \(3,\), got \(2,\)"),
        (lambda: jvp(lambda t: t, (normal(3),), ()), ValueError, "expected 1 tensors, got 0"),
        (lambda: vjp(lambda t: t, normal(3))[1](normal(2)), ValueError, r"shape \(3,\), got \(2,\)"),
        (lambda: vjp(lambda t: "x", normal(3)), TypeError, "must return tensors, got a str"),
        (lambda: functional.hessian(lambda t: t, normal(3)), GradientError, "single element"),
        (lambda: functional.vjp(lambda t: t, normal(3)), ValueError, "may be left out only"),
        (lambda: functional.jvp(lambda t: t, normal(3), normal(2)), ValueError, "must have the shapes"),
        (lambda: functional.jacobian(lambda t: normal(2), normal(3), strict=True), GradientError, "strict=True"),
        (lambda: functional.jacobian(lambda t: t, normal(3), strategy="x"), ValueError, "strategy"),
    ],
)
def test_misuse_is_named(act, kind, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind, match=message):
        act()


def test_functional_derivatives_of_several_inputs() -> None:
    x, y, v = normal(2), normal(3), normal(3)

    def f(a: wootz.Tensor, b: wootz.Tensor) -> wootz.Tensor:
        return (a.sin().sum() * b.exp()).sum() + (b**3).sum()

    blocks = functional.hessian(f, (x, y))
    whole = hessian(f, argnums=(0, 1))(x, y)
    for i in range(2):
        for j in range(2):
            assert np.allclose(blocks[i][j].numpy(), whole[i][j].numpy())
    _, (_, hv) = functional.hvp(f, (x, y), (wootz.zeros(2, dtype=wootz.float64), v))
    assert np.allclose(hv.numpy(), blocks[1][1].numpy() @ v.numpy())
    _, vh = functional.vhp(lambda b: f(x, b), y, v)
    assert np.allclose(vh.numpy(), hv.numpy())
    p = normal(2).requires_grad_()
    functional.jacobian(lambda a: a**3, p, create_graph=True).sum().backward()
    assert np.allclose(p.grad.numpy(), 6 * p.detach().numpy())


def test_against_torch_func() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch.func")
    x, w = normal(4, 3), normal(3, 3)
    tx, tw = torch.from_numpy(x.numpy()), torch.from_numpy(w.numpy())

    def f(lib: Any) -> Fn:
        return lambda w, x: (lib.tanh(x @ w).pow(2).sum(-1) * lib.softmax(x, -1).amax(-1)).sum()

    F = torch.func
    pairs = [
        (vmap(grad(f(wootz)), (None, 0))(w, x), F.vmap(F.grad(f(torch)), (None, 0))(tw, tx)),
        (hessian(f(wootz))(w, x), F.jacrev(F.jacrev(f(torch)))(tw, tx)),
        (vmap(jacrev(grad(f(wootz))), (None, 0))(w, x), F.vmap(F.jacrev(F.grad(f(torch))), (None, 0))(tw, tx)),
        (jacfwd(vmap(grad(f(wootz)), (None, 0)), 1)(w, x), F.jacrev(F.vmap(F.grad(f(torch)), (None, 0)), 1)(tw, tx)),
        (vmap(vmap(lambda a, b: (a * b).sum(), (None, 0)), (0, None))(x, w),
         F.vmap(F.vmap(lambda a, b: (a * b).sum(), (None, 0)), (0, None))(tx, tw)),
    ]  # fmt: skip
    for found, expected in pairs:
        assert found.shape == tuple(expected.shape)
        assert np.allclose(found.numpy(), expected.numpy(), rtol=1e-9, atol=1e-11)
