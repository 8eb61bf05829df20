"""Indexing, running sums, order, windows and rare functions on an emulated GPU, against the CPU's ops and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wootz
from wootz.backend.gpu import functions


def both(x: np.ndarray[Any, Any]) -> tuple[wootz.Tensor, wootz.Tensor]:
    return wootz.from_numpy(np.array(x)), wootz.from_numpy(np.array(x)).cuda()


def same(op: Callable[..., Any], *arrays: np.ndarray[Any, Any], exact: bool = True) -> None:
    """An op gives on the GPU what it gives on the CPU."""
    here, there = zip(*map(both, arrays), strict=True)
    expected, found = op(*here), op(*there)
    for one, other in zip(*(t if isinstance(t, tuple) else (t,) for t in (expected, found)), strict=True):
        assert (other.shape, other.dtype, other.device.type) == (one.shape, one.dtype, "cuda")
        if exact:
            np.testing.assert_array_equal(other.cpu().numpy(), one.numpy())
        else:
            np.testing.assert_allclose(other.cpu().numpy(), one.numpy(), rtol=1e-12, atol=1e-13)


# Functions by name: what they have to be, from NumPy and the C library.

UNARY = {
    "asinh": np.arcsinh, "acosh": lambda x: np.arccosh(x), "atanh": np.arctanh, "exp2": np.exp2,
    "signbit": np.signbit,
}  # fmt: skip
LAYOUTS: dict[str, Callable[[wootz.Tensor], wootz.Tensor]] = {
    "dense": lambda t: t, "transposed": lambda t: t.T, "strided": lambda t: t[:, ::3], "row": lambda t: t[1],
    "empty": lambda t: t[:0], "one": lambda t: t[0, 0],
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rare_functions_of_every_layout(layout: str, cupy: Any) -> None:
    random = np.random.default_rng(1)
    small, large = random.uniform(-0.9, 0.9, (5, 18)), random.uniform(1.1, 9, (5, 18))
    ops = [
        (wootz.asinh, small), (wootz.acosh, large), (wootz.atanh, small), (wootz.exp2, small), (wootz.erfc, large),
        (wootz.erfinv, small), (wootz.lgamma, large), (wootz.digamma, large), (wootz.signbit, small),
        (lambda t: wootz.hypot(t, t), small), (lambda t: wootz.fmod(t, t.flip(0) if t.dim() else t), large),
        (lambda t: wootz.copysign(t, -t), small), (wootz.log2, large), (wootz.trunc, large),
        (lambda t: wootz.remainder(t, -0.7), large), (lambda t: t // 0.7, small), (wootz.isinf, large),
        (lambda t: wootz.lerp(t, -t, 0.3), small), (lambda t: t.add(t, alpha=-2.5), small),
    ]  # fmt: skip
    for op, values in ops:
        same(lambda t, op=op: op(LAYOUTS[layout](t)), values, exact=False)
    assert cupy.compiled == []


def test_special_values_of_rare_functions(cupy: Any) -> None:
    x = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e300, 5e-324, -2.0, -2.5])
    for op in (wootz.asinh, wootz.erfc, wootz.exp2, wootz.signbit, wootz.isfinite, wootz.trunc, wootz.digamma):
        same(op, x, exact=False)
    same(wootz.erfinv, np.array([0.0, 1.0, -1.0, 1.5, np.nan, 0.999999, -1e-12]), exact=False)
    for op in (wootz.fmod, wootz.remainder, wootz.floor_divide, wootz.hypot, wootz.copysign, wootz.atan2):
        same(op, np.repeat(x, len(x)), np.tile(x, len(x)), exact=False)


@pytest.mark.parametrize("kind", ["int64", "int32", "int8", "uint8"])
def test_integers(kind: str, cupy: Any) -> None:
    limits = np.iinfo(kind)
    x = np.array([limits.min, limits.min + 1, limits.max, 0, 1, 2, 3, 7], kind)
    pairs = np.repeat(x, len(x)), np.tile(x, len(x))
    ops = [
        wootz.add, wootz.sub, wootz.mul, wootz.floor_divide, wootz.remainder, wootz.maximum, wootz.minimum,
        wootz.bitwise_and, wootz.bitwise_or, wootz.bitwise_xor, wootz.logical_and, wootz.eq, wootz.lt,
    ]  # fmt: skip
    for op in ops:
        same(op, *pairs)
    for op in (wootz.neg, wootz.abs, wootz.sign, wootz.square, wootz.bitwise_not, wootz.relu, wootz.isnan, wootz.floor):
        same(op, x)
    same(wootz.bitwise_left_shift, x, np.arange(8).astype(kind))
    same(wootz.bitwise_right_shift, x, np.arange(8).astype(kind))
    same(lambda t: wootz.pow(t, 3), x)
    for op in (wootz.sum, wootz.prod, wootz.amax, wootz.amin, wootz.any, wootz.all, wootz.argmax, wootz.argmin):
        same(lambda t, op=op: op(t), x)
        same(lambda t, op=op: op(t, 1), np.stack([x, x[::-1]]))
    assert cupy.compiled == []


# Lines


@pytest.mark.parametrize("shape", [(5,), (3, 40), (2, 3, 33), (2, 4500), (0, 3), (3, 0)])
@pytest.mark.parametrize("dim", [0, -1])
def test_running_sums(shape: tuple[int, ...], dim: int, cupy: Any) -> None:
    random = np.random.default_rng(2)
    if 0 not in shape or shape[dim]:
        same(lambda t: wootz.cumsum(t, dim), random.integers(-9, 9, shape))
        same(lambda t: wootz.cumsum(t, dim), random.standard_normal(shape), exact=False)
        same(lambda t: wootz.cumprod(t.T.contiguous().T, dim), random.uniform(0.9, 1.1, shape), exact=False)


@pytest.mark.parametrize("descending", [False, True])
def test_order_is_total_and_stable(descending: bool, cupy: Any) -> None:
    random = np.random.default_rng(3)
    special = np.array([[0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, 0.0, np.nan, -0.0]])
    for x in (special, random.integers(0, 5, (3, 70)), random.standard_normal((2, 1300)), np.arange(12) % 2 > 0):
        same(lambda t: wootz.sort(t, -1, descending, stable=True), x)
        same(lambda t: wootz.argsort(t.T, 0, descending, stable=True), x)
    same(lambda t: wootz.topk(t, 3, -1, descending)[0], random.standard_normal((4, 9)))
    same(lambda t: wootz.quantile(t, 0.3, 1), random.standard_normal((4, 9)), exact=False)
    same(lambda t: wootz.sort(t, 0, descending), np.empty((0, 3)))
    assert cupy.compiled == []


def test_selecting_names_the_cpus_places(cupy: Any) -> None:
    random = np.random.default_rng(5)
    holes = random.integers(0, 5, (4, 60)).astype(float)
    holes[1, [7, 30]] = holes[2] = np.nan
    for x in (holes, random.integers(0, 5, (3, 70)), random.standard_normal((2, 1300)), np.float64(3.0)):
        for dim in (0, -1):
            same(lambda t, dim=dim: wootz.kthvalue(t, 1, dim), x)
            same(lambda t, dim=dim: wootz.median(t, dim), x)
            same(lambda t, dim=dim: wootz.nanmedian(t, dim, True), x)
            same(lambda t, dim=dim: wootz.mode(t, dim), x)
        same(wootz.median, x)
        same(wootz.nanmedian, x)
    assert cupy.compiled == []


def test_searching_and_counting(cupy: Any) -> None:
    random = np.random.default_rng(6)
    bounds, x = np.sort(random.integers(0, 9, (3, 20)).astype(float)), random.integers(-1, 10, (3, 40)).astype(float)
    bounds[0, -2:] = x[:, 3] = np.nan
    for right in (False, True):
        same(lambda b, t, right=right: wootz.searchsorted(b, t, right=right), bounds, x)
        same(lambda b, t, right=right: wootz.searchsorted(b[0], t, right=right), bounds, x)
        same(lambda b, t, right=right: wootz.searchsorted(b[:, :0], t, right=right), bounds, x)
    whole = random.integers(0, 12, 70)
    same(lambda t: wootz.unique(t, return_inverse=True, return_counts=True), x)
    same(lambda t: wootz.unique_consecutive(t, True, True), whole // 5)
    same(lambda t: wootz.unique_consecutive(t.reshape(35, 2) // 9, True, True, dim=0), whole)
    same(lambda t, b: wootz.isin(t, b, invert=True), x, bounds)
    same(wootz.bincount, whole)
    same(lambda t: wootz.bincount(t[:0], minlength=3), whole)
    same(lambda t, w: wootz.bincount(t, w, 20), whole, random.standard_normal(70))
    same(lambda t: wootz.histc(t, 7, 1, 6), x)
    same(lambda t: wootz.nn.functional.one_hot(t), whole)
    with pytest.raises(ValueError, match="non-negative"):
        wootz.bincount(both(whole - 5)[1])
    with pytest.raises(ValueError, match="class values"):
        wootz.nn.functional.one_hot(both(whole)[1], 4)
    assert cupy.compiled == []


@pytest.mark.parametrize("op", [wootz.argmax, wootz.argmin])
def test_the_first_extremum_and_the_first_nan(op: Any, cupy: Any) -> None:
    random = np.random.default_rng(4)
    x = random.integers(0, 4, (6, 50)).astype(float)
    same(lambda t: op(t, 1), x)
    same(lambda t: op(t, 0, True), x)
    same(lambda t: op(t.T), x)
    x[2, 30] = x[2, 40] = np.nan
    same(lambda t: op(t, 1), x)
    same(op, x)
    same(op, np.float64(3.0))
    long = random.integers(0, 4, (3, 6200)).astype(float)  # several warps share a line
    for t in (long, long.astype("i8"), np.where(np.arange(6200) % 2500 == 2400, np.nan, long)):
        same(lambda t: op(t, 1), t)
        same(lambda t: op(t.T.contiguous(), 0), t)
        same(op, t)


# Indices

KEYS: dict[str, Callable[[wootz.Tensor, Callable[[Any], wootz.Tensor]], wootz.Tensor]] = {
    "one": lambda t, i: t[i([2, -1, 0])],
    "matrix": lambda t, i: t[i([[2, -1], [0, 0]])],
    "last": lambda t, i: t[..., i([1, -5])],
    "pair": lambda t, i: t[i([0, 3]), i([1, -1])],
    "broadcast": lambda t, i: t[i([[0], [3]]), i([1, -1])],
    "apart": lambda t, i: t[i([0, 3]), :, i([4, 0])],
    "three": lambda t, i: t[i([1]), i([1, 2]), i([0, -1])],
    "mask": lambda t, i: t[t > 0],
    "row mask": lambda t, i: t[i([True, False, True, False])],
    "mask and index": lambda t, i: t[i([True, False, True, False]), i([0, 2])],
    "none": lambda t, i: t[i(np.zeros(0, int).tolist()).long()],
    "all or nothing": lambda t, i: wootz.cat([t[i(True)], t[i(False)]]),
    "of a view": lambda t, i: t.transpose(0, 2)[i([4, 1]), 1:],
}


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_every_kind(key: str, cupy: Any) -> None:
    x = np.random.default_rng(5).standard_normal((4, 3, 5))
    here, there = both(x)
    expected = KEYS[key](here, wootz.tensor)
    found = KEYS[key](there, lambda values: wootz.tensor(values).cuda())
    np.testing.assert_array_equal(found.cpu().numpy(), expected.numpy())
    assert cupy.compiled == []


def test_writing_along_a_dimension(cupy: Any) -> None:
    random = np.random.default_rng(9)
    index = random.permuted(np.tile(np.arange(6), (4, 1)), axis=1)[:, :5] - 3
    for kind in ("f8", "f4", "f2", "i8", "i1", "?", "c16"):
        x, source = random.integers(0, 9, (4, 6)).astype(kind), random.integers(0, 9, (4, 6)).astype(kind)
        same(lambda t, i, s: t.scatter(1, i, s), x, index, source)
        same(lambda t, i, s: t.T.scatter(0, i.T, s.T), x, index, source)
        same(lambda t, i: t.scatter(-1, i[:2], 1), x, index)
        same(lambda t, i: t.scatter(-1, i[:0], 1), x, index)
    assert cupy.compiled == []


def test_writing_by_keys(cupy: Any) -> None:
    x = np.random.default_rng(6).standard_normal((4, 3, 5))
    results = []
    for device in ("cpu", "cuda"):
        t, index = wootz.from_numpy(x.copy()).to(device), lambda v, d=device: wootz.tensor(v).to(d)
        t[index([0, 2])] = 7.0
        t[:, index([1, -1])] = t[:, index([0, 0])] * 2
        t[t > 1] = -1.0
        t.index_put_((index([0, 0, 1]), index([1, 1, 2])), wootz.ones(3, 5, dtype=t.dtype).to(device), accumulate=True)
        results.append(t.cpu().numpy())
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(("count", "width"), [(40, 3), (1500, 1), (1500, 4)])
def test_sums_at_repeated_places(count: int, width: int, cupy: Any) -> None:
    """Long lines are summed by runs of sorted places, short ones by a thread each: both in the places' order."""
    random = np.random.default_rng(7)
    places, values = random.integers(-7, 7, count), random.standard_normal((count, width))
    base = random.standard_normal((7, width))
    expected = base.copy()
    np.add.at(expected, places, values)
    _, out = both(base)
    _, index = both(places)
    _, source = both(values)
    found = [
        wootz.index_add(out, 0, index % 7, source),
        wootz.scatter_add(out, 0, (index % 7).unsqueeze(1).expand(count, width), source),
        out.index_put((index,), source, accumulate=True),
    ]
    for made in found:
        np.testing.assert_allclose(made.cpu().numpy(), expected, rtol=1e-12, atol=1e-12)
    for made in found[1:]:
        assert made.cpu().numpy().tobytes() == found[0].cpu().numpy().tobytes()
    assert cupy.compiled == []


