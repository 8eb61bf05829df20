"""`out=`: the result goes where it is told, under PyTorch's rules."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from tests.support.optable import Sample, rows

import wootz
from wootz.errors import DTypeError, GradientError, ShapeError

WITH_OUT = [r for r in rows() if r["out"]]


@pytest.mark.parametrize("row", WITH_OUT, ids=lambda r: r["name"])
def test_the_result_goes_into_out(row: dict[str, Any]) -> None:
    sample = Sample(row, row["samples"][0], 0)
    args, kwargs = sample.arguments()
    if row["pointwise"] == "integral":
        args = [a.to(wootz.int64) for a in args]
    expected = sample.op()(*args, **kwargs)
    out = wootz.zeros(expected.shape, dtype=expected.dtype)
    address, version = out.data_ptr(), out._version
    assert sample.op()(*args, **kwargs, out=out) is out
    np.testing.assert_array_equal(out.numpy(), expected.numpy())
    assert out.data_ptr() == address and out._version > version
    empty = wootz.empty(0, dtype=expected.dtype)
    assert sample.op()(*args, **kwargs, out=empty) is empty and empty.shape == expected.shape
    np.testing.assert_array_equal(empty.numpy(), expected.numpy())


def test_the_table_gives_out_to_pointwise_ops_and_reductions() -> None:
    names = {r["name"] for r in WITH_OUT}
    assert {"add", "exp", "eq", "where", "sum", "mean", "amax", "argmax", "any", "matmul", "cat", "stack"} <= names
    assert not {"view", "select", "linear"} & names


def test_out_casts_where_the_category_allows_it() -> None:
    x = wootz.tensor([1.25, 2.5])
    wide, half = wootz.zeros(2, dtype=wootz.float64), wootz.zeros(2, dtype=wootz.bfloat16)
    assert wootz.add(x, 1, out=wide).tolist() == [2.25, 3.5] and wootz.mul(x, 2, out=half).tolist() == [2.5, 5]
    assert wootz.sum(x, out=wootz.zeros((), dtype=wootz.complex64)).item() == 3.75
    with pytest.raises(DTypeError, match="float32 can't be cast to the desired output type int64"):
        wootz.add(x, 1, out=wootz.zeros(2, dtype=wootz.int64))
    with pytest.raises(DTypeError, match="can't be cast"):
        wootz.mul(x, 1j, out=x)


def test_out_may_be_an_input_or_a_strided_view() -> None:
    x = wootz.arange(6.0).reshape(2, 3)
    assert wootz.add(x, x, out=x).tolist() == [[0, 2, 4], [6, 8, 10]]
    base = wootz.zeros(3, 4)
    wootz.exp(wootz.zeros(3, 2), out=base[:, ::2])
    assert base.tolist() == [[1, 0, 1, 0]] * 3
    square = wootz.arange(4.0).reshape(2, 2)
    wootz.matmul(square, square, out=square)
    assert square.tolist() == [[2, 3], [6, 11]]
    with pytest.raises(ShapeError, match="single memory location"):
        wootz.add(wootz.ones(3), 1, out=wootz.zeros(1).expand(3))


def test_out_of_another_shape_takes_the_results_with_a_warning() -> None:
    out = wootz.zeros(3)
    with pytest.warns(UserWarning, match=r"add: an output .* had shape \[3\].* required output shape \[2, 3\]"):
        assert wootz.add(wootz.ones(2, 3), 1, out=out) is out
    assert out.tolist() == [[2, 2, 2], [2, 2, 2]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wootz.add(wootz.ones(2), 1, out=out.resize_(0))
        with pytest.raises(UserWarning, match="resized"):
            wootz.add(wootz.ones(3), 1, out=out)
    assert out.tolist() == [2, 2]


def test_out_that_is_a_view_of_another_shape_is_refused() -> None:
    for out in (wootz.zeros(3)[:2], wootz.zeros(4)[:0]):
        with pytest.raises(ShapeError, match=r"add: out has shape \[\d\], the result \[2, 3\]"):
            wootz.add(wootz.ones(2, 3), 1, out=out)


def test_out_and_autograd_exclude_each_other() -> None:
    x, out = wootz.ones(2, requires_grad=True), wootz.zeros(2)
    with pytest.raises(GradientError, match="don't support automatic differentiation"):
        wootz.exp(x, out=out)
    with pytest.raises(GradientError, match="don't support automatic differentiation"):
        wootz.exp(wootz.ones(2), out=x)
    assert out.tolist() == [0, 0]
    with wootz.no_grad():
        assert wootz.exp(x, out=out) is out and not out.requires_grad
    with pytest.raises(TypeError, match="must be Tensor"):
        wootz.exp(wootz.ones(2), out=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="positional"):
        wootz.exp(wootz.ones(2), out)  # type: ignore[call-arg]
