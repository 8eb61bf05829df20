"""The mechanism of ops over an array module, exact values, and what they refuse."""

from __future__ import annotations

import gc
import math
import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wootz
from wootz.backend import arrays
from wootz.errors import BackendError, DTypeError, GradientError, ShapeError
from wootz.ops import database
from wootz.ops.array_op import array_op


@array_op(lambda g, out, x: g * 3 * x * x)
def _cube(xp: Any, x: Any) -> Any:
    return x**3


def test_a_rule_gives_every_higher_derivative() -> None:
    x = wootz.tensor([2.0, -1.0], dtype=wootz.float64, requires_grad=True)
    (first,) = wootz.autograd.grad(_cube(x).sum(), x, create_graph=True)
    (second,) = wootz.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = wootz.autograd.grad(second.sum(), x)
    for found, expected in ((first, [12, 3]), (second, [12, -6]), (third, [6, 6])):
        np.testing.assert_array_equal(found.detach().numpy(), expected)


def test_the_page_on_adding_an_op_adds_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "add-an-op.md").read_text("utf-8")
    block = re.search(
        r"^In one of `framework/src/wootz/ops/`:\n\n```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    assert block
    scope: dict[str, Any] = {"wootz": wootz, "Tensor": wootz.Tensor, "array_op": array_op, "__name__": "wootz.ops.page"}
    before = dict(database.ROWS)
    try:
        scope["op"] = database.op
        exec(block[1], scope)
        made = next(op for op in wootz.testing.ops() if op.family == "page")
    finally:
        database.ROWS.clear()
        database.ROWS.update(before)
    args, _ = made.samples[0].arguments(grad=True)
    expected = eval(made.reference, {"np": np})(args[0].detach().numpy())
    np.testing.assert_allclose(made(*args).detach().numpy(), expected)
    assert wootz.autograd.gradcheck(made, args) and wootz.autograd.gradgradcheck(made, args)


def test_an_operand_changed_before_backward_is_an_error() -> None:
    x = wootz.ones(3, requires_grad=True)
    y = x * 1
    out = _cube(y)
    y.add_(1)
    with pytest.raises(GradientError, match="modified by an in-place operation: cube"):
        out.sum().backward()


def test_the_graph_is_freed_with_its_output() -> None:
    x = wootz.ones(3, requires_grad=True)
    out = wootz.logcumsumexp(_cube(x), 0)
    alive = weakref.ref(out)
    gc.disable()
    try:
        del out
        assert alive() is None
    finally:
        gc.enable()


def test_results_never_share_memory_with_operands() -> None:
    @array_op()
    def _same(xp: Any, x: Any) -> Any:
        return x[::-1]

    x = wootz.arange(3)
    y = _same(x)
    y.fill_(7)
    assert x.tolist() == [0, 1, 2] and y.is_contiguous()


def test_a_device_without_an_array_module_is_named() -> None:
    with pytest.raises(BackendError, match=r"sort: no array module for 'abacus'.*\.cpu\(\)"):
        arrays.arrays_of("sort", "abacus")


def test_ops_run_inside_vmap_and_its_derivatives() -> None:
    x = wootz.tensor(np.random.default_rng(0).uniform(0.5, 2, (3, 4)))
    wootz.testing.assert_close(wootz.vmap(lambda row: row.sort().values)(x), x.sort(1).values)
    wootz.testing.assert_close(wootz.vmap(lambda row: wootz.logaddexp(row, x[0]))(x), wootz.logaddexp(x, x[0]))
    second = wootz.func.hessian(lambda row: wootz.lgamma(row).sum())(x[0])
    wootz.testing.assert_close(second, wootz.diag(wootz.polygamma(1, x[0])))


VALUES = [
    (lambda: wootz.polygamma(1, wootz.tensor(0.5, dtype=wootz.float64)), math.pi**2 / 2),
    (lambda: wootz.polygamma(2, wootz.tensor(1.0, dtype=wootz.float64)), -2.4041138063191885),
    (lambda: wootz.digamma(wootz.tensor(1.0, dtype=wootz.float64)), -0.5772156649015329),
    (lambda: wootz.lgamma(wootz.tensor(-1.5, dtype=wootz.float64)), 0.8600470153764810),
    (lambda: wootz.erfc(wootz.tensor(10.0, dtype=wootz.float64)), 2.0884875837625447e-45),
    (lambda: wootz.erfinv(wootz.tensor(0.5, dtype=wootz.float64)), 0.4769362762044699),
    (lambda: wootz.special.erfcx(wootz.tensor(100.0, dtype=wootz.float64)), 0.005641613782989433),
    (lambda: wootz.special.log_ndtr(wootz.tensor(-30.0, dtype=wootz.float64)), -454.3212439563432),
    (lambda: wootz.special.ndtri(wootz.tensor(1e-10, dtype=wootz.float64)), -6.361340902404056),
    (lambda: wootz.special.zeta(wootz.tensor(2.0, dtype=wootz.float64), 1.0), math.pi**2 / 6),
    (lambda: wootz.special.i1(wootz.tensor(1.0, dtype=wootz.float64)), 0.5651591039924851),
]


@pytest.mark.parametrize(("compute", "expected"), VALUES)
def test_special_values(compute: Any, expected: float) -> None:
    """Against constants with 16 digits (DLMF's tables and closed forms)."""
    assert compute().item() == pytest.approx(expected, rel=1e-13)


@pytest.mark.filterwarnings("error")
def test_edges_of_special_functions_are_values_and_no_warnings() -> None:
    x = wootz.tensor([0.0, -1.0, math.inf, math.nan], dtype=wootz.float64)
    np.testing.assert_array_equal(wootz.lgamma(x).numpy(), [math.inf, math.inf, math.inf, math.nan])
    np.testing.assert_array_equal(wootz.digamma(x).numpy(), [-math.inf, math.nan, math.inf, math.nan])
    np.testing.assert_array_equal(wootz.erfinv(wootz.tensor([1.0, -1.0, 2.0])).numpy(), [math.inf, -math.inf, math.nan])
    np.testing.assert_array_equal(wootz.erfc(wootz.tensor([math.inf, -math.inf, 50.0])).numpy(), [0, 2, 0])


def test_nan_is_the_greatest() -> None:
    x = wootz.tensor([2.0, math.nan, 1.0])
    assert x.sort().indices.tolist() == [2, 0, 1] and x.sort(descending=True).indices.tolist() == [1, 0, 2]
    assert x.topk(1).indices.tolist() == [1] and math.isnan(x.median().item()) and x.nanmedian().item() == 1
    assert math.isnan(x.cummax(0).values[2].item()) and math.isnan(x.quantile(0.5).item())


def test_ties_keep_their_order_when_asked() -> None:
    x = wootz.tensor([1, 0, 1, 0, 1])
    assert x.sort(stable=True).indices.tolist() == [1, 3, 0, 2, 4]
    assert x.sort(descending=True, stable=True).indices.tolist() == [0, 2, 4, 1, 3]


REFUSED = [
    (lambda: wootz.ones(2, 3).sort(2), IndexError, "out of range"),
    (lambda: wootz.ones(3).topk(4), ShapeError, "k=4"),
    (lambda: wootz.ones(3).kthvalue(0), ShapeError, "k=0"),
    (lambda: wootz.ones(0, 3).median(0), IndexError, "non-zero size"),
    (lambda: wootz.arange(3).quantile(0.5), DTypeError, "float or double"),
    (lambda: wootz.ones(3).quantile(1.5), ValueError, r"\[0, 1\]"),
    (lambda: wootz.ones(3).bincount(), DTypeError, "integer"),
    (lambda: wootz.tensor([-1]).bincount(), ValueError, "non-negative"),
    (lambda: wootz.searchsorted(wootz.ones(2, 3), wootz.ones(3, 3)), ShapeError, "leading shape"),
    (lambda: wootz.ones(3, 2).scatter(0, wootz.zeros(1, 3, dtype=wootz.int64), 1.0), ShapeError, "larger than self"),
    (lambda: wootz.ones(3).scatter(0, wootz.tensor([3]), 1.0), IndexError, "out of bounds"),
    (lambda: wootz.ones(3).index_fill(0, wootz.tensor([3]), 1.0), IndexError, "out of range"),
    (lambda: wootz.ones(3).masked_scatter(wootz.ones(3) > 0, wootz.ones(2)), ShapeError, "3 places, 2 elements"),
    (lambda: wootz.gcd(wootz.ones(2), wootz.ones(2)), DTypeError, "integer"),
    (lambda: wootz.polygamma(-1, wootz.ones(2)), ValueError, "negative n"),
    (lambda: wootz.ones(2, 3).unflatten(1, (2, 2)), ShapeError, "multiply up"),
    (lambda: wootz.broadcast_shapes((2,), (3,)), ShapeError, "broadcast"),
    (lambda: wootz.meshgrid(wootz.ones(2), indexing="zz"), ValueError, "zz"),
    (lambda: wootz.arange(3).lgamma_(), DTypeError, "can't be cast"),
    (lambda: wootz.ones(3).fmod_(wootz.ones(2, 3)), ShapeError, "does not fit"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_bad_arguments_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_new_tensors_take_after_an_old_one() -> None:
    x = wootz.zeros(2, 3, dtype=wootz.float64)
    assert x.new_full((2,), 7).tolist() == [7, 7] and x.new_full((2,), 7).dtype == wootz.float64
    assert x.new_tensor([1, 2]).dtype == wootz.float64
    assert wootz.arange(6).reshape_as(x).shape == (2, 3)
    assert x.is_signed() and not x.to(wootz.uint8).is_signed()