def test_gradients_of_overlapping_windows(cupy: Any) -> None:
    x = np.random.default_rng(8).standard_normal(40)
    grads = []
    for device in ("cpu", "cuda"):
        t = wootz.from_numpy(x).to(device).requires_grad_()
        (t.unfold(0, 5, 2) ** 2).sum().backward()
        grads.append(t.grad.cpu().numpy())
    np.testing.assert_allclose(grads[1], grads[0], rtol=1e-13)


@pytest.mark.parametrize(
    "op",
    [
        lambda t, i: t[i], lambda t, i: wootz.gather(t, 0, i.unsqueeze(1)), lambda t, i: wootz.index_select(t, 0, i),
        lambda t, i: wootz.index_add(t, 0, i, t[:1].expand(3, 3)), lambda t, i: t[i, i],
    ],
)  # fmt: skip
@pytest.mark.parametrize("bad", [4, -5])
def test_an_index_out_of_range_is_reported_and_touches_nothing(op: Any, bad: int, cupy: Any) -> None:
    t = wootz.ones(4, 3).cuda()
    op(t, wootz.tensor([0, bad, 1]).cuda())
    with pytest.raises(IndexError, match="out of range"):
        wootz.cuda.synchronize()
    assert t.cpu().tolist() == [[1.0] * 3] * 4


