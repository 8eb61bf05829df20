"""Running sums: as exact as sums kept in float64, along any dimension of any memory, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import wootz


@pytest.mark.parametrize("shape", [(1,), (3,), (1003,), (5, 7), (3, 1000), (300, 270), (4, 5, 3), (2, 6, 300)])
def test_float32_is_summed_in_float64(shape: tuple[int, ...]):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for dim in range(len(shape)):
        want = x.astype(np.float64).cumsum(dim).astype(np.float32)
        np.testing.assert_allclose(wootz.tensor(x).cumsum(dim).numpy(), want, rtol=1.2e-7, atol=1e-12)
        back = wootz.tensor(np.ascontiguousarray(x.T)).permute(*reversed(range(len(shape))))
        np.testing.assert_allclose(back.cumsum(dim).numpy(), want, rtol=1.2e-7, atol=1e-12)


def test_a_long_sum_keeps_its_digits():
    x = wootz.full((1_000_000,), 0.1)
    exact = float(np.float32(0.1)) * 1_000_000
    assert abs(x.cumsum(0)[-1].item() - exact) < 0.01
    assert abs(x.reshape(-1, 2).cumsum(0)[-1, 0].item() - exact / 2) < 0.01


def test_float64_is_summed_in_order():
    x = np.random.default_rng(1).standard_normal((40, 30)) * 1e3
    for dim in (0, 1):
        np.testing.assert_array_equal(wootz.tensor(x).cumsum(dim).numpy(), np.cumsum(x, dim))


@pytest.mark.parametrize("name", ["bool", "uint8", "int8", "int16", "int32", "int64"])
def test_integers_are_summed_as_int64_or_wrap_in_the_dtype_asked_for(name: str):
    x = np.random.default_rng(2).integers(0, 2 if name == "bool" else 100, (9, 11)).astype(name)
    for dim in (0, 1):
        got = wootz.tensor(x).cumsum(dim)
        assert got.dtype == wootz.int64
        np.testing.assert_array_equal(got.numpy(), np.cumsum(x, dim, dtype=np.int64))
        np.testing.assert_array_equal(
            wootz.tensor(x).cumsum(dim, dtype=wootz.int8).numpy(), np.cumsum(x.astype(np.int8), dim, dtype=np.int8)
        )


def test_special_values_stay_where_they_are():
    x = [1.0, np.inf, 2.0, -np.inf, 3.0, np.nan, 4.0, 5.0]
    want = [1.0, np.inf, np.inf, *[np.nan] * 5]
    np.testing.assert_array_equal(wootz.tensor(x).cumsum(0).numpy(), want)
    assert wootz.zeros(0, 3).cumsum(0).shape == (0, 3) and wootz.zeros(3, 0).cumsum(0).shape == (3, 0)
    assert wootz.tensor(2.0).cumsum(0).item() == 2.0


def test_complex_and_sixteen_bits():
    random = np.random.default_rng(3)
    z = random.standard_normal((4, 5)) + 1j * random.standard_normal((4, 5))
    for dim in (0, 1, -1):
        np.testing.assert_allclose(wootz.tensor(z).cumsum(dim).numpy(), np.cumsum(z, dim), rtol=1e-14)
    assert wootz.tensor(2 + 1j).cumsum(0).item() == 2 + 1j
    for kind in (wootz.float16, wootz.bfloat16):
        ones = wootz.ones(400, dtype=kind).cumsum(0)
        assert ones.dtype == kind and ones[-1].item() == 400.0


def test_derivatives_are_the_sums_from_the_other_end():
    x = wootz.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (slope,) = wootz.autograd.grad((x.cumsum(0) ** 2).sum(), x, create_graph=True)
    assert slope.tolist() == [20.0, 18.0, 12.0]  # 2 (1 + 3 + 6), 2 (3 + 6), 2 * 6
    (bend,) = wootz.autograd.grad(slope[0], x)
    assert bend.tolist() == [6.0, 4.0, 2.0]
