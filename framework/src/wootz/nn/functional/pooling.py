"""Pooling: the largest, the average or a norm of windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.functional.resampling import Rows, resample
from wootz.nn.functional.sizes import Ints, each
from wootz.ops.database import op

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices",
    "max_pool3d", "max_pool3d_with_indices", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip

Sizes = int | Sequence[int | None] | None
Maxima = Tensor | tuple[Tensor, Tensor]


def _check(input: Tensor, n: int, name: str) -> None:
    if input.dim() not in (n + 1, n + 2):
        raise ShapeError(f"{name} expects an input of {n + 1} or {n + 2} dimensions, got shape {tuple(input.shape)}")


def _max_pool(
    n: int, input: Tensor, kernel_size: Ints, stride: Ints | None, padding: Ints, dilation: Ints, ceil_mode: bool,
    return_indices: bool,
) -> Maxima:  # fmt: skip
    _check(input, n, f"max_pool{n}d")
    kernel = each(kernel_size, n, "kernel_size")
    strides = kernel if stride is None or stride == [] else each(stride, n, "stride")
    found = _core.max_pool(
        input, kernel, strides, each(padding, n, "padding"), each(dilation, n, "dilation"), ceil_mode
    )
    return (found[0], found[1]) if return_indices else found[0]


@op("N(2, 2, 6), 2", "N(2, 2, 6), 3, 2, 1, return_indices=True")
def max_pool1d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Maxima:  # fmt: skip
    """The largest of each window of [N, C, L] (or [C, L]); with ``return_indices`` also where it is in its row."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@op("N(1, 2, 4, 5), 2", "N(1, 2, 4, 5), 3, 2, 1, return_indices=True")
def max_pool2d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Maxima:  # fmt: skip
    """The largest of each window of [N, C, H, W] (or [C, H, W]); with ``return_indices`` also where in its plane."""
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@op("N(1, 1, 3, 4, 4), 2", "N(1, 1, 3, 4, 4), 3, 2, 1, return_indices=True", autocast={"cpu": "wide"})
def max_pool3d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Maxima:  # fmt: skip
    """The largest of each window of [N, C, D, H, W] (or [C, D, H, W]); with ``return_indices`` also where."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _outputs(input: Tensor, output_size: Sizes, n: int) -> list[int]:
    """``output_size`` with None as the input's own extent."""
    given = output_size if isinstance(output_size, Sequence) else [output_size] * n
    if len(given) != n:
        raise ValueError(f"output_size is one number or {n} of them, not {output_size!r}")
    return [input.shape[i - n] if size is None else int(size) for i, size in enumerate(given)]


def _adaptive_max_pool(n: int, input: Tensor, output_size: Sizes, return_indices: bool) -> Maxima:
    _check(input, n, f"adaptive_max_pool{n}d")
    found = _core.adaptive_max_pool(input, _outputs(input, output_size, n))
    return (found[0], found[1]) if return_indices else found[0]


