"""Tensors and the memory under them: made over a buffer or a file, resized, pointed elsewhere, looked at as bytes."""

from __future__ import annotations

import builtins
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor, dtype
from wootz._interop import from_dlpack
from wootz.device import Device
from wootz.dtypes import memory_dtype
from wootz.errors import DTypeError, ShapeError
from wootz.ops.creation import as_tensor, empty, from_numpy, place, shape_of, tensor

__all__ = [
    "UntypedStorage",
    "apply_",
    "asarray",
    "const_data_ptr",
    "dim_order",
    "fill_diagonal_",
    "from_file",
    "frombuffer",
    "is_set_to",
    "is_storage",
    "map_",
    "new_empty_strided",
    "resize_",
    "resize_as_",
    "set_",
    "untyped_storage",
]


class UntypedStorage:
    """The memory that a tensor looks into, as bytes; views of one tensor have the same `data_ptr`."""

    def __init__(self, of: Tensor) -> None:
        self._of = of.detach()

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._of.data_ptr() - self._of.storage_offset() * self._of.itemsize

    def nbytes(self) -> int:
        """How many bytes there are."""
        return self._of._storage_bytes

    size = nbytes

    @property
    def device(self) -> Device:
        """Where the memory is."""
        return self._of.device

    def bytes(self) -> Tensor:
        """All of it as a uint8 tensor over the same memory."""
        count = self.nbytes() // self._of.itemsize
        return self._of.as_strided((count,), (1,), 0).view(_core.uint8)

    def tolist(self) -> list[int]:
        """The bytes as Python numbers."""
        return list(self.bytes().tolist())

    def __len__(self) -> int:
        return self.nbytes()

    def __getitem__(self, place: int) -> int:
        return int(self.bytes()[place].item())

    def __setitem__(self, place: int, value: int) -> None:
        self.bytes()[place] = value

    def __repr__(self) -> str:
        return f"wootz.UntypedStorage(device={self.device}) of size {self.nbytes()}"


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that self looks into."""
    return UntypedStorage(self)


def is_storage(obj: Any) -> bool:
    """Whether this is the memory of a tensor, as `untyped_storage` gives it."""
    return isinstance(obj, UntypedStorage)


def const_data_ptr(self: Tensor) -> int:
    """The address of the first element, for readers."""
    return self.data_ptr()


def dim_order(self: Tensor) -> tuple[int, ...]:
    """The dimensions from the slowest in memory to the fastest."""
    strides = self.stride()
    return tuple(sorted(range(self.dim()), key=lambda d: (-strides[d], d)))


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both look at the same memory with the same geometry."""
    same = UntypedStorage(self).data_ptr() == UntypedStorage(tensor).data_ptr()
    places = [(t.storage_offset(), t.shape, t.stride()) for t in (self, tensor)]
    return same and places[0] == places[1]


def _resizable(op: str, self: Tensor) -> None:
    if self.requires_grad:
        raise RuntimeError(f"{op}: cannot resize variables that require grad; take .detach() first")


def resize_(self: Tensor, *size: Any) -> Tensor:
    """Gives self another shape, row by row; more elements than its memory holds move to new memory, the rest unset."""
    _resizable("resize_", self)
    shape = shape_of(size)
    shape = (shape,) if isinstance(shape, builtins.int) else tuple(shape)
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    room = self._storage_bytes // self.itemsize - self.storage_offset()
    if math.prod(shape) <= room:
        self.data = self.detach().as_strided(shape, strides, self.storage_offset())
        return self
    grown = empty(math.prod(shape), dtype=self.dtype, device=self.device)
    grown[:room] = self.detach().as_strided((room,), (1,), self.storage_offset())
    self.data = grown.view(shape)
    return self


def resize_as_(self: Tensor, other: Tensor) -> Tensor:
    """Gives self other's shape; see `resize_`."""
    return resize_(self, other.shape)


def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:  # fmt: skip
    """Makes self look at source's memory (of a tensor or an `UntypedStorage`); without one, at none."""
    _resizable("set_", self)
    if source is None:
        self.data = empty(0, dtype=self.dtype, device=self.device)
        return self
    if isinstance(source, Tensor):
        if source.dtype != self.dtype:
            raise DTypeError(f"set_: expected a source of {self.dtype.name}, found {source.dtype.name}; use .to(dtype)")
        view = source.detach()
        self.data = view if size is None else view.as_strided(size, stride or _rows(size), storage_offset)
        return self
    whole = source.bytes().view(self.dtype)
    shape = (whole.numel() - storage_offset,) if size is None else size
    self.data = whole.as_strided(shape, stride or _rows(shape), storage_offset)
    return self


def _rows(shape: Any) -> list[int]:
    return [math.prod(shape[d + 1 :]) for d in range(len(shape))]


def new_empty_strided(
    self: Tensor, size: Sequence[int], stride: Sequence[int], dtype: dtype | None = None, device: Any = None
) -> Tensor:
    """Uninitialised memory with these strides, in self's dtype and on its device unless others are given."""
    count = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if math.prod(size) else 0
    flat = empty(count, dtype=dtype or self.dtype, device=self.device if device is None else device)
    return flat.as_strided(size, stride).detach()


