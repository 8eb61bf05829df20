"""Convolution, pooling and normalisation written out element by element: what the kernels are held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["REFERENCES"]

Ints = Sequence[int]


def _places(
    size: Ints, weight: tuple[int, ...], groups: int, stride: Ints, padding: Ints, dilation: Ints, out: Ints
) -> Iterator[tuple[int, int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """(output channel, input channel, its number in the weight, output position, kernel place, input position)."""
    outputs, inputs, *kernel = weight
    for o, c in np.ndindex(outputs, inputs):
        for p in np.ndindex(*out):
            for k in np.ndindex(*kernel):
                at = tuple(i * s + j * d - e for i, s, j, d, e in zip(p, stride, k, dilation, padding, strict=True))
                if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                    yield o, o // (outputs // groups) * inputs + c, c, p, k, at


def _out(size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> list[int]:
    geometry = zip(size, kernel, stride, padding, dilation, strict=True)
    return [(n + 2 * e - d * (k - 1) - 1) // s + 1 for n, k, s, e, d in geometry]


def _convolve(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Ints, padding: Ints, dilation: Ints, groups: int = 1
) -> np.ndarray:
    out = _out(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = np.zeros((x.shape[0], w.shape[0], *out))
    for o, c, i, p, k, at in _places(x.shape[2:], w.shape, groups, stride, padding, dilation, out):
        y[(slice(None), o, *p)] += x[(slice(None), c, *at)] * w[(o, i, *k)]
    return y if bias is None else y + bias.reshape((-1, *[1] * len(out)))


def _convolve_input(
    y: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int = 1
) -> np.ndarray:
    x = np.zeros((y.shape[0], w.shape[1] * groups, *size))
    for o, c, i, p, k, at in _places(size, w.shape, groups, stride, padding, dilation, y.shape[2:]):
        x[(slice(None), c, *at)] += y[(slice(None), o, *p)] * w[(o, i, *k)]
    return x


def _convolve_weight(
    x: np.ndarray, y: np.ndarray, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int = 1
) -> np.ndarray:
    w = np.zeros((y.shape[1], x.shape[1] // groups, *kernel))
    for o, c, i, p, k, at in _places(x.shape[2:], w.shape, groups, stride, padding, dilation, y.shape[2:]):
        w[(o, i, *k)] += np.sum(x[(slice(None), c, *at)] * y[(slice(None), o, *p)])
    return w


def _normalise(
    x: np.ndarray, weight: Any, bias: Any, mean: Any, var: Any, dims: tuple[int, ...], eps: float, centred: bool = True
) -> np.ndarray:
    z = x - x.mean(dims, keepdims=True) if centred else x
    z = z / np.sqrt((z * z).mean(dims, keepdims=True) + eps)
    return z * (1 if weight is None else weight) + (0 if bias is None else bias)


def _scatter_windows(values: np.ndarray, indices: np.ndarray, size: Ints) -> np.ndarray:
    lead = values.shape[: values.ndim - len(size)]
    out = np.zeros((*lead, int(np.prod(size))))
    for at in np.ndindex(*lead):
        np.add.at(out[at], indices[at].ravel(), values[at].ravel())
    return out.reshape((*lead, *size))


def _gather_windows(x: np.ndarray, indices: np.ndarray, dims: int) -> np.ndarray:
    out = np.zeros(indices.shape)
    for at in np.ndindex(*x.shape[: x.ndim - dims]):
        out[at] = x[at].ravel()[indices[at]]
    return out


def _matrix(start: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    m = np.zeros((len(start), size))
    for i, row in enumerate(weight):
        m[i, start[i] : start[i] + len(row)] = row
    return m


def _resample(x: np.ndarray, dim: int, start: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.tensordot(_matrix(start, weight, x.shape[dim]), x, (1, dim)), 0, dim)


def _resample_back(y: np.ndarray, dim: int, start: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    return np.moveaxis(np.tensordot(_matrix(start, weight, size), y, (0, dim)), 0, dim)


REFERENCES: dict[str, Any] = {
    "convolve": _convolve, "convolve_input": _convolve_input, "convolve_weight": _convolve_weight,
    "normalise": _normalise, "scatter_windows": _scatter_windows, "gather_windows": _gather_windows,
    "resample": _resample, "resample_back": _resample_back,
}  # fmt: skip
