"""What the tape keeps and how it is watched: saved-tensor hooks, anomaly mode, inference mode, functions and hooks."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import wootz
from wootz import _core
from wootz.autograd import Function, gradcheck, gradgradcheck
from wootz.autograd.function import once_differentiable
from wootz.autograd.graph import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks
from wootz.errors import GradientError


def leaf(*values: float) -> wootz.Tensor:
    return wootz.tensor(list(values), dtype=wootz.float64, requires_grad=True)


def composed(x: wootz.Tensor, w: wootz.Tensor) -> wootz.Tensor:
    return (x.exp() * w).tanh() + wootz.softmax(x @ w, 0)


def test_what_hooks_pack_is_unpacked_in_backward_and_kept_as_long_as_the_tape() -> None:
    packed, unpacked = [], []

    def pack(t: wootz.Tensor) -> np.ndarray:
        packed.append(t.shape)
        return t.detach().numpy().copy()

    def unpack(array: np.ndarray) -> wootz.Tensor:
        unpacked.append(array.shape)
        return wootz.from_numpy(array)

    x, w = leaf(0.5, -1.0), leaf(2.0, 0.25)
    (composed(x, w)).sum().backward()
    expected = x.grad.numpy().copy(), w.grad.numpy().copy()
    x.grad = w.grad = None
    with saved_tensors_hooks(pack, unpack):
        out = composed(x, w).sum()
    assert packed and not unpacked
    out.backward()
    assert sorted(unpacked) == sorted(packed)
    assert np.array_equal(x.grad.numpy(), expected[0]) and np.array_equal(w.grad.numpy(), expected[1])


def test_derivatives_of_any_order_go_through_hooks() -> None:
    def hooked(x: wootz.Tensor, w: wootz.Tensor) -> wootz.Tensor:
        with saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
            return composed(x, w)

    inputs = (leaf(0.5, -1.0), leaf(2.0, 0.25))
    assert gradcheck(hooked, inputs) and gradgradcheck(hooked, inputs)


def test_the_innermost_hooks_count_and_a_pack_function_is_not_packed_itself() -> None:
    seen = []

    def pack(name: str):  # type: ignore[no-untyped-def]
        def run(t: wootz.Tensor) -> wootz.Tensor:
            seen.append(name)
            return (t * t.exp()).detach()  # saves tensors itself

        return run

    x = leaf(1.0)
    with saved_tensors_hooks(pack("outer"), lambda t: t):
        x.exp()
        with saved_tensors_hooks(pack("inner"), lambda t: t):
            x.exp()
        x.exp()
    x.exp()
    assert seen == ["outer", "inner", "outer"]


def test_misused_saved_tensor_hooks_are_errors() -> None:
    x = leaf(1.0)
    with saved_tensors_hooks(lambda t: "packed", lambda p: p):
        y = x.exp()
    with pytest.raises(TypeError, match="unpack_hook must return a Tensor"):
        y.backward()
    with pytest.raises(ZeroDivisionError), saved_tensors_hooks(lambda t: 1 / 0, lambda p: p):
        x.exp()
    with pytest.raises(RuntimeError, match="not here"), disable_saved_tensors_hooks("not here"), save_on_cpu():
        pass
    with pytest.raises(ValueError, match="no saved-tensor hooks"):
        _core.pop_saved_hooks()


def test_save_on_cpu_gives_the_same_gradients_and_does_not_notice_later_writes() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1
    with save_on_cpu():
        out = (y * y).sum()
    with wootz.no_grad():
        y.mul_(10)  # the copies were made before
    out.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_anomaly_mode_names_the_forward_line_of_the_op_whose_derivative_is_not_a_number() -> None:
    x = leaf(0.0)
    with wootz.autograd.detect_anomaly():
        y = x.sqrt() * 0  # line of the crime
        with pytest.raises(GradientError, match=r"Function 'sqrt' returned nan(.|\n)*line of the crime"):
            y.backward()
        assert wootz.autograd.is_anomaly_enabled()
    assert not wootz.autograd.is_anomaly_enabled()
    (x.sqrt() * 0).backward()
    assert np.isnan(x.grad.numpy()).all()
    with wootz.autograd.detect_anomaly(check_nan=False):
        (x.sqrt() * 0).backward()


def test_anomaly_mode_says_where_an_op_was_called_whose_saved_value_changed() -> None:
    x = leaf(1.0)
    with wootz.autograd.set_detect_anomaly(True):
        y = x.exp()  # here
        y.add_(1)
        with pytest.raises(GradientError, match=r"in-place operation: exp(.|\n)*y = x.exp\(\)  # here"):
            y.backward()


def test_inference_tensors_are_kept_out_of_the_tape() -> None:
    w = leaf(1.0, 2.0)
    with wootz.inference_mode():
        made = w * 2
        seen = w.view(2)
        assert wootz.is_inference_mode_enabled() and not made.requires_grad
        made.add_(1)
    assert made.is_inference() and not seen.is_inference() and not (w * 2).is_inference()
    with pytest.raises(GradientError, match="Inference tensors cannot be saved for backward"):
        made * w
    with pytest.raises(GradientError, match="Inplace update to inference tensor outside"):
        made.add_(1)
    with pytest.raises(GradientError, match="inference tensor outside InferenceMode"):
        made.requires_grad_()
    (made.clone() * w).sum().backward()
    assert w.grad.tolist() == [3.0, 5.0]


def test_inference_mode_decorates_nests_and_is_each_threads_own() -> None:
    @wootz.inference_mode()
    def made() -> wootz.Tensor:
        return wootz.ones(1)

    @wootz.inference_mode
    def also() -> wootz.Tensor:
        return wootz.ones(1)

    @wootz.no_grad
    def untracked(x: wootz.Tensor) -> wootz.Tensor:
        return x * 2

    assert made().is_inference() and also().is_inference() and not wootz.ones(1).is_inference()
    assert not untracked(leaf(1.0)).requires_grad
    other = []
    with wootz.inference_mode():
        thread = threading.Thread(target=lambda: other.append(wootz.ones(1).is_inference()))
        thread.start()
        thread.join()
        with wootz.inference_mode(False):
            assert not wootz.ones(1).is_inference() and (leaf(1.0) * 2).requires_grad
    assert other == [False]


def test_post_accumulate_hooks_see_the_leaf_with_its_gradient() -> None:
    w = leaf(1.0, 2.0)
    seen = []

    def step(p: wootz.Tensor) -> None:
        seen.append((p is w, p.grad.tolist()))
        with wootz.no_grad():
            p.sub_(p.grad)
        p.grad = None

    handle = w.register_post_accumulate_grad_hook(step)
    (w * w).sum().backward()
    assert seen == [(True, [2.0, 4.0])] and w.tolist() == [-1.0, -2.0] and w.grad is None
    wootz.autograd.grad((w * w).sum(), w)
    assert len(seen) == 1  # nothing was accumulated
    handle.remove()
    (w * w).sum().backward()
    assert len(seen) == 1
    with pytest.raises(GradientError, match="non-leaf"):
        (w * 2).register_post_accumulate_grad_hook(step)
    with pytest.raises(TypeError, match="callable"):
        w.register_hook("no function")  # type: ignore[arg-type]  # the mistake under test


def test_detach_in_place_makes_a_leaf_and_refuses_views() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    view = y[0]
    assert y.detach_() is y and y.is_leaf and not y.requires_grad and y.grad_fn is None
    assert not view.requires_grad
    with pytest.raises(GradientError, match="detach views in-place"):
        (x * 2)[0].detach_()


class Scale(Function):
    """New style: forward without ctx; an argument that is no tensor."""

    @staticmethod
    def forward(x, factor, name):  # type: ignore[no-untyped-def,override]
        return x * factor, x.sum() > 0

    @staticmethod
    def setup_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
        ctx.factor, ctx.name = inputs[1], inputs[2]
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, grad, _):  # type: ignore[no-untyped-def]
        assert ctx.name == "scale" and ctx.needs_input_grad == (True, False, False)
        return grad * ctx.factor, None, None


def test_functions_with_setup_context_and_arguments_that_are_no_tensors() -> None:
    assert gradcheck(lambda x: Scale.apply(x, 3.0, "scale")[0], (leaf(1.0, 2.0),))
    out, flag = Scale.apply(leaf(1.0, 2.0), 3.0, "scale")
    assert out.requires_grad and not flag.requires_grad


class Exp(Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return grad * ctx.saved_tensors[0]


def test_a_saved_output_has_its_history_in_second_derivatives_and_makes_no_cycle() -> None:
    assert gradcheck(Exp.apply, (leaf(0.5, -1.0),)) and gradgradcheck(Exp.apply, (leaf(0.5, -1.0),))
    gc.collect()
    gc.disable()
    try:
        y = Exp.apply(leaf(1.0))
        alive = weakref.ref(y)
        before = _core.memory_stats()["in_use"]
        del y
        assert alive() is None and _core.memory_stats()["in_use"] < before
    finally:
        gc.enable()


def test_functions_obey_saved_tensor_hooks() -> None:
    count = []
    x = leaf(0.5)
    with saved_tensors_hooks(lambda t: count.append(1) or t.detach().clone(), lambda t: t):  # type: ignore[func-returns-value]
        y = Exp.apply(x)
    y.backward()
    assert count == [1] and x.grad.numpy() == pytest.approx(np.exp(0.5))


class Double_(Function):
    """Writes to its input."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return grad * 2


