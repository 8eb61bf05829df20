"""Fractional max pooling: windows at random places that step by less than their size (Graham 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.functional.pooling import Maxima
from wootz.nn.functional.sizes import Ints, each
from wootz.ops.database import op

__all__ = [
    "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]  # fmt: skip

Ratio = float | Sequence[float]


def _sizes(n: int, input: Tensor, size: Ints | None, ratio: Ratio | None) -> list[int]:
    if (size is None) == (ratio is None):
        raise ValueError(f"fractional_max_pool{n}d takes an output_size or an output_ratio: one of them")
    if size is not None:
        return each(size, n, "output_size")
    shares = [float(r) for r in ratio] if isinstance(ratio, Sequence) else [ratio] * n
    if len(shares) != n or not all(0 < r < 1 for r in shares if r is not None):
        raise ValueError(f"output_ratio is one number between 0 and 1, or {n} of them, not {ratio!r}")
    return [int(extent * r) for extent, r in zip(input.shape[-n:], shares, strict=True) if r is not None]


def _starts(sample: Tensor, extent: int, kernel: int, count: int) -> Tensor:
    """Where the windows of each plane begin, [planes, count]: steps that differ by at most one, the last at the end."""
    last = wootz.full((sample.shape[0], 1), extent - kernel, dtype=wootz.int64, device=sample.device)
    if count == 1:
        return last
    step = (extent - kernel) / (count - 1)
    places = wootz.arange(count - 1, dtype=sample.dtype, device=sample.device)
    first = sample.unsqueeze(1)
    steps = ((places + first) * step).to(wootz.int64) - (first * step).to(wootz.int64)
    return wootz.cat([steps, last], 1)


def _pool(
    n: int, input: Tensor, kernel_size: Ints, size: Ints | None, ratio: Ratio | None, samples: Tensor | None
) -> tuple[Tensor, Tensor]:
    if input.dim() not in (n + 1, n + 2):
        raise ShapeError(f"fractional_max_pool{n}d expects {n + 1} or {n + 2} dimensions, got {tuple(input.shape)}")
    kernel, extents = each(kernel_size, n, "kernel_size"), list(input.shape[-n:])
    counts = _sizes(n, input, size, ratio)
    if any(c < 1 or k < 1 or c + k - 1 > e for c, k, e in zip(counts, kernel, extents, strict=True)):
        raise ShapeError(f"{counts} windows of {kernel} do not fit into {extents}")
    planes = prod(input.shape[:-n])
    wanted = (input.shape[0] if input.dim() == n + 2 else 1, input.shape[-n - 1], n)
    if samples is None:
        samples = wootz.rand(wanted, dtype=input.dtype, device=input.device)
    if tuple(samples.shape) != wanted:
        raise ShapeError(f"_random_samples has shape {wanted}, not {tuple(samples.shape)}")
    rows = samples.reshape((planes, n))
    order = range(n) if n == 3 else reversed(range(n))  # PyTorch draws an image's width first
    index = wootz.zeros((planes, *[1] * 2 * n), dtype=wootz.int64, device=input.device)
    for d, column in zip(range(n), order, strict=True):
        starts = _starts(rows[:, column], extents[d], kernel[d], counts[d])
        spots = starts.unsqueeze(2) + wootz.arange(kernel[d], device=input.device)
        shape = [planes, *[1] * 2 * n]
        shape[1 + d], shape[1 + n + d] = counts[d], kernel[d]
        index = index * extents[d] + spots.reshape(shape)
    index = index.reshape((planes, prod(counts), prod(kernel)))
    flat = input.reshape((planes, prod(extents)))
    seen = flat.detach().gather(1, index.reshape((planes, -1))).reshape(index.shape)
    at = index.gather(2, seen.argmax(2, True)).squeeze(2)
    out = (*input.shape[:-n], *counts)
    return flat.gather(1, at).reshape(out), at.reshape(out)


@op("N(1, 2, 5, 6), 2, (3, 4), _random_samples=C(1, 2, 2).sigmoid()",
    "N(1, 5, 5), (2, 3), output_ratio=0.5, _random_samples=C(1, 1, 2).sigmoid()",
    autocast={"cpu": "wide"})  # fmt: skip
def fractional_max_pool2d_with_indices(
    input: Tensor, kernel_size: Ints, output_size: Ints | None = None, output_ratio: Ratio | None = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The largest of each window of [N, C, H, W] (or [C, H, W]), and where it is in its plane.

    There are ``output_size`` windows, or ``output_ratio`` of the extents; their places are drawn for each plane, from
    ``_random_samples`` [N, C, 2] in [0, 1) where given. Raises ShapeError for windows that do not fit.
    """
    return _pool(2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool2d(
    input: Tensor, kernel_size: Ints, output_size: Ints | None = None, output_ratio: Ratio | None = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> Maxima:  # fmt: skip
    """`fractional_max_pool2d_with_indices`, without the indices unless they are asked for."""
    found = fractional_max_pool2d_with_indices(
        input, kernel_size, output_size, output_ratio, _random_samples=_random_samples
    )
    return found if return_indices else found[0]


@op("N(1, 2, 3, 4, 4), 2, (1, 2, 2), _random_samples=C(1, 2, 3).sigmoid()", autocast={"cpu": "wide"})
def fractional_max_pool3d_with_indices(
    input: Tensor, kernel_size: Ints, output_size: Ints | None = None, output_ratio: Ratio | None = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`fractional_max_pool2d_with_indices` for [N, C, D, H, W] (or [C, D, H, W]); samples [N, C, 3]."""
    return _pool(3, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d(
    input: Tensor, kernel_size: Ints, output_size: Ints | None = None, output_ratio: Ratio | None = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> Maxima:  # fmt: skip
    """`fractional_max_pool3d_with_indices`, without the indices unless they are asked for."""
    found = fractional_max_pool3d_with_indices(
        input, kernel_size, output_size, output_ratio, _random_samples=_random_samples
    )
    return found if return_indices else found[0]
