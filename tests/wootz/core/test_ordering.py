"""Sorting and the first k: any length and dtype, ties by place, NaN last, zeros of both signs equal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import wootz

NAMES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
)
LENGTHS = (1, 2, 31, 32, 33, 70, 500, 5000)


def values(name: str, n: int, spread: int, seed: int = 0) -> np.ndarray:
    """Numbers with many ties, of either sign where the dtype has one; floats with all their special values."""
    random = np.random.default_rng(seed)
    if name == "bool":
        return random.random(n) < 0.5
    if np.dtype(name).kind in "iu":
        info = np.iinfo(name)
        low, high = max(info.min, -spread), min(info.max, spread)
        return random.integers(low, high, n, dtype=name, endpoint=True)
    x = (random.standard_normal(n) * min(spread, 1000)).round(1).astype(name)
    odd = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(name).smallest_subnormal], name)
    return np.where(random.random(n) < 0.4, random.choice(odd, n), x)


def expected(x: np.ndarray, descending: bool) -> list[int]:
    """Python's stable sort over numbers that have its order, NaN above all."""
    keys = [(True, 0) if v != v else (False, v) for v in x.tolist()]
    return (
        sorted(range(len(keys)), key=keys.__getitem__)
        if not descending
        else sorted(range(len(keys)), key=keys.__getitem__, reverse=True)
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("descending", [False, True])
def test_sorting_keeps_ties_in_order_and_puts_nan_last(name: str, descending: bool):
    for n, spread in itertools.product(LENGTHS, (3, 2**62)):
        x = values(name, n, spread)
        want = expected(x, descending)
        got, places = wootz.tensor(x).sort(descending=descending)
        assert places.tolist() == want
        assert got.numpy().tobytes() == x[want].tobytes()  # zeros keep their signs
        assert wootz.tensor(x).argsort(descending=descending, stable=True).tolist() == want


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("largest", [False, True])
def test_the_first_k_are_those_of_the_sort(name: str, largest: bool):
    for n, spread in itertools.product(LENGTHS, (3, 2**62)):
        x = values(name, n, spread, seed=1)
        want = expected(x, largest)
        for k in {0, 1, n // 3, n - 1, n}:
            got, places = wootz.tensor(x).topk(k, largest=largest)
            assert places.tolist() == want[:k]
            assert got.numpy().tobytes() == x[want[:k]].tobytes()


@pytest.mark.parametrize("n", [10, 1000, 4097])
def test_rising_and_falling_rows_leave_nothing_out(n: int):
    for x in (np.arange(n), np.arange(n)[::-1], np.zeros(n), np.arange(n) // 7):
        t = wootz.tensor(np.ascontiguousarray(x, np.float32))
        assert t.topk(5).indices.tolist() == expected(x, True)[:5]
        assert t.topk(n // 2, largest=False).indices.tolist() == expected(x, False)[: n // 2]


def test_any_dimension_of_any_memory():
    x = np.random.default_rng(2).integers(0, 4, (5, 90, 7)).astype(np.float32)
    order = np.argsort(x, 1, kind="stable")
    for t in (
        wootz.tensor(x),
        wootz.tensor(np.ascontiguousarray(x.T)).permute(2, 1, 0),
        wootz.tensor(x).flip(1).flip(1),
    ):
        got, places = t.sort(1)
        np.testing.assert_array_equal(places.numpy(), order)
        np.testing.assert_array_equal(got.numpy(), np.sort(x, 1))
        np.testing.assert_array_equal(t.topk(3, 1, largest=False).indices.numpy(), order[:, :3])
    strided = wootz.tensor(x)[:, ::2, 1:4]
    np.testing.assert_array_equal(strided.argsort(0).numpy(), np.argsort(x[:, ::2, 1:4], 0, kind="stable"))


def test_nothing_and_a_single_number():
    for shape in ((0,), (3, 0), (0, 3)):
        got, places = wootz.zeros(shape).sort(-1)
        assert got.shape == places.shape == shape
    assert wootz.zeros(0, 3).topk(2).indices.shape == (0, 2)
    assert wootz.zeros(3, 4).topk(0, 0).indices.shape == (0, 4)
    for found in (wootz.tensor(3.0).sort(), wootz.tensor(3.0).topk(1)):
        assert found.values.item() == 3.0 and found.indices.item() == 0 and found.indices.shape == ()


def test_bfloat16_sorts_as_its_numbers_do():
    x = values("float32", 200, 5).astype(np.float32)
    half = wootz.tensor(x).to(wootz.bfloat16)
    assert half.sort().indices.tolist() == expected(half.to(wootz.float32).numpy(), False)


def test_complex_numbers_have_no_order():
    x = wootz.tensor([1j, 2.0])
    for ask in (lambda: x.sort(), lambda: x.argsort(), lambda: x.topk(1)):
        with pytest.raises(wootz.errors.DTypeError, match="complex numbers have no order"):
            ask()


def test_gradients_go_back_to_where_values_came_from():
    x = wootz.tensor([3.0, 1.0, 2.0, 1.0], requires_grad=True)
    (x.sort(descending=True).values * wootz.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 3.0, 2.0, 4.0]
    x.grad = None
    (x.topk(2, largest=False).values * wootz.tensor([5.0, 6.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 5.0, 0.0, 6.0]
