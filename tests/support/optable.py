"""The op table as the tests see it: rows, their sample inputs, and references in NumPy float64."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from tests.support import windows

import wootz
from wootz import _core

__all__ = ["REFERENCES", "Sample", "rows", "samples", "to_arrays"]

FRAMEWORK = Path(__file__).resolve().parents[2] / "framework"


def generator() -> ModuleType:
    """framework/codegen/bindings.py, imported without leaving byte code beside it."""
    spec = importlib.util.spec_from_file_location("wootz_codegen", FRAMEWORK / "codegen" / "bindings.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def rows() -> list[dict[str, Any]]:
    """Every op of the table."""
    return list(json.loads(generator().generate(FRAMEWORK)["table.json"]))


class _Draw:
    """The names that samples are written in; every tensor drawn that a gradient can flow to is of `dtype`."""

    def __init__(self, seed: int, grad: bool, dtype: str) -> None:
        self._random, self._grad, self._dtype = np.random.default_rng(seed), grad, getattr(wootz, dtype)

    def _drawn(self, array: np.ndarray) -> wootz.Tensor:
        """Without its gradient; complex numbers get an imaginary part, zeros stay zeros."""
        values = np.array(array, dtype=np.float64)
        if not self._dtype.is_complex:
            return wootz.from_numpy(values).to(self._dtype)
        imaginary = self._random.uniform(-0.8, 0.8, values.shape) * (values != 0)
        return wootz.from_numpy(np.asarray(values + 1j * imaginary)).to(self._dtype)

    def _tensor(self, array: np.ndarray) -> wootz.Tensor:
        return self._drawn(array).requires_grad_(self._grad)

    def names(self) -> dict[str, Any]:
        r = self._random

        def normal(*shape: int) -> wootz.Tensor:
            # Away from 0, where many functions have a kink.
            x = r.standard_normal(shape)
            return self._tensor(x + np.copysign(0.1, x))

        def transposed(rows: int, columns: int) -> wootz.Tensor:
            return self._drawn(r.standard_normal((columns, rows))).T.requires_grad_(self._grad)

        def zeros(*shape: int) -> wootz.Tensor:
            x = r.standard_normal(shape)
            x[..., 0] = 0
            return self._tensor(x)

        return {
            "N": normal,
            "T": transposed,
            "Z": zeros,
            "P": lambda *s: self._tensor(r.uniform(0.5, 2.0, s)),
            "U": lambda *s: self._tensor(r.uniform(-0.9, 0.9, s)),
            "C": lambda *s: self._drawn(r.standard_normal(s)),
            "X": lambda *s: wootz.from_numpy(
                np.asarray(r.standard_normal(s) + 1j * r.standard_normal(s))
            ).requires_grad_(self._grad),
            "I": lambda high, *s: wootz.from_numpy(np.asarray(r.integers(0, high, s))),
            "B": lambda *s: wootz.from_numpy(np.asarray(r.integers(0, 2, s), dtype=bool)),
            "wootz": wootz,
        }


class Sample:
    """One call of an op: its positional and keyword arguments."""

    def __init__(self, row: dict[str, Any], text: str, number: int) -> None:
        self.row, self.text, self.number = row, text, number

    def __str__(self) -> str:
        return f"{self.row['name']}({self.text})"

    def arguments(self, grad: bool = False, dtype: str = "float64") -> tuple[list[Any], dict[str, Any]]:
        """Fresh arguments, the same every time."""
        names = _Draw(self.number, grad, dtype).names() | {"call": lambda *a, **k: (list(a), k)}
        return eval(f"call({self.text})", {"__builtins__": {}}, names)  # type: ignore[no-any-return]  # the table is our own

    def op(self) -> Callable[..., Any]:
        return getattr(_core, self.row["name"])  # type: ignore[no-any-return]

    def reference(self) -> Callable[..., Any]:
        """The row's reference, over arrays."""
        return eval(self.row["reference"], REFERENCES)  # type: ignore[no-any-return]  # the table is our own


def samples() -> Iterator[Sample]:
    """Every sample of every row."""
    for row in rows():
        for number, text in enumerate(row["samples"]):
            yield Sample(row, text, number)