def test_an_index_into_nothing_is_an_error_at_once(cupy: Any) -> None:
    with pytest.raises(IndexError, match="dimension of size 0"):
        wootz.ones(0, 3).cuda()[wootz.tensor([0]).cuda()]


# Windows


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pooling(dims: int, cupy: Any) -> None:
    x = np.random.default_rng(9).standard_normal((2, 3, *(7, 6, 5)[:dims]))
    x.reshape(-1)[[4, 5]] = np.nan
    pool = (wootz.nn.functional.max_pool1d, wootz.nn.functional.max_pool2d, wootz.nn.functional.max_pool3d)[dims - 1]
    adaptive = getattr(wootz.nn.functional, f"adaptive_max_pool{dims}d")
    same(lambda t: pool(t, 2, return_indices=True), x)
    same(lambda t: pool(t, 3, 2, 1, ceil_mode=True, return_indices=True), x)
    same(lambda t: pool(t, 2, 1, 1, 2, return_indices=True), x)
    same(lambda t: adaptive(t, 3, return_indices=True), x)
    assert cupy.compiled == []


def test_every_array_op_that_is_a_kernel_is_one_of_this_library() -> None:
    """A name that no op has would never be asked for."""
    held = {
        value.name
        for module in ("cumulative", "elementwise", "sorting", "special")
        for value in vars(__import__(f"wootz.ops.{module}", fromlist=["x"])).values()
        if type(value).__name__ == "ArrayOp"
    }
    assert set(functions.ARRAYS) <= held
