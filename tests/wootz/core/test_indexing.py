"""Counting, and reading and adding by index: every dtype, widths of every kind, any memory, indices out of range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wootz

KINDS = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64")
INDICES = ("uint8", "int8", "int16", "int32", "int64")
MEMORIES: dict[str, Callable[[wootz.Tensor], wootz.Tensor]] = {
    "dense": lambda t: t,
    "transposed": lambda t: t.T.contiguous().T,
    "strided": lambda t: wootz.stack([t, t], -1).flatten(-2)[..., ::2],
}


def numbers(kind: str, *shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Small whole numbers: their sums are exact in every order."""
    return np.random.default_rng(seed).integers(0, 4, shape).astype(kind)


def added(x: np.ndarray[Any, Any], dim: int, index: np.ndarray[Any, Any], source: np.ndarray[Any, Any]) -> Any:
    out = np.moveaxis(x.copy(), dim, 0)
    (np.logical_or if x.dtype == bool else np.add).at(out, index, np.moveaxis(source, dim, 0))
    return np.moveaxis(out, 0, dim)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", MEMORIES)
def test_slices_are_added_and_read_at_repeated_places(kind: str, memory: str):
    make = MEMORIES[memory]
    for shape, count in (((7,), 300), ((9, 1), 70), ((4, 33), 50), ((3, 5, 2), 11), ((3, 0), 4), ((5, 4), 0)):
        for dim in range(len(shape)):
            if shape[dim] == 0:
                continue
            index = np.random.default_rng(1).integers(-shape[dim], shape[dim], count)
            x, source = numbers(kind, *shape), numbers(kind, *shape[:dim], count, *shape[dim + 1 :], seed=2)
            t = make(wootz.tensor(x)) if len(shape) == 2 else wootz.tensor(x)
            s = make(wootz.tensor(source)) if len(shape) == 2 else wootz.tensor(source)
            found = t.index_add(dim, wootz.tensor(index), s)
            np.testing.assert_array_equal(found.numpy(), added(x, dim, index, source))
            np.testing.assert_array_equal(t.index_select(dim, wootz.tensor(index)).numpy(), np.take(x, index, dim))
            np.testing.assert_array_equal(t.numpy(), x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", MEMORIES)
def test_elements_are_added_and_read_along_a_dimension(kind: str, memory: str):
    make = MEMORIES[memory]
    for shape in ((4, 33), (33, 4), (1, 300), (300, 1)):
        x, source = numbers(kind, *shape), numbers(kind, *shape, seed=3)
        for dim in (0, 1):
            index = np.random.default_rng(4).integers(-shape[dim], shape[dim], shape)
            t, i, s = make(wootz.tensor(x)), make(wootz.tensor(index)), make(wootz.tensor(source))
            want = x.copy()
            at = [np.arange(shape[0])[:, None], np.arange(shape[1])]
            at[dim] = index
            (np.logical_or if kind == "bool" else np.add).at(want, tuple(at), source)
            np.testing.assert_array_equal(t.scatter_add(dim, i, s).numpy(), want)
            np.testing.assert_array_equal(t.gather(dim, i).numpy(), x[tuple(at)])
            want = x.copy()
            want[tuple(at)] = source  # of several writes to one place the last counts
            np.testing.assert_array_equal(t.scatter(dim, i, s).numpy(), want)
            np.testing.assert_array_equal(t.numpy(), x)


def test_a_part_of_the_source_or_one_number_is_written():
    x, index = wootz.zeros(3, 4), wootz.tensor([[3, 0], [1, -1]], dtype=wootz.int32)
    assert x.scatter(1, index, wootz.arange(12.0).reshape(3, 4)).tolist() == [[1, 0, 0, 0], [0, 4, 0, 5], [0] * 4]
    assert x.scatter(1, index, 2).tolist() == [[2, 0, 0, 2], [0, 2, 0, 2], [0] * 4]
    assert x.scatter_(0, wootz.tensor([[2, 1]]), 7) is x and x.tolist() == [[0] * 4, [0, 7, 0, 0], [7, 0, 0, 0]]
    assert x.scatter(1, wootz.zeros(3, 0, dtype=wootz.int64), 1).tolist() == x.tolist()
    a, b = wootz.ones(2, 3).requires_grad_(), wootz.ones(2, 2).requires_grad_()
    (a.scatter(1, wootz.tensor([[0, 2], [1, 1]]), b) * wootz.arange(6.0).reshape(2, 3)).sum().backward()
    assert a.grad.tolist() == [[0, 1, 0], [3, 0, 5]] and b.grad.tolist() == [[0, 2], [4, 4]]


def test_one_number_is_added_at_many_places():
    one = wootz.tensor([2]).expand(5)
    assert wootz.zeros(3, dtype=wootz.int64).index_add(0, wootz.tensor([0, 2, 2, -1, 0]), one).tolist() == [4, 0, 6]


@pytest.mark.parametrize("bad", [4, -5, 2**62, -(2**62), 2**63 - 1, -(2**63)])
def test_an_index_out_of_range_is_an_error(bad: int):
    t, index = wootz.ones(4, 3), wootz.tensor([0, 1, bad, 2])
    for ask in (
        lambda: t[index], lambda: t.index_select(0, index), lambda: t.index_add(0, index, t),
        lambda: t.gather(0, index.unsqueeze(1)), lambda: t.scatter_add(0, index.unsqueeze(1), t),
        lambda: t.scatter(0, index.unsqueeze(1), t), lambda: t.scatter(0, index.unsqueeze(1), 1.0),
    ):  # fmt: skip
        with pytest.raises(IndexError, match=f"index {bad} is out of bounds for dimension 0 with size 4"):
            ask()
    with pytest.raises(IndexError):
        wootz.ones(0, 3).index_select(0, wootz.tensor([0]))


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_what_differs_from_zero_and_masks(share: float):
    for shape in ((), (0,), (1,), (1023,), (1024,), (2500,), (3, 0), (3, 1100), (40, 3), (2, 3, 5), (5, 1, 2, 3)):
        mask = np.asarray(np.random.default_rng(5).random(shape) < share)
        x = np.arange(mask.size).reshape(shape)
        np.testing.assert_array_equal(wootz.tensor(mask).nonzero().numpy(), np.argwhere(mask))
        np.testing.assert_array_equal(wootz.tensor(x)[wootz.tensor(mask)].numpy(), x[mask])
        wide = np.stack([x, -x], -1)
        np.testing.assert_array_equal(wootz.tensor(wide)[wootz.tensor(mask)].numpy(), wide[mask])
    mask = np.random.default_rng(6).random((6, 7)) < 0.5
    x = np.random.default_rng(7).random((7, 6))
    np.testing.assert_array_equal(wootz.tensor(x).T[wootz.tensor(mask)].numpy(), x.T[mask])
    np.testing.assert_array_equal(wootz.tensor(x)[wootz.tensor(mask).T].numpy(), x[mask.T])
    with pytest.raises(IndexError, match="shape of the mask"):
        wootz.tensor(x)[wootz.tensor(mask)]


def test_the_gradient_of_what_a_mask_picks():
    x = wootz.arange(6.0).reshape(2, 3).requires_grad_()
    mask = wootz.tensor([[True, False, True], [False, True, False]])
    (x[mask] * wootz.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]


@pytest.mark.parametrize("kind", INDICES)
def test_counts_and_sums_of_weights(kind: str):
    for n in (0, 1, 7, 5000):
        x, weights = np.random.default_rng(8).integers(0, 100, n).astype(kind), numbers("float32", n)
        t = wootz.tensor(x)
        for least in (0, 3, 120):
            np.testing.assert_array_equal(t.bincount(minlength=least).numpy(), np.bincount(x, minlength=least))
        for to in (np.float32, np.float64, np.int32, np.float16):
            found = t.bincount(wootz.tensor(weights.astype(to)))
            assert found.dtype == (wootz.float32 if to == np.float32 else wootz.float64)
            np.testing.assert_array_equal(found.numpy(), np.bincount(x, weights))
    np.testing.assert_array_equal(wootz.arange(9)[::2].bincount().numpy(), [1, 0] * 4 + [1])
    for bad in (wootz.tensor([1, -1]), wootz.tensor([-(2**63), 2**63 - 1])):
        with pytest.raises(ValueError, match="non-negative"):
            bad.bincount()
    with pytest.raises(ValueError, match="9223372036854775807 has no counter"):  # one more than it wraps around
        wootz.tensor([2**63 - 1]).bincount()


@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
def test_histograms_count_what_is_inside(kind: str):
    x = np.random.default_rng(9).standard_normal(3000).astype(kind)
    x[:4] = [np.nan, np.inf, -np.inf, 1.0]
    wide = np.float64 if kind == "float64" else np.float32
    for bins, low, high in ((1, -1.0, 1.0), (7, -0.5, 0.25), (100, -9.0, 9.0)):
        inside = x[(x >= low) & (x <= high)].astype(wide)
        places = np.minimum(((inside - wide(low)) * wide(bins) / wide(high - low)).astype(int), bins - 1)
        found = wootz.tensor(x).histc(bins, low, high)
        assert found.dtype == wootz.tensor(x).dtype
        np.testing.assert_array_equal(found.numpy(), np.bincount(places, minlength=bins).astype(kind))
    assert wootz.tensor([1.0, 1.0]).reshape(2, 1).histc(2).tolist() == [0.0, 2.0]
    assert wootz.tensor([1, 2, 3]).histc(3).tolist() == [1.0, 1.0, 1.0]
    assert wootz.tensor([-3e38, 3e38, 0.0]).histc(4).sum() == 3  # wider than float32 tells
    assert wootz.zeros(0).histc(2).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="bins must be > 0"):
        wootz._core.histc(wootz.ones(2), 0, 0.0, 2.0)


@pytest.mark.parametrize("kind", INDICES)
def test_one_hot_rows(kind: str):
    labels = np.random.default_rng(10).integers(0, 5, (3, 4)).astype(kind)
    for t, want in ((wootz.tensor(labels), labels), (wootz.tensor(labels).T, labels.T)):
        found = wootz.nn.functional.one_hot(t, 6)
        assert found.dtype == wootz.int64
        np.testing.assert_array_equal(found.numpy(), np.eye(6, dtype=int)[want])
    assert wootz.nn.functional.one_hot(wootz.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert wootz.nn.functional.one_hot(wootz.zeros(0, dtype=wootz.int64), 3).shape == (0, 3)
    for bad, classes in (([0, 3], 3), ([-1, 0], 3), ([-1], -1), ([], -1), ([0], 0)):
        with pytest.raises(ValueError, match="class"):
            wootz.nn.functional.one_hot(wootz.tensor(bad, dtype=wootz.int64), classes)
    with pytest.raises(ValueError, match="found -1"):
        wootz.nn.functional.one_hot(wootz.tensor([-1]))