def to_arrays(value: Any) -> Any:
    """Arguments with the tensors in them as arrays; 16-bit floats, which NumPy computes otherwise, as float64."""
    if isinstance(value, wootz.Tensor):
        half = value.dtype in (wootz.float16, wootz.bfloat16)
        return (value.double() if half else value).detach().numpy()
    if isinstance(value, list):
        return [to_arrays(x) for x in value]
    return {k: to_arrays(v) for k, v in value.items()} if isinstance(value, dict) else value


def _reduce(f: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(x: np.ndarray, dim: Any = None, keepdim: bool = False, **rest: Any) -> Any:
        keepdim = rest.pop("keepdim", keepdim)
        return f(x, axis=dim, keepdims=keepdim, **rest)

    return reduced


def _as_strided(x: np.ndarray, size: Any, stride: Any, offset: int = 0) -> np.ndarray:
    return np.array(
        [x.ravel()[offset + sum(i * s for i, s in zip(at, stride, strict=True))] for at in np.ndindex(*size)]
    ).reshape(size)


def _as_strided_scatter(x: np.ndarray, src: np.ndarray, size: Any, stride: Any, offset: int = 0) -> np.ndarray:
    flat = x.copy().ravel()
    for at in np.ndindex(*size):
        flat[offset + sum(i * s for i, s in zip(at, stride, strict=True))] = src[at]
    return flat.reshape(x.shape)


def _squeeze(x: np.ndarray, dim: int | None = None) -> np.ndarray:
    return np.squeeze(x) if dim is None else np.squeeze(x, dim) if x.shape[dim] == 1 else x


def _flatten(x: np.ndarray, start: int = 0, end: int = -1) -> np.ndarray:
    if x.ndim == 0:
        return x.reshape(1)
    start, end = start % x.ndim, end % x.ndim
    return x.reshape((*x.shape[:start], -1, *x.shape[end + 1 :]))


def _unfold(x: np.ndarray, dim: int, size: int, step: int) -> np.ndarray:
    starts = range(0, x.shape[dim] - size + 1, step)
    return np.stack([np.moveaxis(np.take(x, range(s, s + size), dim), dim, -1) for s in starts], dim)


def _index_add(x: np.ndarray, dim: int, index: np.ndarray, source: np.ndarray) -> np.ndarray:
    out = x.copy()
    np.add.at(out, (slice(None),) * dim + (index,), source)
    return out


def _scatter_add(x: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    out = x.copy()
    for at in np.ndindex(*index.shape):
        out[(*at[:dim], index[at], *at[dim + 1 :])] += src[at]
    return out


def _cross_entropy_rows(x: np.ndarray, target: np.ndarray, ignore: int = -100, smoothing: float = 0.0) -> np.ndarray:
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    out = np.zeros(len(x))
    for i, t in enumerate(target):
        if t != ignore:
            out[i] = -(1 - smoothing) * log_p[i, t] - smoothing * log_p[i].mean()
    return out


def _sum_to(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    x = x.sum(tuple(range(x.ndim - len(size))))
    return x.sum(tuple(d for d, n in enumerate(size) if n == 1 and x.shape[d] != 1), keepdims=True)


def _philox(key: int, draw: int, block: int) -> list[int]:
    """Four words of Philox 4x32-10 (Salmon et al. 2011)."""
    low = 2**32 - 1
    k, c = [key & low, key >> 32], [block & low, block >> 32, draw & low, draw >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & low, p >> 32 ^ c[3] ^ k[1], p & low]
        k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
    return c


def _dropout(x: np.ndarray, p: float, seed: int, draw: int) -> np.ndarray:
    """Element i is decided by 53 bits of half i % 2 of block i // 2."""
    out = np.zeros(x.size)
    for i, value in enumerate(x.ravel()):
        words = _philox(seed % 2**64, draw % 2**64, i // 2)
        bits = (words[2 * (i % 2) + 1] << 32 | words[2 * (i % 2)]) >> 11
        out[i] = value / (1 - p) if bits / 2**53 < 1 - p else 0
    return out.reshape(x.shape)


REFERENCES: dict[str, Any] = {
    **windows.REFERENCES,
    "np": np, "math": math, "erf": np.vectorize(math.erf, otypes=[float]), "reduce": _reduce, "sum_to": _sum_to,
    "as_strided": _as_strided,
    "as_strided_scatter": _as_strided_scatter, "squeeze": _squeeze, "flatten": _flatten, "unfold": _unfold,
    "index_add": _index_add, "scatter_add": _scatter_add, "dropout": _dropout,
    "cross_entropy_rows": _cross_entropy_rows,
}  # fmt: skip
