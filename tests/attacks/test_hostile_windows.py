"""Indices, tables and shapes made to read or write outside of a tensor's memory through the kernels under nn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import wootz
from wootz._core import (
    attention,
    attention_backward,
    convolve,
    convolve_input,
    convolve_weight,
    gather_windows,
    max_pool,
    normalise,
    normalise_backward,
    resample,
    resample_back,
    scatter_windows,
)  # fmt: skip
from wootz.errors import DTypeError, ShapeError

ONES = wootz.ones(1, 2, 4)
FAR = wootz.tensor([[0, 1 << 40]])
SHORT = wootz.ones(1)
HEADS = wootz.ones(1, 1, 2, 3)
WEIGHT = wootz.ones(1, 2, dtype=wootz.float64)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: scatter_windows(wootz.ones(1, 2), FAR, (4,)), IndexError, "out of bounds"),
        (lambda: scatter_windows(wootz.ones(1, 2), -FAR - 1, (4,)), IndexError, "out of bounds"),
        (lambda: scatter_windows(wootz.ones(3, 2), FAR, (4,)), ShapeError, "differ in shape"),
        (lambda: gather_windows(wootz.ones(1, 2), FAR, 1), IndexError, "out of bounds"),
        (lambda: gather_windows(wootz.ones(1, 4), wootz.tensor([[0], [1]]), 1), ShapeError, "before the planes"),
        (lambda: gather_windows(wootz.ones(1, 4), FAR.float(), 1), DTypeError, "expected int64 indices"),
        (lambda: resample(ONES, 2, wootz.tensor([3]), WEIGHT), IndexError, "row 0 sums from 3 on 2"),
        (lambda: resample(ONES, 2, wootz.tensor([-1]), WEIGHT), IndexError, "row 0 sums from -1"),
        (lambda: resample(ONES, 2, wootz.tensor([0, 1]), WEIGHT), ShapeError, "expected start"),
        (lambda: resample_back(ONES, 2, wootz.tensor([0]), WEIGHT, 4), ShapeError, "expected 1 elements"),
        (lambda: resample_back(ONES[..., :1], 2, wootz.tensor([0]), WEIGHT, 1), IndexError, "sums from 0 on 2"),
        (lambda: max_pool(ONES, (2,), (1,), (2,), (1,)), ValueError, "pad should be at most half"),
        (lambda: max_pool(ONES, (2,), (1, 1), (0,), (1,)), ShapeError, "take 1 numbers"),
        (lambda: convolve_input(ONES, wootz.ones(2, 2, 2), (9,), (1,), (0,), (1,)), ShapeError, "expected an argument"),
        (lambda: convolve_weight(ONES, ONES, (2,), (1,), (0,), (1,)), ShapeError, "expected an argument"),
        (lambda: convolve(ONES, wootz.ones(2, 2, 2), None, (1,), (1, 1), (1,)), ShapeError, "take 1 numbers"),
        (lambda: normalise(ONES, wootz.ones(3), None, None, None, (2,), 0.1), ShapeError, "expand"),
        (lambda: normalise(ONES, None, None, None, None, (0,), 0.1), ShapeError, "normalises over the last"),
        (lambda: normalise(ONES, None, wootz.ones(2, 1), SHORT, SHORT, (0, 2), 0.1), ShapeError, "mean and a var of 2"),
        (lambda: normalise(ONES, None, wootz.ones(2, 1), wootz.ones(2), None, (0, 2), 0.1), ShapeError, "or neither"),
        (lambda: normalise_backward(SHORT, ONES, None, None, None, None, (2,), 0.1, True), ShapeError, "gradient"),
        (lambda: attention_backward(HEADS, SHORT, HEADS, HEADS, HEADS, None, SHORT, 1.0, False), ShapeError, "sums of"),
        (lambda: attention(*[wootz.ones(1, 1, 2, 3)] * 2, wootz.ones(1, 1, 4, 3), None, 1.0), ShapeError, "do not fit"),
        (lambda: attention(*[wootz.ones(1, 2, 2, 3)] * 2, wootz.ones(1, 1, 2, 3), None, 1.0), ShapeError, "heads"),
    ],
)  # fmt: skip
def test_no_kernel_leaves_its_tensors(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
