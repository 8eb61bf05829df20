"""Resizing, and pixels out of channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from wootz.nn.functional.resampling import Rows, resample
from wootz.ops.database import op

__all__ = [
    "channel_shuffle", "interpolate", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle", "upsample",
    "upsample_bilinear", "upsample_nearest",
]  # fmt: skip

_DIMS = {"linear": (3,), "bilinear": (4,), "trilinear": (5,), "bicubic": (4,), "area": (3, 4, 5), "nearest": (3, 4, 5),
         "nearest-exact": (3, 4, 5)}  # fmt: skip


def _rows(size: int, found: list[tuple[int, list[float]]]) -> Rows:
    """Starts and weights, with weights that fall outside added to the element at the border."""
    taps = min(size, max(len(w) for _, w in found))
    starts, weights = [], []
    for first, given in found:
        start = min(max(first, 0), size - taps)
        row = [0.0] * taps
        for t, w in enumerate(given):
            row[min(max(first + t, 0), size - 1) - start] += w
        starts.append(start)
        weights.append(tuple(row))
    return tuple(starts), tuple(weights)


def _cubic(x: float, a: float) -> float:
    """The convolution kernel of Keys (1981)."""
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0


def _nearest(size: int, count: int, scale: float, shift: float) -> Rows:
    """In single precision, as PyTorch rounds: which neighbour is nearest may hang on the last bit."""
    step = np.float32(scale)
    return _rows(size, [(min(int((np.float32(i) + np.float32(shift)) * step), size - 1), [1.0]) for i in range(count)])


def _smoothed(size: int, count: int, scale: float, reach: float, kernel: Callable[[float], float]) -> Rows:
    """Each result from all that its own extent covers, so that shrinking does not alias."""
    widen = max(scale, 1.0)
    found = []
    for i in range(count):
        centre, support = scale * (i + 0.5), reach * widen
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), size)
        row = [kernel((j - centre + 0.5) / widen) for j in range(first, last)]
        found.append((first, [w / sum(row) for w in row]))
    return _rows(size, found)


@lru_cache(maxsize=256)
def _interpolation(mode: str, size: int, count: int, scale: float, corners: bool, antialias: bool) -> Rows:
    cubic = mode == "bicubic"
    if mode.startswith("nearest"):
        return _nearest(size, count, scale, 0.5 if mode == "nearest-exact" else 0.0)
    if corners:
        scale = (size - 1) / (count - 1) if count > 1 else 0.0
    if antialias:
        return (
            _smoothed(size, count, scale, 2, lambda x: _cubic(x, -0.5))
            if cubic
            else _smoothed(size, count, scale, 1, lambda x: max(0.0, 1 - abs(x)))
        )
    found = []
    for i in range(count):
        at = scale * i if corners else scale * (i + 0.5) - 0.5
        at = at if cubic else max(at, 0.0)
        first = math.floor(at)
        t = at - first
        if cubic:
            found.append((first - 1, [_cubic(t + 1 - j, -0.75) for j in range(4)]))
        else:
            found.append((first, [1 - t, t]))
    return _rows(size, found)


def _target(input: Tensor, size: int | Sequence[int] | None, factor: float | Sequence[float] | None,
            recompute: bool) -> tuple[list[int], list[float]]:  # fmt: skip
    """The extents wanted, and the input's extent for one step of the output."""
    n = input.dim() - 2
    if (size is None) == (factor is None):
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        counts = [size] * n if isinstance(size, int) else [int(s) for s in size]
        factors: list[float] = []
    else:
        factors = [float(f) for f in factor] if isinstance(factor, Sequence) else [float(factor)] * n  # type: ignore[arg-type]  # one of them is given
        counts = [math.floor(s * f) for s, f in zip(input.shape[2:], factors, strict=False)]
    if len(counts) != n or (factors and len(factors) != n):
        raise ValueError(f"an input of shape {tuple(input.shape)} takes {n} sizes or scale factors")
    if min(counts) <= 0 or min(input.shape[2:]) <= 0:
        raise ShapeError(f"input and output sizes are greater than 0, got {tuple(input.shape[2:])} and {tuple(counts)}")
    if factors and not recompute:
        return counts, [1 / f for f in factors]
    return counts, [s / c for s, c in zip(input.shape[2:], counts, strict=True)]


