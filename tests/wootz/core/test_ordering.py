"""Sorting, selecting and searching: any length and dtype, ties by place, NaN last, zeros of both signs equal."""

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


@pytest.mark.parametrize("name", NAMES)
def test_a_rank_is_that_of_the_sort(name: str):
    for n, spread in itertools.product((*LENGTHS, 128, 129, 300), (3, 300, 2**62)):
        x = values(name, n, spread, seed=3)
        want = expected(x, False)
        for k in {0, n // 3, n // 2, n - 1}:
            got, place = wootz.tensor(x).kthvalue(k + 1)
            assert place.item() == want[k]
            assert got.numpy().tobytes() == x[want[k]].tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_medians_are_the_first_nan_or_the_lower_middle_of_numbers(name: str):
    for n, spread in itertools.product((*LENGTHS, 129, 300), (3, 300)):
        x = values(name, n, spread, seed=4)
        numbers = [i for i in expected(x, False) if x[i] == x[i]]
        missing = np.flatnonzero(x != x)
        middle = numbers[(len(numbers) - 1) // 2] if numbers else missing[0]
        t = wootz.tensor(x)
        assert t.nanmedian(0).indices.item() == middle
        assert t.median(0).indices.item() == (missing[0] if len(missing) else middle)
        for got, place in ((t.nanmedian(), t.nanmedian(0).indices), (t.median(), t.median(0).indices)):
            assert got.shape == () and got.numpy().tobytes() == x[place.item()].tobytes()


@pytest.mark.parametrize("step", [1, -1, 0])
def test_rows_that_rise_fall_or_stay_have_the_median_in_their_middle(step: int):
    for kind in (np.float32, np.float64, np.int64):
        x = np.arange(5001, dtype=kind) * kind(step) + kind(2**20)
        assert wootz.tensor(x).median().item() == np.median(x)
        assert wootz.tensor(x).kthvalue(7).values.item() == np.sort(x)[6]
    extremes = np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max] * 100)
    assert wootz.tensor(extremes).median().item() == np.iinfo(np.int64).min
    assert wootz.tensor(extremes).kthvalue(101).indices.item() == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_mode_is_the_smallest_of_the_most_frequent_at_its_last_place(name: str):
    for n in LENGTHS:
        x = values(name, n, 5, seed=5)
        runs: list[list[int]] = []
        for i in expected(x, False):
            if runs and x[i] == x[runs[-1][-1]]:
                runs[-1].append(i)
            else:
                runs.append([i])
        assert wootz.tensor(x).mode().indices.item() == max(runs, key=len)[-1]


def laid_out(x):
    """The same three-dimensional tensor: row-major, transposed in memory, and turned twice."""
    return (
        wootz.tensor(x),
        wootz.tensor(np.ascontiguousarray(x.T)).permute(2, 1, 0),
        wootz.tensor(x).flip(1).flip(1),
    )