def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Writes a value on the main diagonal; with ``wrap`` it starts anew below each square block of a tall matrix.

    Raises `ShapeError` for a vector, and for more than two dimensions of different extents.
    """
    if self.dim() < 2 or (self.dim() > 2 and len(set(self.shape)) > 1):
        raise ShapeError(f"fill_diagonal_: expected a matrix, or all dimensions of one extent, found {self.shape}")
    step = sum(self.stride())
    if self.dim() == 2 and wrap:
        row, rows = self.shape[1] + 1, range(0, self.shape[0], self.shape[1] + 1)
        for first in rows:
            self.narrow(0, first, min(row, self.shape[0] - first)).diagonal().fill_(fill_value)
        return self
    self.as_strided((min(self.shape),), (step,), self.storage_offset()).fill_(fill_value)
    return self


def _elements(op: str, self: Tensor) -> None:
    if self.device.type != "cpu":
        raise TypeError(f"{op} is only implemented on CPU tensors, this one is on {self.device}; use .cpu()")
    if self.requires_grad:
        raise TypeError(f"can't call {op}() on Variable that requires grad. Use var.detach().{op}() instead.")


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replaces each element by what a Python function makes of it. Slow: use ops where there are some."""
    _elements("apply_", self)
    values = [callable(x) for x in self.flatten().tolist()]
    return self.copy_(tensor(values, dtype=self.dtype).reshape(self.shape))


def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replaces each element by what a Python function makes of it and of tensor's (broadcast) there."""
    _elements("map_", self)
    other = tensor.detach().expand(self.shape).flatten().tolist()
    values = [callable(a, b) for a, b in zip(self.flatten().tolist(), other, strict=True)]
    return self.copy_(as_tensor(values, dtype=self.dtype).reshape(self.shape))


def asarray(
    obj: Any, *, dtype: dtype | None = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of numbers, sequences, buffers, arrays, or objects with ``__dlpack__``.

    Memory is shared where it can be, unless ``copy``; with ``copy=False`` ValueError is raised where it cannot.
    """
    made = _over(obj, dtype)
    shares = made is not None and dtype in (None, made.dtype) and device in (None, "cpu", made.device)
    if copy is False and not shares:
        raise ValueError("can't alias a sequence of numbers, another dtype or another device; use copy=None")
    if made is None:
        return place(tensor(obj, dtype=dtype), device, requires_grad)
    out = made.detach().to(device=device, dtype=dtype)
    out = out.clone() if copy and shares else out
    return out.requires_grad_() if requires_grad else out


def _over(obj: Any, kind: dtype | None) -> Tensor | None:
    """A tensor over the memory of obj, or None where it has none that can be written to."""
    if isinstance(obj, Tensor):
        return obj
    if isinstance(obj, np.ndarray):
        return as_tensor(obj)
    if hasattr(obj, "__dlpack__"):
        return from_dlpack(obj)
    if isinstance(obj, (bytearray, memoryview)):
        return frombuffer(obj, dtype=kind or _core.uint8)
    return None


def frombuffer(
    buffer: Any, *, dtype: dtype, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:  # fmt: skip
    """A vector over the memory of a writable buffer, from byte ``offset`` on; ``count`` -1: to its end.

    Raises ValueError where the buffer is read-only, is empty, or holds less than was asked for.
    """
    array = np.frombuffer(buffer, np.uint8)
    if not array.flags.writeable:
        raise ValueError("frombuffer: the buffer is read-only, and a tensor could write to it; give a bytearray")
    length = len(array)
    if not length or not count:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} "
                         "bytes) - 1")  # fmt: skip
    if count < 0 and (length - offset) % dtype.itemsize:
        raise ValueError(f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a multiple of "
                         f"element size ({dtype.itemsize})")  # fmt: skip
    items = (length - offset) // dtype.itemsize if count < 0 else count
    if offset + items * dtype.itemsize > length:
        raise ValueError(f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset ({offset} bytes) "
                         f"must not be greater than actual buffer length ({length} bytes)")  # fmt: skip
    part = array[offset : offset + items * dtype.itemsize]
    made = _core.bitcast(from_numpy(part.view(memory_dtype(dtype))), dtype)
    return made.requires_grad_() if requires_grad else made


def from_file(
    filename: str | os.PathLike[str], shared: bool = False, size: int = 0, *, dtype: dtype | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A vector of ``size`` elements over a file, mapped into memory and read when it is touched.

    ``shared`` writes go into the file, which is made or grown as needed; others stay with this tensor.
    """
    kind = dtype or _core.get_default_dtype()
    path = Path(filename)
    if shared and (not path.exists() or path.stat().st_size < size * kind.itemsize):
        with path.open("ab") as file:
            file.truncate(size * kind.itemsize)
    mapped = np.memmap(path, memory_dtype(kind), "r+" if shared else "c", shape=(size,))
    made = _core.bitcast(from_numpy(mapped), kind)
    return made.requires_grad_() if requires_grad else made
