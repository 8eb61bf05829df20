"""Dtypes, what they promote to, and what the namespace says of itself."""

from __future__ import annotations

import builtins
from typing import Any

from wootz import _core, dtypes
from wootz._core import Tensor, dtype
from wootz.array_api.promotion import scalar_fits
from wootz.device import Device
from wootz.dtypes import (
    bool,
    complex64,
    complex128,
    finfo,
    float32,
    float64,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    uint8,
)  # fmt: skip

__all__ = [
    "__array_namespace_info__", "astype", "bool", "can_cast", "complex64", "complex128", "finfo", "float32", "float64",
    "iinfo", "int8", "int16", "int32", "int64", "isdtype", "result_type", "uint8",
]  # fmt: skip

_KINDS: dict[str, dict[str, dtype]] = {
    "bool": {"bool": bool},
    "signed integer": {"int8": int8, "int16": int16, "int32": int32, "int64": int64},
    "unsigned integer": {"uint8": uint8},
    "real floating": {"float32": float32, "float64": float64},
    "complex floating": {"complex64": complex64, "complex128": complex128},
}
_KINDS["integral"] = _KINDS["signed integer"] | _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] | _KINDS["real floating"] | _KINDS["complex floating"]


def isdtype(dtype: dtype, kind: Any) -> builtins.bool:
    """Whether a dtype is of a kind: a dtype, "bool", "signed integer", "unsigned integer", "integral", "real floating",
    "complex floating", "numeric", or one of a tuple of those.
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if not isinstance(kind, str):
        return builtins.bool(dtype == kind)
    if kind not in _KINDS:
        raise ValueError(f"isdtype: no kind of dtype is called {kind!r}; there are {', '.join(_KINDS)}")
    narrow = dtype.is_floating_point and kind in ("real floating", "numeric")  # float16 and bfloat16 too
    return narrow or dtype in _KINDS[kind].values()


def astype(x: Tensor, dtype: dtype, /, *, copy: builtins.bool = True, device: Any = None) -> Tensor:
    """x in another dtype. Raises TypeError for a complex array that would become real."""
    if x.dtype.is_complex and not dtype.is_complex and dtype != bool:
        raise TypeError(f"astype: {x.dtype.name} does not become {dtype.name}; take real(x) or imag(x)")
    return x.to(device=device, dtype=dtype, copy=copy)


def can_cast(from_: Any, to: dtype, /) -> builtins.bool:
    """Whether ``from_`` (a dtype or an array) promotes to ``to`` by the standard's rules."""
    kind = from_.dtype if isinstance(from_, Tensor) else from_
    return builtins.bool(dtypes.promote_types(kind, to) == to)


def result_type(*arrays_and_dtypes: Any) -> dtype:
    """The dtype that arrays, dtypes and Python numbers promote to. Raises TypeError without any array or dtype."""
    kinds = [a.dtype if isinstance(a, Tensor) else a for a in arrays_and_dtypes if isinstance(a, (Tensor, _core.dtype))]
    if not kinds:
        raise TypeError("result_type: expected at least one array or dtype")
    found = kinds[0]
    for k in kinds[1:]:
        found = dtypes.promote_types(found, k)
    for number in arrays_and_dtypes:
        if not isinstance(number, (Tensor, _core.dtype)) and not scalar_fits(number, found):
            raise TypeError(f"result_type: a Python {type(number).__name__} does not go with {found.name}")
    return found


class Info:
    """What the namespace can do and has."""

    def capabilities(self) -> dict[str, Any]:
        """What is optional in the standard, and how many dimensions arrays may have."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 16}

    def default_device(self) -> Device:
        """Where arrays are made."""
        return Device("cpu")

    def default_dtypes(self, *, device: Any = None) -> dict[str, dtype]:
        """The dtypes of numbers."""
        real = _core.get_default_dtype()
        wide = complex128 if real == float64 else complex64
        return {"real floating": real, "complex floating": wide, "integral": int64, "indexing": int64}

    def devices(self) -> list[Device]:
        """Where arrays can be."""
        return [Device("cpu")]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, dtype]:
        """The dtypes by name: all, or those of a kind as in `isdtype`. uint16 to uint64 are not among them."""
        names = _KINDS["bool"] | _KINDS["numeric"]
        return names if kind is None else {n: d for n, d in names.items() if isdtype(d, kind)}


def __array_namespace_info__() -> Info:
    """Inspection of this namespace."""
    return Info()