@op("N(2, 2, 6), 2", "N(2, 2, 6), 3, return_indices=True")
def adaptive_max_pool1d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Maxima:
    """`max_pool1d` over ``output_size`` windows that share the input out evenly."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


@op("N(1, 2, 4, 5), 2", "N(1, 2, 4, 5), 3, return_indices=True")
def adaptive_max_pool2d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Maxima:
    """`max_pool2d` over ``output_size`` windows that share the input out evenly."""
    return _adaptive_max_pool(2, input, output_size, return_indices)


@op("N(1, 1, 3, 4, 4), 2", "N(1, 1, 3, 4, 4), 3, return_indices=True", autocast={"cpu": "wide"})
def adaptive_max_pool3d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Maxima:
    """`max_pool3d` over ``output_size`` windows that share the input out evenly."""
    return _adaptive_max_pool(3, input, output_size, return_indices)


def _with_indices(
    n: int, input: Tensor, kernel_size: Ints, stride: Ints | None, padding: Ints, dilation: Ints, ceil_mode: bool
) -> tuple[Tensor, Tensor]:
    found = _max_pool(n, input, kernel_size, stride, padding, dilation, ceil_mode, True)
    return found[0], found[1]


def max_pool1d_with_indices(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`max_pool1d` with ``return_indices``, whatever that says."""
    return _with_indices(1, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d_with_indices(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`max_pool2d` with ``return_indices``, whatever that says."""
    return _with_indices(2, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`max_pool3d` with ``return_indices``, whatever that says."""
    return _with_indices(3, input, kernel_size, stride, padding, dilation, ceil_mode)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Sizes, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool1d` with ``return_indices``, whatever that says."""
    found = _adaptive_max_pool(1, input, output_size, True)
    return found[0], found[1]


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Sizes, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` with ``return_indices``, whatever that says."""
    found = _adaptive_max_pool(2, input, output_size, True)
    return found[0], found[1]


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Sizes, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool3d` with ``return_indices``, whatever that says."""
    found = _adaptive_max_pool(3, input, output_size, True)
    return found[0], found[1]


def _row(size: int, taps: int, first: int, last: int, weight: float) -> tuple[int, tuple[float, ...]]:
    """Equal weights on [first, last), seen as ``taps`` elements that lie within the input."""
    start = min(first, size - taps)
    return start, tuple(weight if first <= start + t < last else 0.0 for t in range(taps))


@lru_cache(maxsize=256)
def _average_windows(size: int, kernel: int, stride: int, padding: int, ceil: bool, padded: bool, sums: bool) -> Rows:
    room = size + 2 * padding - kernel
    count = (room + (stride - 1 if ceil else 0)) // stride + 1
    if ceil and (count - 1) * stride >= size + padding:
        count -= 1
    if kernel <= 0 or stride <= 0 or room < 0 or not 0 <= 2 * padding <= kernel:
        raise ValueError(f"avg_pool: kernel {kernel}, stride {stride} and padding {padding} (at most half the kernel) "
                         f"do not fit an extent of {size}")  # fmt: skip
    rows = []
    for i in range(count):
        first = i * stride - padding
        last = min(first + kernel, size + padding)
        counted = last - first if padded else min(last, size) - max(first, 0)
        rows.append(_row(size, min(kernel, size), max(first, 0), min(last, size), 1.0 if sums else 1 / counted))
    return tuple(r[0] for r in rows), tuple(r[1] for r in rows)


@lru_cache(maxsize=256)
def _shared_windows(size: int, count: int) -> Rows:
    if count <= 0 or size <= 0:
        raise ShapeError(f"adaptive_avg_pool: cannot share {size} elements out over {count} windows")
    spans = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
    taps = max(b - a for a, b in spans)
    rows = [_row(size, taps, a, b, 1 / (b - a)) for a, b in spans]
    return tuple(r[0] for r in rows), tuple(r[1] for r in rows)


def _avg_pool(
    n: int, input: Tensor, kernel_size: Ints, stride: Ints | None, padding: Ints, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    _check(input, n, f"avg_pool{n}d")
    if divisor_override == 0:
        raise ValueError("divisor_override is not 0")
    kernel, paddings = each(kernel_size, n, "kernel_size"), each(padding, n, "padding")
    strides = kernel if stride is None or stride == [] else each(stride, n, "stride")
    sums = divisor_override is not None
    for i in range(n):
        size = input.shape[i - n]
        rows = _average_windows(size, kernel[i], strides[i], paddings[i], ceil_mode, count_include_pad, sums)
        input = resample(input, i - n, rows)
    return input / divisor_override if divisor_override is not None else input


@op("N(2, 2, 6), 2", "N(2, 2, 6), 3, 2, 1, count_include_pad=False")
def avg_pool1d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The average of each window of [N, C, L] (or [C, L]); padding zeros count unless told otherwise."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@op("N(1, 2, 4, 5), 2", "N(1, 2, 4, 5), 3, 2, 1, count_include_pad=False")
def avg_pool2d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The average of each window of [N, C, H, W] (or [C, H, W]), or its sum divided by ``divisor_override``."""
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@op("N(1, 1, 3, 4, 4), 2", "N(1, 1, 3, 4, 4), 3, 2, 1, count_include_pad=False", autocast={"cpu": "wide"})
def avg_pool3d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The average of each window of [N, C, D, H, W] (or [C, D, H, W]), or its sum divided by ``divisor_override``."""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _adaptive_avg_pool(n: int, input: Tensor, output_size: Sizes) -> Tensor:
    _check(input, n, f"adaptive_avg_pool{n}d")
    for i, count in enumerate(_outputs(input, output_size, n)):
        input = resample(input, i - n, _shared_windows(input.shape[i - n], count))
    return input


@op("N(2, 2, 6), 3")
def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Tensor:
    """`avg_pool1d` over ``output_size`` windows that share the input out evenly."""
    return _adaptive_avg_pool(1, input, output_size)


@op("N(1, 2, 4, 5), 3")
def adaptive_avg_pool2d(input: Tensor, output_size: Sizes) -> Tensor:
    """`avg_pool2d` over ``output_size`` windows that share the input out evenly."""
    return _adaptive_avg_pool(2, input, output_size)


@op("N(1, 1, 3, 4, 4), 3", autocast={"cpu": "wide"})
def adaptive_avg_pool3d(input: Tensor, output_size: Sizes) -> Tensor:
    """`avg_pool3d` over ``output_size`` windows that share the input out evenly."""
    return _adaptive_avg_pool(3, input, output_size)


def _lp_pool(
    n: int, input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None, ceil_mode: bool
) -> Tensor:
    count = prod(each(kernel_size, n, "kernel_size"))
    mean = _avg_pool(n, input.pow(norm_type), kernel_size, stride, 0, ceil_mode, True, None)
    return (mean.sign() * mean.abs().relu() * count).pow(1 / norm_type)


@op("P(2, 2, 6), 2.0, 2", tolerance=1e-11)
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The ``norm_type``-th root of the sum of powers of each window of [N, C, L] (or [C, L])."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


@op("P(1, 2, 4, 5), 2.0, 2", tolerance=1e-11)
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The ``norm_type``-th root of the sum of powers of each window of [N, C, H, W] (or [C, H, W])."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


@op("P(1, 1, 3, 4, 4), 2.0, 2", tolerance=1e-11, autocast={"cpu": "wide"})
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The ``norm_type``-th root of the sum of powers of each window of [N, C, D, H, W] (or [C, D, H, W])."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def _max_unpool(
    n: int, input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None, padding: Ints,
    output_size: Sequence[int] | None,
) -> Tensor:  # fmt: skip
    _check(input, n, f"max_unpool{n}d")
    kernel, paddings = each(kernel_size, n, "kernel_size"), each(padding, n, "padding")
    strides = kernel if stride is None else each(stride, n, "stride")
    size = [(input.shape[i - n] - 1) * strides[i] + kernel[i] - 2 * paddings[i] for i in range(n)]
    if output_size is not None:
        wanted = list(output_size)[-n:]
        if any(abs(a - b) >= s for a, b, s in zip(wanted, size, strides, strict=True)):
            raise ValueError(f"output_size {tuple(wanted)} is not within a stride of {tuple(size)}")
        size = wanted
    # Where windows overlap several outputs hold the same maximum: it is written once.
    times = _core.gather_windows(_core.scatter_windows(wootz.ones_like(input), indices, size), indices, n)
    return _core.scatter_windows(input / times, indices, size)


@op("N(1, 2, 2), wootz.tensor([[[1, 2], [0, 3]]]), 2", autocast={"cpu": "wide"})
def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Puts what `max_pool1d` with ``return_indices`` found back to where it was, into zeros."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@op("N(1, 1, 2, 2), wootz.tensor([[[[0, 2], [9, 15]]]]), 2", autocast={"cpu": "wide"})
def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Puts what `max_pool2d` with ``return_indices`` found back to where it was, into zeros."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@op("N(1, 1, 1, 1, 2), wootz.tensor([[[[[3, 10]]]]]), 2", autocast={"cpu": "wide"})
def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Puts what `max_pool3d` with ``return_indices`` found back to where it was, into zeros."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
