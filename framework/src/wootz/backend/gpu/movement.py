"""Ops that copy, join and place elements: strided copies between views that the core makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import Cuda
from wootz.backend.geometry import Operand
from wootz.backend.gpu.lines import at
from wootz.backend.gpu.places import count_up
from wootz.backend.gpu.pointwise import assign, broadcast, cast, fill, operand, word
from wootz.device import Device
from wootz.dtypes import dtype
from wootz.errors import DTypeError, ShapeError

__all__ = ["OPS", "moved", "zeros"]


def zeros(cuda: Cuda, shape: Sequence[int], kind: dtype) -> Tensor:
    """A tensor of zeros on the current device."""
    out = cuda.empty(tuple(shape), kind)
    fill(cuda, out, 0)
    return out


def moved(cuda: Cuda, t: Tensor, device: Device) -> Tensor:
    """A copy of a tensor on a device of either type; 'cuda' without a number is the current device."""
    if device.type == "cpu":
        return cuda.to_host(t)
    index = cuda.current() if device.index is None else device.index
    if t._device == ("cuda", index):
        return _clone(cuda, t)
    return cuda.to_device(t, index)


def _clone(cuda: Cuda, t: Tensor) -> Tensor:
    return cast(cuda, t, t.dtype)


def _assign(cuda: Cuda, t: Tensor, value: Any) -> None:
    if t._device[0] == "cpu":
        _core.copy_(t, cuda.to_host(value))
        return
    broadcast(t.shape, value.shape if isinstance(value, Tensor) else ())
    assign(cuda, t, value)


def _copy(cuda: Cuda, t: Tensor, source: Any) -> Tensor:
    if t._device[0] == "cpu":
        return _core.copy(t, cuda.to_host(source))
    out = cuda.empty(t.shape, t.dtype)
    assign(cuda, out, source)
    return out


def _fill(cuda: Cuda, t: Tensor, value: Any) -> Tensor:
    if isinstance(value, Tensor) and value.dim():
        raise ShapeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.dim()} dimensions.")
    return _copy(cuda, t, value)


def _masked_fill(cuda: Cuda, t: Tensor, mask: Tensor, value: Any) -> Tensor:
    if mask.dtype != _core.bool:
        raise DTypeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype.name}")
    if isinstance(value, Tensor):
        if value.dim():
            raise ShapeError("masked_fill_ only supports a 0-dimensional value tensor")
        return _core.where(mask, _core.cast(value, t.dtype), t)
    whole = not (t.dtype.is_floating_point or t.dtype.is_complex)
    return _core.where(mask, int(value) if whole and t.dtype != _core.bool else value, t)


def _clamp(cuda: Cuda, t: Tensor, low: Any, high: Any) -> Tensor:
    if low is None and high is None:
        raise ValueError("clamp: At least one of 'min' or 'max' must not be None")
    t = t if low is None else _core.maximum(t, low)
    return t if high is None else _core.minimum(t, high)


def _common(tensors: Sequence[Tensor]) -> dtype:
    return _core.result_type(*tensors)


def _cat(cuda: Cuda, tensors: Sequence[Tensor], dim: int) -> Tensor:
    if not tensors:
        raise ValueError("cat(): expected a non-empty list of Tensors")
    if any(t.dim() == 0 for t in tensors):
        raise ShapeError("zero-dimensional tensor cannot be concatenated")
    # PyTorch lets 1-d empty tensors be concatenated with anything.
    held = [t for t in tensors if t.shape != (0,)] or list(tensors[:1])
    first = held[0]
    dim = range(first.dim())[dim]
    shape = list(first.shape)
    for t in held:
        if t.dim() != first.dim() or any(
            n != m for i, (n, m) in enumerate(zip(t.shape, shape, strict=True)) if i != dim
        ):
            raise ShapeError(f"Sizes of tensors must match except in dimension {dim}: {[list(t.shape) for t in held]}")
    shape[dim] = sum(t.shape[dim] for t in held)
    out, start = cuda.empty(shape, _common(tensors)), 0
    for t in held:
        assign(cuda, _core.narrow(out, dim, start, t.shape[dim]), t)
        start += t.shape[dim]
    return out


def _stack(cuda: Cuda, tensors: Sequence[Tensor], dim: int) -> Tensor:
    if not tensors:
        raise ValueError("stack expects a non-empty TensorList")
    if any(t.shape != tensors[0].shape for t in tensors):
        raise ShapeError(f"stack expects each tensor to be equal size, but got {[list(t.shape) for t in tensors]}")
    shape = list(tensors[0].shape)
    dim = range(len(shape) + 1)[dim]
    shape.insert(dim, len(tensors))
    out = cuda.empty(shape, _common(tensors))
    for i, t in enumerate(tensors):
        assign(cuda, _core.select(out, dim, i), t)
    return out


def _flip(cuda: Cuda, t: Tensor, dims: Sequence[int]) -> Tensor:
    axes = [range(t.dim())[d] for d in dims]
    out = cuda.empty(t.shape, t.dtype)
    if t.numel() == 0:
        return out
    backwards = tuple(-s if d in axes else s for d, s in enumerate(t.stride()))
    last = sum((t.shape[d] - 1) * t.stride(d) for d in axes)
    symbol = f"copy_{word(t)}_{word(t)}"
    for launch in geometry.elementwise(t.shape, [operand(out, t.shape), Operand(t.itemsize, backwards)]):
        to, given = launch.offsets
        cuda.launch(symbol, launch, at(t, last + given), at(out, to), launch.plan)
    return out


def _triangle(name: str) -> Callable[..., Tensor]:
    def run(cuda: Cuda, t: Tensor, diagonal: int) -> Tensor:
        if t.dim() < 2:
            raise ShapeError(f"{name}: input tensor must have at least 2 dimensions")
        if t.numel() == 0:
            return _clone(cuda, t)
        rows = _core.unsqueeze(count_up(cuda, t.shape[-2], 1, diagonal), 1)
        columns = count_up(cuda, t.shape[-1])
        held = _core.le(columns, rows) if name == "tril" else _core.ge(columns, rows)
        if not t.dtype.is_complex:
            return _core.where(held, t, _zero(t))
        parts = _core.where(_core.unsqueeze(held, -1), _core.view_as_real(t), 0.0)
        return _core.view_as_complex(parts)

    return run


def _zero(t: Tensor) -> Any:
    return 0.0 if t.dtype.is_floating_point or t.dtype.is_complex else False if t.dtype == _core.bool else 0


def _placed(view: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Zeros with a gradient in the places that a view sees: the derivative of the view."""

    def run(cuda: Cuda, grad: Tensor, shape: Sequence[int], *where: Any) -> Tensor:
        out = zeros(cuda, shape, grad.dtype)
        assign(cuda, view(out, *where), grad)
        return out

    return run


