"""Elementary and special functions against references of more digits, in units of the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wootz

RANDOM = np.random.default_rng(0)
WIDE = np.concatenate(
    [RANDOM.uniform(-20, 20, 2000), RANDOM.uniform(-0.1, 0.1, 2000), RANDOM.uniform(-80, 80, 1000),
     RANDOM.choice([-1, 1], 500) * 10.0 ** RANDOM.uniform(-30, 1, 500)]
)  # fmt: skip
POSITIVE = np.concatenate(
    [np.abs(WIDE) + 1e-6, 10.0 ** RANDOM.uniform(-36, 36, 1000), 1 + RANDOM.uniform(-0.3, 0.3, 1000)]
)
UNIT = np.concatenate(
    [RANDOM.uniform(-1, 1, 2000), 1 - 10.0 ** RANDOM.uniform(-7, -1, 500), 10.0 ** RANDOM.uniform(-9, 0, 500)]
)
GAMMA = np.concatenate([RANDOM.uniform(0.1, 12, 1500), RANDOM.uniform(-9, 0, 500), 10.0 ** RANDOM.uniform(1, 30, 300)])

# name: (arguments, reference in wider numbers than given)
ELEMENTARY: dict[str, tuple[np.ndarray, Callable[..., Any]]] = {
    "exp": (WIDE, np.exp), "tanh": (WIDE, np.tanh), "sin": (WIDE, np.sin), "cos": (WIDE, np.cos), "tan": (WIDE, np.tan),
    "expm1": (WIDE, np.expm1), "sinh": (WIDE, np.sinh), "cosh": (WIDE, np.cosh), "atan": (WIDE, np.arctan),
    "sigmoid": (WIDE, lambda v: 1 / (1 + np.exp(-v))), "log": (POSITIVE, np.log), "log2": (POSITIVE, np.log2),
    "log10": (POSITIVE, np.log10), "log1p": (np.concatenate([POSITIVE, UNIT[UNIT > -1]]), np.log1p),
    "asin": (UNIT, np.arcsin), "acos": (UNIT, np.arccos),
}  # fmt: skip
SPECIAL: dict[str, tuple[np.ndarray, Callable[..., Any]]] = {
    "erf": (WIDE, np.vectorize(math.erf)),
    "erfc": (WIDE, np.vectorize(math.erfc)),
    "lgamma": (GAMMA, np.vectorize(math.lgamma)),
}


def units(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The error in units of the last place of the numbers found; below the normal range, of the smallest normal one."""
    kind = found.dtype.type
    scale = np.maximum(np.abs(expected).astype(kind), np.finfo(kind).tiny)
    both = np.isinf(found) & (np.isinf(expected) | (np.abs(expected) > np.finfo(kind).max))
    with np.errstate(invalid="ignore"):
        return np.where(both, 0, np.abs(found - expected) / np.spacing(scale))


@pytest.mark.parametrize("kind", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions_stay_within_a_few_units_in_the_last_place(name: str, kind: Any) -> None:
    arguments, reference = ELEMENTARY[name]
    given = arguments.astype(kind)
    with np.errstate(all="ignore"):
        expected = reference(given.astype(np.longdouble))
    found = getattr(wootz, name)(wootz.from_numpy(given.copy())).numpy()
    error = units(found, expected)
    if name in ("sin", "cos", "tan"):  # next to a zero, an error of the argument's reduction counts
        error = np.where(np.abs(expected) < 1e-3, 0, error)
    assert error.max() <= 4, (error.max(), given[error.argmax()])


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_of_float32_are_float64s_rounded(name: str) -> None:
    arguments, reference = SPECIAL[name]
    given = arguments.astype(np.float32)
    expected = reference(given.astype(np.float64))
    error = units(getattr(wootz, name)(wootz.from_numpy(given.copy())).numpy(), expected)
    assert error.max() <= (3 if name == "erf" else 1), (error.max(), given[error.argmax()])


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_of_float64(name: str) -> None:
    arguments, reference = SPECIAL[name]
    expected = reference(arguments)
    found = getattr(wootz, name)(wootz.from_numpy(arguments.copy())).numpy()
    np.testing.assert_allclose(found, expected, rtol=3e-15, atol=3e-14 if name == "lgamma" else 1e-300)


@pytest.mark.parametrize("kind", [np.float32, np.float64], ids=["float32", "float64"])
def test_erfinv_is_the_inverse_of_erf(kind: Any) -> None:
    given = UNIT.astype(kind)
    found = wootz.erfinv(wootz.from_numpy(given.copy())).numpy()
    inverse = found.astype(np.float64)
    # In float32 the argument that belongs to the number found is off by at most its rounding.
    slope = 2 / math.sqrt(math.pi) * np.exp(-(inverse**2))
    off = np.abs(np.vectorize(math.erf)(inverse) - given.astype(np.float64)) / slope
    assert (off <= 8 * np.spacing(np.abs(found)) + 4 * np.finfo(np.float64).eps / slope).all()
    ends = wootz.erfinv(wootz.tensor([1.0, -1.0, 1.5, -0.0])).tolist()
    assert ends[:2] == [math.inf, -math.inf] and math.isnan(ends[2]) and math.copysign(1, ends[3]) == -1


def test_digamma_and_its_derivatives_step_as_they_must() -> None:
    x = wootz.from_numpy(np.concatenate([RANDOM.uniform(0.05, 30, 500), RANDOM.uniform(-6, 0, 300)]))
    np.testing.assert_allclose((wootz.digamma(x + 1) - wootz.digamma(x)).numpy(), 1 / x.numpy(), rtol=1e-9, atol=1e-12)
    y = wootz.from_numpy(RANDOM.uniform(0.3, 30, 300))
    for n, factor in ((1, -1), (2, 2), (3, -6)):
        step = (wootz.polygamma(n, y + 1) - wootz.polygamma(n, y)).numpy()
        np.testing.assert_allclose(step, factor * y.numpy() ** -(n + 1.0), rtol=1e-6, atol=1e-9)
    assert wootz.digamma(wootz.tensor(1.0)).item() == pytest.approx(-0.5772156649, rel=1e-7)
    edges = wootz.digamma(wootz.tensor([0.0, -0.0, -1.0, math.inf])).tolist()
    assert edges[:2] == [-math.inf, math.inf] and math.isnan(edges[2]) and edges[3] == math.inf


@pytest.mark.parametrize("kind", [np.float32, np.float64], ids=["float32", "float64"])
def test_atan2_in_every_quadrant_and_on_every_edge(kind: Any) -> None:
    edge = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, 1e30], kind)
    y, x = (np.concatenate([a.ravel(), RANDOM.standard_normal(2000).astype(kind)]) for a in np.meshgrid(edge, edge))
    expected = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
    found = wootz.atan2(wootz.from_numpy(y.copy()), wootz.from_numpy(x.copy())).numpy()
    known = ~np.isnan(expected)
    assert np.array_equal(np.isnan(found), ~known)
    assert units(found[known], expected[known]).max() <= 4
    assert np.array_equal(np.signbit(found[known]), np.signbit(expected[known]))