@op(
    "N(1, 2, 3), 5", "N(1, 1, 2, 3), scale_factor=2.0, mode='bilinear'",
    "N(1, 1, 3, 3), (4, 5), mode='bicubic', align_corners=True", "N(1, 1, 2, 2, 2), 3, mode='trilinear'",
    tolerance=1e-11, autocast={"cuda": "wide"},
)  # fmt: skip
def interpolate(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest", align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:  # fmt: skip
    """Resizes the spatial dimensions of [N, C, ...] to ``size`` or by ``scale_factor``.

    ``mode`` is nearest, nearest-exact, linear (3-D), bilinear, bicubic (4-D), trilinear (5-D) or area; with
    ``align_corners`` the centres of the corner elements stay where they are. Raises ValueError for a mode that does not
    fit the input.
    """
    if mode not in _DIMS or input.dim() not in _DIMS[mode]:
        known = ", ".join(f"{m} ({'/'.join(f'{d}-D' for d in dims)})" for m, dims in _DIMS.items())
        raise ValueError(f"interpolate has no mode {mode!r} for shape {tuple(input.shape)}; there are {known}")
    smooth = mode not in ("nearest", "nearest-exact", "area")
    if align_corners is not None and not smooth:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError("antialias is for the modes bilinear and bicubic")
    counts, scales = _target(input, size, scale_factor, bool(recompute_scale_factor))
    if mode == "area":
        pools = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)
        return pools[input.dim() - 3](input, counts)
    dims = [(dim, count, scale) for dim, (count, scale) in enumerate(zip(counts, scales, strict=True), 2)]

    def order(item: tuple[int, int, float]) -> tuple[float, int]:
        """What shrinks first, what grows last; of those alike, so that as little as can be is summed along rows."""
        ratio = item[1] / input.shape[item[0]]
        return ratio, -item[0] if ratio > 1 else item[0]

    for dim, count, scale in sorted(dims, key=order):
        input = resample(
            input, dim, _interpolation(mode, input.shape[dim], count, scale, bool(align_corners), antialias)
        )
    return input


def upsample(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest", align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """`interpolate` under its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


@op("N(1, 4, 2, 2), 2")
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[*, C r^2, H, W] to [*, C, H r, W r]: channels become pixels (Shi et al. 2016)."""
    r = upscale_factor
    if r <= 0 or input.dim() < 3 or input.shape[-3] % (r * r):
        raise ShapeError(f"pixel_shuffle expects [*, C {r}^2, H, W], got shape {tuple(input.shape)}")
    *lead, c, h, w = input.shape
    n = len(lead)
    x = input.reshape((*lead, c // (r * r), r, r, h, w))
    return x.permute((*range(n), n, n + 3, n + 1, n + 4, n + 2)).reshape((*lead, c // (r * r), h * r, w * r))


@op("N(1, 1, 4, 2), 2")
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """[*, C, H r, W r] to [*, C r^2, H, W]: the inverse of `pixel_shuffle`."""
    r = downscale_factor
    if r <= 0 or input.dim() < 3 or input.shape[-1] % r or input.shape[-2] % r:
        raise ShapeError(f"pixel_unshuffle expects [*, C, H {r}, W {r}], got shape {tuple(input.shape)}")
    *lead, c, h, w = input.shape
    n = len(lead)
    x = input.reshape((*lead, c, h // r, r, w // r, r))
    return x.permute((*range(n), n, n + 2, n + 4, n + 1, n + 3)).reshape((*lead, c * r * r, h // r, w // r))


def upsample_nearest(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` by the nearest element."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` of images, bilinear with aligned corners."""
    return interpolate(input, size, scale_factor, "bilinear", True)


@op("N(1, 4, 2, 2), 2")
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of [N, C, ...] dealt out anew: one of each of ``groups`` in turn (Zhang et al. 2018)."""
    if input.dim() < 3 or groups <= 0 or input.shape[1] % groups:
        raise ShapeError(f"channel_shuffle expects [N, C, ...] with C divisible by {groups}, got {tuple(input.shape)}")
    n, c, *rest = input.shape
    return input.reshape((n, groups, c // groups, *rest)).transpose(1, 2).reshape(input.shape)


native_channel_shuffle = channel_shuffle