def _add_through(cuda: Cuda, grad: Tensor, room: int, size: Sequence[int], stride: Sequence[int], start: int) -> Tensor:
    """A flat buffer with a gradient added at every place a strided view sees, also where it sees one twice."""
    if grad.dtype.is_complex:
        twice = [2 * s for s in stride]
        pairs = _add_through(cuda, _core.view_as_real(grad), 2 * room, (*size, 2), (*twice, 1), 2 * start)
        return _core.view_as_complex(_core.reshape(pairs, (room, 2)))
    buffer = zeros(cuda, (room,), grad.dtype)
    if _apart(size, stride):
        assign(cuda, _core.as_strided(buffer, tuple(size), tuple(stride), start), grad)
        return buffer
    places = count_up(cuda, 1, 1, start)
    for n, step in zip(size, stride, strict=True):
        places = _core.reshape(_core.add(_core.unsqueeze(places, -1), count_up(cuda, n, step)), (-1,))
    source = _core.reshape(grad, (grad.numel(),))
    made: Tensor = _core.index_add(buffer, 0, places, source)
    return made


def _apart(size: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether a view certainly sees no element twice."""
    reach = 0
    for step, n in sorted((s, n) for n, s in zip(size, stride, strict=True) if n > 1):
        if step <= reach:
            return False
        reach += step * (n - 1)
    return True


def _reach(shape: Sequence[int], stride: Sequence[int], offset: int) -> int:
    return offset if 0 in shape else offset + 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))


def _as_strided_backward(
    cuda: Cuda, grad: Tensor, shape: Sequence[int], strides: Sequence[int], offset: int, size: Sequence[int],
    stride: Sequence[int], start: int,
) -> Tensor:  # fmt: skip
    room = max(_reach(shape, strides, offset), _reach(size, stride, start))
    buffer = _core.cast(_add_through(cuda, grad, room, size, stride, start), grad.dtype)
    return _core.as_strided(buffer, tuple(shape), tuple(strides), offset)


def _unfold_backward(cuda: Cuda, grad: Tensor, shape: Sequence[int], dim: int, size: int, step: int) -> Tensor:
    out = zeros(cuda, shape, grad.dtype)
    windows = _core.unfold(out, dim, size, step)
    return _as_strided_backward(cuda, grad, shape, out.stride(), 0, windows.shape, windows.stride(), 0)


def _as_strided_scatter(
    cuda: Cuda, t: Tensor, source: Tensor, size: Sequence[int], stride: Sequence[int], start: int | None
) -> Tensor:
    start = t.storage_offset() if start is None else start
    _core.as_strided(t, size, stride, start)  # refuses what does not fit into the storage
    room = max(_reach(t.shape, t.stride(), t.storage_offset()), _reach(size, stride, start))
    buffer = cuda.empty((room,), t.dtype)
    out = _core.as_strided(buffer, t.shape, t.stride(), t.storage_offset())
    assign(cuda, out, t)
    assign(cuda, _core.as_strided(buffer, size, stride, start), source)
    return out


def _complex(cuda: Cuda, real: Tensor, imag: Tensor) -> Tensor:
    if real.dtype != imag.dtype or real.dtype.name not in ("float32", "float64"):
        raise DTypeError(f"complex: expected two floating point tensors of one type, got {real.dtype} and {imag.dtype}")
    shape = broadcast(real.shape, imag.shape)
    out = cuda.empty((*shape, 2), real.dtype)
    for i, part in enumerate((real, imag)):
        assign(cuda, _core.select(out, -1, i), part)
    return _core.view_as_complex(out)


def _full(cuda: Cuda, near: Tensor, shape: Sequence[int], kind: dtype, value: float) -> Tensor:
    out = cuda.empty(shape, kind)
    fill(cuda, out, value)
    return out


OPS: dict[str, Callable[..., Any]] = {
    "assign": _assign, "complex": _complex, "clone": _clone, "cast": cast, "copy": _copy, "fill": _fill, "full": _full,
    "to_device": lambda cuda, t, device: moved(cuda, t, Device(device)),
    "masked_fill": _masked_fill, "clamp": _clamp, "cat": _cat, "stack": _stack, "flip": _flip,
    "tril": _triangle("tril"), "triu": _triangle("triu"), "select_backward": _placed(_core.select),
    "slice_backward": _placed(_core.slice), "diagonal_backward": _placed(_core.diagonal),
    "unfold_backward": _unfold_backward, "as_strided_backward": _as_strided_backward,
    "as_strided_scatter": _as_strided_scatter,
}  # fmt: skip
