"""Comparing tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wootz import _core
from wootz._tensor import Tensor

__all__ = ["assert_close"]

# (rtol, atol) by dtype: PyTorch's.
_TOLERANCES = {
    "float64": (1e-7, 1e-7), "float32": (1.3e-6, 1e-5), "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: str | None = None,
) -> None:
    """Raises AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere.

    Takes tensors, arrays, numbers, and sequences and mappings of them. Shapes have to be equal, and dtypes too where
    both are tensors. The default tolerances are the larger of the two dtypes'; integers and bools have none.
    """
    _close(actual, expected, "", (rtol, atol, equal_nan, check_dtype), f"{msg}: " if msg else "")


def _close(actual: Any, expected: Any, where: str, options: tuple[Any, ...], msg: str) -> None:
    if isinstance(expected, Mapping):
        _check(set(actual) == set(expected), f"{msg}keys differ{where}: {sorted(actual)} and {sorted(expected)}")
        for key in expected:
            _close(actual[key], expected[key], f"{where} at {key!r}", options, msg)
        return
    if isinstance(expected, Sequence) and not isinstance(expected, str):
        _check(len(actual) == len(expected), f"{msg}lengths differ{where}: {len(actual)} and {len(expected)}")
        for i, pair in enumerate(zip(actual, expected, strict=True)):
            _close(*pair, f"{where} at {i}", options, msg)
        return
    _compare(actual, expected, where, options, msg)


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _array(value: Any) -> np.ndarray[Any, Any]:
    if not isinstance(value, Tensor):
        return np.asarray(value)
    value = value.detach().cpu()
    array: np.ndarray[Any, Any] = (value.float() if value.dtype is _core.bfloat16 else value).numpy()
    return array


def _kind(value: Any) -> str:
    return value.dtype.name if isinstance(value, Tensor) else np.asarray(value).dtype.name


def _compare(actual: Any, expected: Any, where: str, options: tuple[Any, ...], msg: str) -> None:
    rtol, atol, equal_nan, check_dtype = options
    x, y = _array(actual), _array(expected)
    _check(x.shape == y.shape, f"{msg}shapes differ{where}: {x.shape} and {y.shape}")
    if check_dtype and isinstance(actual, Tensor) and isinstance(expected, Tensor):
        _check(actual.dtype is expected.dtype, f"{msg}dtypes differ{where}: {actual.dtype} and {expected.dtype}")
    if (rtol is None) != (atol is None):
        raise ValueError("give both rtol and atol, or neither")
    if rtol is None:
        known = [_TOLERANCES.get(_kind(v), (0.0, 0.0)) for v in (actual, expected)]
        rtol, atol = max(k[0] for k in known), max(k[1] for k in known)
    a, b = (v.astype(np.complex128 if v.dtype.kind == "c" else np.float64) for v in (x, y))
    good = np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if rtol == atol == 0:
        good = (x == y) | (equal_nan & np.isnan(a) & np.isnan(b))  # 64-bit integers do not fit a float64
    if good.all():
        return
    bad = np.argwhere(~good)
    worst = tuple(int(i) for i in bad[0])
    raise AssertionError(
        f"{msg}{len(bad)} of {x.size} elements differ{where} (rtol={rtol}, atol={atol}); "
        f"first at {worst}: {x[worst]!r}, expected {y[worst]!r}"
    )