def test_selecting_along_any_dimension_of_any_memory():
    x = np.random.default_rng(6).integers(0, 4, (5, 150, 7)).astype(np.float32)
    order = np.argsort(x, 1, kind="stable")
    for t in laid_out(x):
        np.testing.assert_array_equal(t.kthvalue(9, 1).indices.numpy(), order[:, 8])
        np.testing.assert_array_equal(t.median(1, True).indices.numpy(), order[:, 74:75])
        np.testing.assert_array_equal(t.nanmedian(-2).indices.numpy(), order[:, 74])
        assert t.median().item() == np.sort(x.ravel())[(x.size - 1) // 2]
        np.testing.assert_array_equal(t.mode(1).values.numpy(), [
            [np.bincount(x[i, :, j].astype(int)).argmax() for j in range(7)] for i in range(5)
        ])  # fmt: skip
    strided = wootz.tensor(x)[:, ::2, 1:4]
    np.testing.assert_array_equal(
        strided.kthvalue(3, 0).indices.numpy(), np.argsort(x[:, ::2, 1:4], 0, kind="stable")[2]
    )


def test_selecting_from_nothing_and_from_a_single_number():
    for found in (wootz.tensor(3.0).kthvalue(1), wootz.tensor(3.0).median(0), wootz.tensor(3.0).mode()):
        assert found.values.item() == 3.0 and found.indices.item() == 0 and found.indices.shape == ()
    assert np.isnan(wootz.zeros(0).median().item()) and np.isnan(wootz.zeros(0).nanmedian().item())
    for ask in (lambda t: t.median(1), lambda t: t.mode(1), lambda t: t.kthvalue(1, 1)):
        assert ask(wootz.zeros(0, 3)).indices.shape == (0,)
        with pytest.raises(IndexError, match="non-zero size"):
            ask(wootz.zeros(3, 0))
    for k in (0, 4):
        with pytest.raises(wootz.errors.ShapeError, match=f"k={k} "):
            wootz.zeros(3).kthvalue(k)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_searching_finds_where_sorting_would_put(name: str, side: str):
    for n, count in itertools.product((0, 1, 2, 3, 33, 1000), (0, 1, 7, 8, 9, 3000)):
        bounds, x = np.sort(values(name, n, 40, seed=7)), values(name, count, 50, seed=8)
        found = wootz.searchsorted(wootz.tensor(bounds), wootz.tensor(x), side=side)
        np.testing.assert_array_equal(found.numpy(), np.searchsorted(bounds, x, side))


@pytest.mark.parametrize("right", [False, True])
def test_searching_rows_of_any_memory(right: bool):
    side = "right" if right else "left"
    bounds, x = (
        np.sort(values("float32", 6 * 90, 40).reshape(2, 3, 90)),
        values("float32", 6 * 50, 40).reshape(2, 3, 50),
    )
    rows = zip(bounds.reshape(6, 90), x.reshape(6, 50), strict=True)
    want = np.stack([np.searchsorted(b, v, side) for b, v in rows]).reshape(x.shape)
    b, v = wootz.tensor(bounds), wootz.tensor(x)
    turned = wootz.tensor(np.ascontiguousarray(bounds.transpose(2, 0, 1))).permute(1, 2, 0)
    for given in (b, turned):
        np.testing.assert_array_equal(wootz.searchsorted(given, v, right=right).numpy(), want)
        assert wootz.searchsorted(given, v[..., :0], right=right).shape == (2, 3, 0)
    np.testing.assert_array_equal(
        wootz.bucketize(v.permute(2, 0, 1), b[1, 2, ::3], right=right, out_int32=True).numpy(),
        np.searchsorted(bounds[1, 2, ::3], x.transpose(2, 0, 1), side),
    )
    half = b.to(wootz.bfloat16), v.to(wootz.bfloat16)
    wide = [t.to(wootz.float32).numpy().reshape(6, -1) for t in half]
    found = wootz.searchsorted(*half, right=right).numpy().reshape(6, -1)
    np.testing.assert_array_equal(found, [np.searchsorted(p, q, side) for p, q in zip(*wide, strict=True)])
    assert wootz.searchsorted(b[0, 0], 0.5, right=right).item() == np.searchsorted(bounds[0, 0], 0.5, side)


@pytest.mark.parametrize("name", NAMES)
def test_the_different_elements_and_their_runs(name: str):
    for n in (0, *LENGTHS):
        x = values(name, n, 9, seed=9)
        t = wootz.tensor(x)
        got, inverse, counts = t.unique(return_inverse=True, return_counts=True)
        want = np.unique(x, return_counts=True, equal_nan=False)
        np.testing.assert_array_equal(got.numpy(), want[0])
        np.testing.assert_array_equal(counts.numpy(), want[1])
        np.testing.assert_array_equal(got.numpy()[inverse.numpy()], x)
        assert got.dtype == t.dtype and inverse.dtype == counts.dtype == wootz.int64
        got, inverse, counts = t.unique_consecutive(return_inverse=True, return_counts=True)
        starts = [i for i in range(n) if i == 0 or x[i] != x[i - 1]]
        np.testing.assert_array_equal(got.numpy(), x[starts])
        np.testing.assert_array_equal(counts.numpy(), np.diff([*starts, n]))
        np.testing.assert_array_equal(inverse.numpy(), np.searchsorted(starts, np.arange(n), "right") - 1)


def test_runs_of_slices_and_of_complex_numbers():
    x = wootz.tensor([[1, 1, 2], [1, 1, 2], [3, 3, 2]])
    got, inverse, counts = x.unique_consecutive(True, True, dim=0)
    assert (got.tolist(), inverse.tolist(), counts.tolist()) == ([[1, 1, 2], [3, 3, 2]], [0, 0, 1], [2, 1])
    assert x.unique_consecutive(dim=1).tolist() == [[1, 2], [1, 2], [3, 2]]
    assert x.unique(return_inverse=True)[1].tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 1]]
    assert wootz.tensor([1j, 1j, 2.0]).unique_consecutive().tolist() == [1j, 2.0]
    assert wootz.tensor([2.0, 1j, 2.0]).unique().tolist() == [1j, 2.0]


@pytest.mark.parametrize("invert", [False, True])
def test_whether_each_is_among_others(invert: bool):
    for name, n in itertools.product(NAMES, (0, 1, 50)):
        x, test = values(name, 60, 9, seed=10).reshape(6, 10), values(name, n, 9, seed=11)
        found = wootz.isin(wootz.tensor(x), wootz.tensor(test), invert=invert)
        np.testing.assert_array_equal(found.numpy(), np.isin(x, test, invert=invert))
    assert wootz.isin(wootz.tensor([1j, 2.0]), wootz.tensor([1j]), invert=invert).tolist() == [not invert, invert]


def test_any_dimension_of_any_memory():
    x = np.random.default_rng(2).integers(0, 4, (5, 90, 7)).astype(np.float32)
    order = np.argsort(x, 1, kind="stable")
    for t in laid_out(x):
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
    for ask in (x.sort, x.argsort, lambda: x.topk(1), x.median, lambda: x.kthvalue(1), x.mode):
        with pytest.raises(wootz.errors.DTypeError, match="complex numbers have no order"):
            ask()


def test_gradients_go_back_to_where_values_came_from():
    x = wootz.tensor([3.0, 1.0, 2.0, 1.0], requires_grad=True)
    (x.sort(descending=True).values * wootz.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 3.0, 2.0, 4.0]
    x.grad = None
    (x.topk(2, largest=False).values * wootz.tensor([5.0, 6.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 5.0, 0.0, 6.0]
