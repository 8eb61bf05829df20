"""Shapes, indices, products, sorting and reductions under the standard's names and signatures."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import wootz
from wootz import _core
from wootz._core import Tensor
from wootz.array_api.promotion import axes, pair, promoted

__all__ = [
    "broadcast_arrays", "broadcast_to", "concat", "expand_dims", "flip", "matmul", "matrix_transpose", "moveaxis",
    "permute_dims", "repeat", "reshape", "roll", "squeeze", "stack", "take", "take_along_axis", "tensordot", "tile",
    "unstack", "vecdot",
]  # fmt: skip

Axis = builtins.int | tuple[builtins.int, ...] | None


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """The arrays in their common shape."""
    return list(wootz.broadcast_tensors(*arrays))


def broadcast_to(x: Tensor, /, shape: tuple[builtins.int, ...]) -> Tensor:
    """x repeated to a shape."""
    return x.expand(tuple(shape))


def concat(arrays: Sequence[Tensor], /, *, axis: builtins.int | None = 0) -> Tensor:
    """The arrays one after the other along an axis; flattened where it is None."""
    parts = promoted(*arrays)
    if axis is None:
        return _core.cat([p.reshape((-1,)) for p in parts], 0)
    return _core.cat(parts, axes(axis, parts[0].ndim)[0])


def expand_dims(x: Tensor, /, *, axis: builtins.int = 0) -> Tensor:
    """x with an axis of extent 1 put in."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise IndexError(f"expand_dims: axis {axis} is out of bounds for an array of {x.ndim} dimensions")
    return x.unsqueeze(axis)


def flip(x: Tensor, /, *, axis: Axis = None) -> Tensor:
    """The elements along axes in reverse."""
    return _core.flip(x, axes(axis, x.ndim))


def moveaxis(x: Tensor, source: Any, destination: Any, /) -> Tensor:
    """Axes at other places; the others keep their order."""
    return wootz.movedim(x, source, destination)


def permute_dims(x: Tensor, /, axes: tuple[builtins.int, ...]) -> Tensor:
    """The axes in another order."""
    return x.permute(tuple(axes))


def repeat(x: Tensor, repeats: Any, /, *, axis: builtins.int | None = None) -> Tensor:
    """Each element so many times; of the flattened array without an axis."""
    return wootz.repeat_interleave(x, repeats, axis)


def reshape(x: Tensor, /, shape: tuple[builtins.int, ...], *, copy: builtins.bool | None = None) -> Tensor:
    """x in another shape. Raises ValueError where ``copy`` is False and it needs one."""
    out = x.reshape(tuple(shape))
    shared = out.data_ptr() == x.data_ptr() or x.numel() == 0
    if copy is False and not shared:
        raise ValueError(f"reshape: an array of strides {x.stride()} cannot be seen in shape {shape}, and copy=False")
    return out.clone() if copy and shared else out


def roll(x: Tensor, /, shift: Any, *, axis: Axis = None) -> Tensor:
    """The elements moved along, those at the end coming back at the start."""
    return wootz.roll(x, shift, axis)


def squeeze(x: Tensor, /, axis: Any) -> Tensor:
    """x without axes of extent 1. Raises ValueError for one of another extent."""
    which = axes(axis, x.ndim)
    for a in which:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} has extent {x.shape[a]}, not 1")
    return _core.squeeze(x, which)


def stack(arrays: Sequence[Tensor], /, *, axis: builtins.int = 0) -> Tensor:
    """The arrays along a new axis."""
    return _core.stack(promoted(*arrays), axis)


def tile(x: Tensor, repetitions: tuple[builtins.int, ...], /) -> Tensor:
    """Copies of x side by side."""
    return wootz.tile(x, tuple(repetitions))


def unstack(x: Tensor, /, *, axis: builtins.int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis."""
    return wootz.unbind(x, axes(axis, x.ndim)[0])


def take(x: Tensor, indices: Tensor, /, *, axis: builtins.int | None = None) -> Tensor:
    """The slices of an axis that a 1-d array names. Raises ValueError without an axis where x has several."""
    if axis is None and x.ndim != 1:
        raise ValueError(f"take: axis is needed for an array of {x.ndim} dimensions")
    return _core.index_select(x, 0 if axis is None else axes(axis, x.ndim)[0], indices)


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: builtins.int = -1) -> Tensor:
    """x at indices along an axis, at the positions of the others."""
    return wootz.take_along_dim(x, indices, axes(axis, x.ndim)[0])


def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The matrix product."""
    return _core.matmul(*pair(x1, x2))


def matrix_transpose(x: Tensor, /) -> Tensor:
    """The last two axes exchanged."""
    return x.mT


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: Any = 2) -> Tensor:
    """Products summed over several axes."""
    return wootz.tensordot(*pair(x1, x2), dims=axes)


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: builtins.int = -1) -> Tensor:
    """The inner products along an axis, the first conjugated."""
    a, b = pair(x1, x2)
    shorter = min(a.ndim, b.ndim)
    if not -shorter <= axis < 0:
        raise ValueError(f"vecdot: axis must be in [-{shorter}, -1], got {axis}")
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(f"vecdot: extents {a.shape[axis]} and {b.shape[axis]} along axis {axis} differ")
    a = wootz.conj(a) if a.dtype.is_complex else a
    return _core.cast(_core.sum(a * b, axis), a.dtype)
