"""Questions about tensors."""

from __future__ import annotations

from typing import Any

from wootz._core import Tensor
from wootz.errors import ShapeError

__all__ = [
    "get_device",
    "is_complex",
    "is_conj",
    "is_floating_point",
    "is_inference",
    "is_neg",
    "is_nonzero",
    "is_tensor",
    "numel",
    "resolve_conj",
    "resolve_neg",
    "to_dense",
    "to_dlpack",
    "typename",
]

# PyTorch's names of tensors of a dtype; the others are named as NumPy names them.
TYPE_NAMES = {
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
    "float16": "HalfTensor",
    "bfloat16": "BFloat16Tensor",
    "uint8": "ByteTensor",
    "int8": "CharTensor",
    "int16": "ShortTensor",
    "int32": "IntTensor",
    "int64": "LongTensor",
    "bool": "BoolTensor",
    "complex64": "ComplexFloatTensor",
    "complex128": "ComplexDoubleTensor",
    "uint16": "UInt16Tensor",
    "uint32": "UInt32Tensor",
    "uint64": "UInt64Tensor",
}


def is_tensor(obj: Any) -> bool:
    """Whether this is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a real one with fractions."""
    return input.dtype.is_floating_point


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is a complex one."""
    return input.dtype.is_complex


def numel(input: Tensor) -> int:
    """How many elements there are."""
    return input.numel()


def is_nonzero(self: Tensor) -> bool:
    """Whether the only element is not 0. Raises `ShapeError` for any other number of elements."""
    if self.numel() != 1:
        raise ShapeError(f"Boolean value of Tensor with {self.numel()} elements is ambiguous: expected one element")
    return bool(self.item())


def is_conj(self: Tensor) -> bool:
    """Whether self is only marked as conjugated: never, for `conj` is computed at once."""
    return False


def is_neg(self: Tensor) -> bool:
    """Whether self is only marked as negated: never, for `neg` is computed at once."""
    return False


def resolve_conj(self: Tensor) -> Tensor:
    """Self with a pending conjugation done; there is none, so self."""
    return self


def resolve_neg(self: Tensor) -> Tensor:
    """Self with a pending negation done; there is none, so self."""
    return self


def to_dense(self: Tensor) -> Tensor:
    """Self with an element for every place, as all tensors here have."""
    return self


def is_inference(input: Tensor) -> bool:
    """Whether it was made in inference mode."""
    return input._is_inference


def get_device(self: Tensor) -> int:
    """The index of the GPU that self is on; -1 on the CPU."""
    return -1 if self.device.type == "cpu" else self.device.index or 0


def to_dlpack(self: Tensor) -> Any:
    """A DLPack capsule over self's memory, for one consumer."""
    return self.__dlpack__()


def typename(obj: Any) -> str:
    """What PyTorch calls tensors of a dtype ("wootz.FloatTensor"); of other things the class, with its module."""
    if isinstance(obj, Tensor):
        return f"wootz{'.cuda' if obj.device.type == 'cuda' else ''}.{TYPE_NAMES[obj.dtype.name]}"
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", None)
    return kind.__qualname__ if module in (None, "builtins") else f"{module}.{kind.__qualname__}"
