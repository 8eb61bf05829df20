"""Convolution on a GPU: windows laid out as columns, and one product of matrices a group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.backend.cuda import Cuda
from wootz.backend.gpu.matrices import product as matrix_product
from wootz.backend.gpu.movement import zeros
from wootz.backend.gpu.pointwise import as_type, assign, fill
from wootz.errors import DTypeError, ShapeError

__all__ = ["OPS"]

_Ints = Sequence[int]


def _padded(cuda: Cuda, x: Tensor, padding: _Ints, value: float = 0.0, after: _Ints | None = None) -> Tensor:
    """x with ``padding`` before its last dimensions, and as much (or ``after``) behind them."""
    after = padding if after is None else after
    if not any((*padding, *after)):
        return x.contiguous()
    lead = x.dim() - len(padding)
    room = [n + p + q for n, p, q in zip(x.shape[lead:], padding, after, strict=True)]
    out = cuda.empty((*x.shape[:lead], *room), x.dtype)
    fill(cuda, out, value)
    inside = out
    for d, (p, n) in enumerate(zip(padding, x.shape[lead:], strict=True)):
        inside = _core.narrow(inside, lead + d, p, n)
    assign(cuda, inside, x)
    return out


def _windows(x: Tensor, kernel: _Ints, stride: _Ints, dilation: _Ints, lead: int) -> Tensor:
    """A view [*lead, *kernel, *out] of every window over the last dimensions of a contiguous tensor."""
    outs = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[lead:], kernel, stride, dilation, strict=True)]
    steps = x.stride()[lead:]
    shape = (*x.shape[:lead], *kernel, *outs)
    strides = (
        *x.stride()[:lead],
        *(step * d for step, d in zip(steps, dilation, strict=True)),
        *(step * s for step, s in zip(steps, stride, strict=True)),
    )
    return _core.as_strided(x, shape, strides, x.storage_offset())


def _columns(
    cuda: Cuda, x: Tensor, kernel: _Ints, stride: _Ints, padding: _Ints, dilation: _Ints, groups: int
) -> tuple[Tensor, tuple[int, ...]]:
    """[N, groups, channels of a group * kernel, places], and the output's spatial shape."""
    seen = _windows(_padded(cuda, x, padding), kernel, stride, dilation, 2)
    outs = seen.shape[2 + len(kernel) :]
    rows = x.shape[1] // groups * prod(kernel)
    return _core.reshape(seen, (x.shape[0], groups, rows, prod(outs))), tuple(outs)


def _check_convolution(x: Tensor, weight: Tensor, kernel: _Ints, groups: int) -> None:
    if x.dtype != weight.dtype:
        raise DTypeError(f"convolve: input is {x.dtype.name}, weight {weight.dtype.name}")
    if x.dim() != weight.dim() or x.dim() != len(kernel) + 2:
        raise ShapeError(f"convolve: input {list(x.shape)} does not fit weight {list(weight.shape)}")
    if groups < 1 or x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ShapeError(f"convolve: {x.shape[1]} channels in {groups} groups do not fit weight {list(weight.shape)}")


def _convolve(
    cuda: Cuda, x: Tensor, weight: Tensor, bias: Tensor | None, stride: _Ints, padding: _Ints, dilation: _Ints,
    groups: int,
) -> Tensor:  # fmt: skip
    kernel = weight.shape[2:]
    _check_convolution(x, weight, kernel, groups)
    for n, k, p, d in zip(x.shape[2:], kernel, padding, dilation, strict=True):
        if n + 2 * p < d * (k - 1) + 1:
            raise ShapeError(f"convolve: kernel {list(kernel)} is larger than the padded input {list(x.shape)}")
    columns, outs = _columns(cuda, x, kernel, stride, padding, dilation, groups)
    matrix = _core.reshape(weight, (groups, weight.shape[0] // groups, prod(weight.shape[1:])))
    out = _core.reshape(matrix_product(cuda, matrix, columns), (x.shape[0], weight.shape[0], *outs))
    if bias is not None:
        _core.add_(out, _core.reshape(bias, (-1, *(1,) * len(kernel))))
    return as_type(cuda, out, x.dtype)


def _convolve_input(
    cuda: Cuda, output: Tensor, weight: Tensor, size: _Ints, stride: _Ints, padding: _Ints, dilation: _Ints,
    groups: int,
) -> Tensor:  # fmt: skip
    kernel, outs, n = weight.shape[2:], output.shape[2:], output.shape[0]
    matrix = _core.reshape(weight, (groups, weight.shape[0] // groups, prod(weight.shape[1:])))
    flat = _core.reshape(output, (n, groups, output.shape[1] // groups, prod(outs)))
    columns = matrix_product(cuda, _core.transpose(matrix, 1, 2), flat)
    columns = _core.reshape(columns, (n, weight.shape[1] * groups, *kernel, *outs))
    room = [
        max(s + 2 * p, (o - 1) * t + d * (k - 1) + 1)
        for s, p, o, t, d, k in zip(size, padding, outs, stride, dilation, kernel, strict=True)
    ]
    padded = zeros(cuda, (n, columns.shape[1], *room), columns.dtype)
    windows = _windows(padded, kernel, stride, dilation, 2)
    for at in product(*map(range, kernel)):  # windows overlap: one place of all of them at a time
        place, part = _at(windows, at, outs), _at(columns, at, outs)
        assign(cuda, place, _core.add(place, part))
    for d, (p, s) in enumerate(zip(padding, size, strict=True)):
        padded = _core.narrow(padded, 2 + d, p, s)
    return as_type(cuda, padded.contiguous(), output.dtype)


def _at(windows: Tensor, at: _Ints, outs: _Ints) -> Tensor:
    for i in at:
        windows = _core.select(windows, 2, i)
    if tuple(windows.shape[2:]) != tuple(outs):
        for d, n in enumerate(outs):
            windows = _core.narrow(windows, 2 + d, 0, n)
    return windows


def _convolve_weight(
    cuda: Cuda, x: Tensor, output: Tensor, kernel: _Ints, stride: _Ints, padding: _Ints, dilation: _Ints, groups: int
) -> Tensor:
    columns, outs = _columns(cuda, x, kernel, stride, padding, dilation, groups)
    grad = output
    for d, n in enumerate(outs):
        grad = _core.narrow(grad, 2 + d, 0, n) if grad.shape[2 + d] > n else grad
    if tuple(grad.shape[2:]) != outs:  # the forward pass did not use the last windows
        seen = _core.reshape(columns, (*columns.shape[:3], *outs))
        for d, n in enumerate(grad.shape[2:]):
            seen = _core.narrow(seen, 3 + d, 0, n)
        columns = _core.reshape(seen, (*columns.shape[:3], prod(grad.shape[2:])))
    flat = _core.reshape(grad, (x.shape[0], groups, output.shape[1] // groups, prod(grad.shape[2:])))
    each = matrix_product(cuda, flat, _core.transpose(columns, 2, 3))
    shape = (output.shape[1], x.shape[1] // groups, *kernel)
    return _core.reshape(as_type(cuda, _core.sum(each, (0,)), x.dtype), shape)


OPS: dict[str, Callable[..., Any]] = {
    "convolve": _convolve,
    "convolve_input": _convolve_input,
    "convolve_weight": _convolve_weight,
}
