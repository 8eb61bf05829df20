"""Sampling at any places: grids of coordinates, and what an image is there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.ops.database import op

__all__ = ["affine_grid", "grid_sample"]

_MODES = ("bilinear", "nearest", "bicubic")
_PADDING = ("zeros", "border", "reflection")


@op("N(1, 2, 3), (1, 1, 2, 3), False", "N(1, 3, 4), (1, 1, 2, 2, 2), True")
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Coordinates for `grid_sample` [N, *spatial, n] out of affine maps [N, n, n + 1]; ``size`` is (N, C, *spatial).

    Coordinates are from -1 to 1: between the centres of the outermost elements with ``align_corners``, else between
    their outer edges.
    """
    n = len(size) - 2
    if n not in (2, 3) or tuple(theta.shape) != (size[0], n, n + 1):
        raise ShapeError(f"size (N, C, H, W) takes theta [N, 2, 3], (N, C, D, H, W) takes [N, 3, 4]; got {tuple(size)} "
                         f"and {tuple(theta.shape)}")  # fmt: skip
    axes = []
    for i, extent in enumerate(size[2:]):
        steps = wootz.arange(extent, dtype=theta.dtype, device=theta.device)
        line = steps * (2 / max(extent - 1, 1)) - 1 if align_corners else (steps * 2 + 1) * (1 / extent) - 1
        line = line * 0 if align_corners and extent == 1 else line
        axes.append(line.reshape((*(1 if j != i else extent for j in range(n)),)).expand(tuple(size[2:])))
    base = wootz.stack([*reversed(axes), wootz.ones_like(axes[0])], -1).reshape((1, prod(size[2:]), n + 1))
    return (base @ theta.transpose(1, 2)).reshape((size[0], *size[2:], n))


def _reflected(x: Tensor, low: float, high: float) -> Tensor:
    """Coordinates mirrored at both ends, as often as it takes."""
    span = high - low
    if span == 0:
        return x * 0
    x = (x - low).abs()
    turns = (x / span).floor().detach()
    rest = x - turns * span
    return wootz.where(turns % 2 == 0, rest, span - rest) + low


def _inside(x: Tensor, extent: int, padding: str, corners: bool) -> Tensor:
    """Coordinates brought into the image, but for padding by zeros."""
    if padding == "reflection":
        x = _reflected(x, 0.0, extent - 1.0) if corners else _reflected(x, -0.5, extent - 0.5)
    return x if padding == "zeros" else x.clamp(0, extent - 1)


def _cubic(t: Tensor) -> list[Tensor]:
    """The weights of four neighbours at distance 1 + t, t, 1 - t and 2 - t (Keys 1981, a = -0.75)."""
    a = -0.75

    def far(x: Tensor) -> Tensor:
        return ((x - 5) * x + 8) * x * a - 4 * a

    def near(x: Tensor) -> Tensor:
        return (x * (a + 2) - (a + 3)) * x * x + 1

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _taps(x: Tensor, extent: int, mode: str, padding: str, corners: bool) -> list[tuple[Tensor, Tensor]]:
    """Along one dimension: neighbours (as float coordinates) and their weights."""
    x = (x + 1) * ((extent - 1) / 2) if corners else ((x + 1) * extent - 1) / 2
    if mode == "bicubic":
        first = x.floor().detach()
        weights = _cubic(x - first)
        return [(_inside(first + (i - 1), extent, padding, corners), w) for i, w in enumerate(weights)]
    x = _inside(x, extent, padding, corners)
    if mode == "nearest":
        return [(x.round().detach(), wootz.ones_like(x))]
    first = x.floor().detach()
    return [(first, 1 - (x - first)), (first + 1, x - first)]


@op(
    "N(1, 2, 3, 4), U(1, 2, 2, 2), align_corners=False", "N(1, 1, 3, 3), U(1, 2, 2, 2), 'bicubic', 'border', True",
    tolerance=1e-11, autocast={"cpu": "wide", "cuda": "widest"},
)  # fmt: skip
def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """The image [N, C, *spatial] at the coordinates of ``grid`` [N, *out, n], x first, from -1 to 1: [N, C, *out].

    ``mode`` is bilinear (trilinear for volumes), nearest or (images only) bicubic; outside there are zeros, the border
    or the image's reflection, by ``padding_mode``. Differentiable in both. Raises ShapeError and ValueError.
    """
    n = input.dim() - 2
    if n not in (2, 3) or grid.dim() != n + 2 or grid.shape[-1] != n or grid.shape[0] != input.shape[0]:
        raise ShapeError(f"grid_sample takes [N, C, H, W] and [N, H, W, 2], or as much with D; got "
                         f"{tuple(input.shape)} and {tuple(grid.shape)}")  # fmt: skip
    if mode not in _MODES or (mode == "bicubic" and n == 3):
        raise ValueError(f"mode is one of {', '.join(_MODES)} (bicubic for images only), not {mode!r}")
    if padding_mode not in _PADDING:
        raise ValueError(f"padding_mode is one of {', '.join(_PADDING)}, not {padding_mode!r}")
    extents = input.shape[2:]
    if min(extents) == 0:
        raise ShapeError(f"grid_sample needs elements to sample, got an input of shape {tuple(input.shape)}")
    each = [
        _taps(grid[..., n - 1 - i], extent, mode, padding_mode, bool(align_corners)) for i, extent in enumerate(extents)
    ]
    planes = input.reshape((*input.shape[:2], prod(extents)))
    out: Tensor | None = None
    for corner in product(*each):
        part = _corner(planes, extents, [at for at, _ in corner], [w for _, w in corner])
        out = part if out is None else out + part
    assert out is not None  # n is 2 or 3
    return out


def _corner(planes: Tensor, extents: Sequence[int], places: list[Tensor], weights: list[Tensor]) -> Tensor:
    """One neighbour of each point times its weight, nothing where it is outside."""
    index, weight = wootz.zeros_like(places[0]).to(wootz.int64), wootz.ones_like(weights[0])
    for extent, at, w in zip(extents, places, weights, strict=True):
        known = (at >= 0) & (at <= extent - 1)
        index = index * extent + wootz.where(known, at, 0.0).to(wootz.int64)
        weight = weight * wootz.where(known, w, 0.0)
    shape = (*planes.shape[:2], index[0].numel())
    flat = index.reshape((shape[0], 1, shape[2])).expand(shape)
    values = _core.gather_windows(planes, flat.contiguous(), 1).reshape((*shape[:2], *index.shape[1:]))
    return values * weight.unsqueeze(1)
