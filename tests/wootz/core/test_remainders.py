"""fmod and hypot on vectors: exact remainders, and roots of squares that neither overflow nor vanish."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import wootz

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.1, 3.0, -7.5, 1e30, -1e30, 1e-40, -1e-45, math.inf, -math.inf, math.nan]


def same(got: wootz.Tensor, want: np.ndarray) -> None:
    """Equal to the bit, NaN apart."""
    found = got.numpy()
    assert found.dtype == want.dtype
    np.testing.assert_array_equal(found, want)
    number = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(want[number]))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_fmod_is_exact(kind: type):
    random = np.random.default_rng(0)
    for reach in (1, 10, 20, 23, 30, 60, 120):  # quotients up to 2**reach
        y = random.standard_normal(2003).astype(kind)
        x = (random.standard_normal(2003) * np.exp2(random.random(2003) * reach)).astype(kind)
        whole = (np.round(random.random(2003) * 2.0 ** min(reach, 20)) * y.astype(np.float64)).astype(kind)
        near = np.nextafter(whole, random.choice([-np.inf, np.inf], 2003).astype(kind))  # just off a multiple
        for a in (x, whole, near):
            want = np.array([math.fmod(p, q) for p, q in zip(a.tolist(), y.tolist(), strict=True)], kind)
            same(wootz.fmod(wootz.tensor(a), wootz.tensor(y)), want)
    x, y = (np.array(v, kind) for v in zip(*itertools.product(SPECIAL, SPECIAL), strict=True))
    with np.errstate(all="ignore"):
        same(wootz.fmod(wootz.tensor(x), wootz.tensor(y)), np.fmod(x, y))


def test_fmod_of_integers_has_the_sign_of_the_first():
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        low = max(-128, np.iinfo(name).min)
        x, y = np.arange(low, 127).astype(name), np.resize([3, 7, 100, 1 if low == 0 else -1], 127 - low).astype(name)
        same(wootz.fmod(wootz.tensor(x), wootz.tensor(y)), np.fmod(x, y))
    for zero in (0, wootz.tensor([1, 0])):
        with pytest.raises(ZeroDivisionError):
            wootz.fmod(wootz.tensor([4, 5]), zero)
    assert wootz.fmod(wootz.tensor([5, -5]), 2.5).tolist() == [0.0, -0.0]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_hypot_keeps_its_digits_at_every_size(kind: type):
    random = np.random.default_rng(1)
    limits = np.finfo(kind)
    for size in (limits.smallest_subnormal * 1000, limits.tiny, 1e-20, 1.0, 1e20, limits.max / 4):
        for ratio in (1.0, 1e-3, 1e-12):
            x = (random.standard_normal(1003).clip(-2, 2) * float(size)).astype(kind)
            y = (random.standard_normal(1003).clip(-2, 2) * float(size) * ratio).astype(kind)
            want = np.array([math.hypot(p, q) for p, q in zip(x.tolist(), y.tolist(), strict=True)], kind)
            got = wootz.hypot(wootz.tensor(x), wootz.tensor(y)).numpy()
            np.testing.assert_allclose(got, want, rtol=2 * limits.eps, atol=float(limits.smallest_subnormal))
    x, y = (np.array(v, kind) for v in zip(*itertools.product(SPECIAL, SPECIAL), strict=True))
    np.testing.assert_allclose(
        wootz.hypot(wootz.tensor(x), wootz.tensor(y)).numpy(), np.hypot(x, y), rtol=2 * limits.eps
    )