def test_a_dirty_input_is_the_output_and_carries_the_new_history() -> None:
    def f(x: wootz.Tensor) -> wootz.Tensor:
        y = x * 1
        assert Double_.apply(y) is y
        return y * y

    def through_a_view(x: wootz.Tensor) -> wootz.Tensor:
        y = x * 1
        Double_.apply(y[1:])
        return y * y

    assert gradcheck(f, (leaf(1.0, -2.0),)) and gradcheck(through_a_view, (leaf(1.0, -2.0),))
    x = leaf(1.0)
    with pytest.raises(GradientError, match="leaf Tensor that requires grad"):
        Double_.apply(x)

    class Forgets(Double_):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            ctx.mark_dirty(x)
            return x * 2

    with pytest.raises(GradientError, match="marked as dirty were not returned"):
        Forgets.apply(leaf(1.0) * 1)


def test_missing_gradients_are_zeros_unless_the_function_wants_none() -> None:
    got = []

    class Two(Function):
        materialize = True

        @classmethod
        def forward(cls, ctx, x):  # type: ignore[no-untyped-def,override]
            ctx.set_materialize_grads(cls.materialize)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, a, b):  # type: ignore[no-untyped-def]
            got.append((a, b))
            return a if b is None else a + b * 2

    class TwoNone(Two):
        materialize = False

    Two.apply(leaf(1.0))[0].backward()
    TwoNone.apply(leaf(1.0))[0].backward()
    assert got[0][1].tolist() == [0.0] and got[1][1] is None


