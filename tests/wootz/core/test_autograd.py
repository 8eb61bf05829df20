"""The tape and its engine: what is recorded, what is refused, what is freed, and who may run it at once."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import wootz
from wootz import _core
from wootz.autograd import Function, GradcheckError, gradcheck, gradgradcheck
from wootz.errors import GradientError, ShapeError


def leaf(*values: float) -> wootz.Tensor:
    return wootz.tensor(list(values), dtype=wootz.float64, requires_grad=True)


def test_gradients_accumulate_and_keep_their_identity() -> None:
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    first = x.grad
    assert first is not None and first is x.grad
    (x * x).sum().backward()
    assert x.grad is first and x.grad.tolist() == [5.0, 7.0]
    x.grad = None
    assert x.grad is None


def test_an_input_used_twice_gets_both_gradients() -> None:
    x = leaf(2.0)
    (x * x + x).backward()
    assert x.grad is not None and x.grad.tolist() == [5.0]


def test_backward_of_a_broadcast_mixed_dtype_sum_fits_each_input() -> None:
    a = wootz.ones(3, 1, requires_grad=True)
    b = wootz.ones(2, dtype=wootz.float64, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.shape == (3, 1) and a.grad.dtype == wootz.float32 and a.grad.tolist() == [[2.0]] * 3
    assert b.grad.shape == (2,) and b.grad.dtype == wootz.float64


def test_saved_values_written_in_place_are_an_error_that_names_the_op() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    y.add_(1)
    with pytest.raises(GradientError, match="modified by an in-place operation: exp saved"):
        y.sum().backward()


def test_values_that_no_rule_needs_may_be_written_in_place() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    y.add_(1).mul_(2)
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


def test_in_place_results_are_differentiated() -> None:
    def f(x: wootz.Tensor, w: wootz.Tensor) -> wootz.Tensor:
        y = x * 1
        y.mul_(w).sigmoid_()
        y[0] = w[1] * x[2]
        y[1:].add_(w[1:], alpha=0.5)
        return y * y

    assert gradcheck(f, (leaf(0.5, -1.0, 2.0), leaf(1.5, 0.3, -0.7)))
    assert gradgradcheck(f, (leaf(0.5, -1.0, 2.0), leaf(1.5, 0.3, -0.7)))


def test_writing_through_a_view_reaches_the_base_and_other_views() -> None:
    def f(x: wootz.Tensor) -> wootz.Tensor:
        base = wootz.zeros(2, 3, dtype=wootz.float64)
        row, column = base[0], base[:, 1]
        row.copy_(x)
        column.mul_(2)
        return base.sum() * row.sum() + (column * column).sum()

    assert gradcheck(f, (leaf(1.0, -2.0, 3.0),))


def test_in_place_on_a_leaf_that_requires_grad_is_refused_outside_no_grad() -> None:
    x = leaf(1.0)
    for write in (lambda: x.add_(1), lambda: x.zero_(), lambda: x[0].fill_(1), lambda: x.__setitem__(0, 2.0)):
        with pytest.raises(GradientError, match="leaf Tensor that requires grad"):
            write()
    with wootz.no_grad():
        x.add_(1)
    assert x.tolist() == [2.0] and x.requires_grad and x.is_leaf


def test_backward_twice_needs_retain_graph() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(GradientError, match=r"a second time .node mul.*retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == [4.0, 8.0]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: wootz.ones(2).sum().backward(), "does not require grad"),
        (lambda: wootz.ones(2, requires_grad=True).exp().backward(), "only for scalar outputs"),
        (lambda: wootz.ones(2, requires_grad=True).exp().backward(wootz.ones(3)), "Mismatch in shape"),
        (lambda: wootz.autograd.grad(leaf(1.0).sum(), wootz.ones(1)), "does not require grad"),
        (lambda: wootz.autograd.grad(leaf(1.0).sum(), leaf(1.0)), "not have been used in the graph"),
        (lambda: wootz.tensor([1, 2]).requires_grad_(), "floating point dtype"),
        (lambda: setattr(leaf(1.0).exp(), "requires_grad", False), "leaf variables"),
    ],
)
def test_misuse_is_named(act: object, message: str) -> None:
    with pytest.raises((GradientError, ShapeError), match=message):
        act()  # type: ignore[operator]


def test_grad_of_interior_tensors_and_of_unused_ones() -> None:
    x, z = leaf(2.0), leaf(1.0)
    y = x * x
    out = (y * 3).sum()
    (dy,) = wootz.autograd.grad(out, y, retain_graph=True)
    assert dy.tolist() == [3.0] and x.grad is None
    dx, dz = wootz.autograd.grad(out, [x, z], allow_unused=True, retain_graph=True)
    assert dx.tolist() == [12.0] and dz is None
    assert wootz.autograd.grad(out, z, materialize_grads=True)[0].tolist() == [0.0]


def test_third_derivative() -> None:
    x = leaf(2.0)
    d = x.pow(4)
    for expected in (32.0, 48.0, 48.0):
        (d,) = wootz.autograd.grad(d, x, create_graph=True)
        assert d.item() == pytest.approx(expected)


def test_backward_restricted_to_inputs_touches_nothing_else() -> None:
    x, w = leaf(2.0), leaf(3.0)
    (x * w).backward(inputs=[w])
    assert x.grad is None and w.grad.tolist() == [2.0]


def test_modes_nest_and_decorate() -> None:
    x = leaf(1.0)
    with wootz.no_grad():
        assert not (x * 2).requires_grad
        with wootz.enable_grad():
            assert (x * 2).requires_grad

    @wootz.no_grad()
    def plain() -> wootz.Tensor:
        return x * 2

    assert not plain().requires_grad and (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), wootz.no_grad():
        raise ZeroDivisionError
    assert wootz.is_grad_enabled()
    with wootz.set_grad_enabled(False):
        assert not wootz.is_grad_enabled()
    assert wootz.is_grad_enabled()


def test_hundred_thousand_nodes_neither_recurse_nor_leak() -> None:
    before = _core.memory_stats()["in_use"]
    x = wootz.zeros(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.tolist() == [1.0]
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y  # never run backward: destruction alone must not recurse either
    del x
    assert _core.memory_stats()["in_use"] == before


def test_backward_frees_what_the_tape_saved() -> None:
    x = wootz.randn(1000, requires_grad=True)
    y = x.exp()
    held = weakref.ref(y)
    loss = (y * y).sum()
    del y
    before = _core.memory_stats()["in_use"]
    loss.backward()
    assert held() is None
    # Only the gradient is new: exp's result, kept for both rules, is gone.
    assert _core.memory_stats()["in_use"] <= before


def test_training_steps_leave_no_memory_behind() -> None:
    w = wootz.randn(32, 32, requires_grad=True)
    x = wootz.randn(16, 32)

    def step() -> None:
        loss = ((x @ w).relu() ** 2).mean()
        loss.backward()
        with wootz.no_grad():
            w.sub_(w.grad, alpha=0.1)
        w.grad = None

    for _ in range(3):
        step()
    before = _core.memory_stats()
    for _ in range(20):
        step()
    after = _core.memory_stats()
    assert after["in_use"] == before["in_use"] and after["allocations"] == before["allocations"]


def test_hooks_see_and_replace_gradients() -> None:
    x = leaf(1.0, 2.0)
    seen = []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    handle = x.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert seen == [[1.0, 1.0]] and x.grad.tolist() == [21.0, 21.0]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_hook_that_raises_stops_backward_with_its_own_error() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (x * 2).backward()
    bad = leaf(1.0)
    bad.register_hook(lambda g: "no tensor")  # type: ignore[arg-type,return-value]  # the mistake under test
    with pytest.raises(TypeError, match="hooks must return None or a Tensor"):
        (bad * 2).backward()


def test_retain_grad_keeps_an_interior_gradient() -> None:
    x = leaf(1.0)
    y = x * 2
    y.retain_grad()
    (y * 3).backward()
    assert y.grad.tolist() == [3.0]


class Cube(Function):
    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        return grad * 3 * x * x


def test_functions_written_in_python_are_differentiated_twice() -> None:
    assert gradcheck(Cube.apply, (leaf(1.0, -2.0),))
    assert gradgradcheck(Cube.apply, (leaf(1.0, -2.0),))


def test_a_function_notices_that_what_it_saved_changed() -> None:
    x = leaf(1.0, 2.0) * 1
    y = Cube.apply(x)
    x.add_(1)
    with pytest.raises(GradientError, match="modified by an in-place operation"):
        y.sum().backward()


def test_gradcheck_finds_a_wrong_rule() -> None:
    class Wrong(Cube):
        @staticmethod
        def backward(ctx, grad):  # type: ignore[no-untyped-def]
            return grad * 3

    with pytest.raises(GradcheckError, match="central differences give"):
        gradcheck(Wrong.apply, (leaf(1.0, -2.0),))
    assert not gradcheck(Wrong.apply, (leaf(1.0, -2.0),), raise_exception=False)


def test_threads_may_run_backward_into_shared_leaves() -> None:
    w = wootz.ones(64, 64, dtype=wootz.float64, requires_grad=True)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(25):
                (w * 2).sum().backward()
        except BaseException as error:  # handed to the main thread below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert np.all(w.grad.numpy() == 200.0)


def test_grad_mode_is_each_threads_own() -> None:
    seen = []
    with wootz.no_grad():
        t = threading.Thread(target=lambda: seen.append(wootz.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


def test_a_reference_cycle_through_a_python_function_is_not_made() -> None:
    x = leaf(1.0)
    y = Cube.apply(x)
    alive = weakref.ref(y)
    y.sum().backward()
    del y
    gc.collect()
    assert alive() is None


def test_views_of_views_and_detached_tensors() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    d = x.detach()
    assert d.is_leaf and not d.requires_grad and d.data_ptr() == x.data_ptr()
    y = (x * 1).view(2, 2)
    assert y.T[0]._base is y._base and y._base is not None


def test_max_and_cummulative_indexing_derivatives() -> None:
    assert gradcheck(lambda x: x.max(1)[0], (wootz.randn(3, 4, dtype=wootz.float64, requires_grad=True),))
    assert gradcheck(lambda x: x[[0, 2, 2], 1:], (wootz.randn(3, 4, dtype=wootz.float64, requires_grad=True),))
    assert gradcheck(lambda x: x[x > 0] * 2, (wootz.randn(3, 4, dtype=wootz.float64, requires_grad=True),))
    assert gradcheck(
        lambda x: x.repeat(2, 1).split([1, 5])[1], (wootz.randn(3, 4, dtype=wootz.float64, requires_grad=True),)
    )


def test_the_derivative_of_a_power_keeps_the_exponent_in_double() -> None:
    x = wootz.tensor(np.array([0.3, 2.0, 7.0])).requires_grad_()
    x.pow(1 / 3).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cbrt(x.detach().numpy()) ** -2 / 3, rtol=1e-14)


def test_a_view_whose_base_was_written_lies_on_the_way_to_an_input() -> None:
    """The view's new history is made while the next node is: the engine must still see it as the older one."""
    x = leaf(1.0, 2.0, 3.0)
    base = x * 1.0
    view = base[1:]
    base.mul_(2.0)
    (found,) = wootz.autograd.grad((view * view).sum(), x)
    assert found.tolist() == [0, 16, 24]