def test_once_differentiable_refuses_the_second_derivative() -> None:
    class Once(Exp):
        backward = staticmethod(once_differentiable(Exp.backward))

    x = leaf(0.5)
    (g,) = wootz.autograd.grad(Once.apply(x) ** 2, x, create_graph=True)
    assert g.numpy(force=True) == pytest.approx(2 * np.exp(1.0))
    with pytest.raises(GradientError, match="once_differentiable"):
        g.backward()


def test_functions_say_what_they_cannot_save_and_when_it_is_gone() -> None:
    class Saves(Exp):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            ctx.save_for_backward("text")
            return x

    with pytest.raises(TypeError, match="can only save tensors, not a str"):
        Saves.apply(leaf(1.0))
    y = Exp.apply(leaf(1.0))
    y.backward()
    with pytest.raises(GradientError, match="second time"):
        y.backward()


def test_batched_gradients_are_those_of_one_backward_each() -> None:
    x = wootz.randn(3, dtype=wootz.float64, requires_grad=True)
    y = wootz.outer(x, x.sin())
    many = wootz.randn(4, 3, 3, dtype=wootz.float64)
    (together,) = wootz.autograd.grad(y, x, many, retain_graph=True, is_grads_batched=True)
    apart = [wootz.autograd.grad(y, x, g, retain_graph=True)[0] for g in many]
    assert np.allclose(together.numpy(), np.stack([g.numpy() for g in apart]), rtol=1e-12)
    with pytest.raises(ValueError, match="common first dimension"):
        wootz.autograd.grad([y, y], x, [many, many[:2]], is_grads_batched=True)


def test_a_hundred_thousand_packed_values_die_without_recursion() -> None:
    x = leaf(1.0)
    with saved_tensors_hooks(lambda t: None, lambda t: x):
        y = x
        for _ in range(100_000):
            y = y.exp()
    del y


def test_deep_functions_in_python_are_freed_without_recursion() -> None:
    y = leaf(1.0)
    for _ in range(10_000):
        y = Scale.apply(y, 1.0, "scale")[0]
    y.backward()
    del y


def test_no_gradient_is_lost_between_threads_that_meet_in_a_leaf() -> None:
    # Long additions, so that two threads are inside one at once: without the leaf's lock, this loses some.
    w = wootz.zeros(1 << 18, dtype=wootz.float64, requires_grad=True)
    ones = wootz.ones(1 << 18, dtype=wootz.float64)
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(20):
            w.backward(ones)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert np.all(w.grad.numpy() == 80.0)
