"""The Python array API standard, version 2024.12: tensors as its arrays.

    xp = x.__array_namespace__()

Code written against the standard runs on tensors, is recorded by the tape and maps over examples. Names, signatures and
promotion are the standard's: 0-d arrays promote like others, where PyTorch's rules (those of the operators and of
`wootz.add`) let them give way. Not there: uint16, uint32 and uint64; `Tensor.size` is PyTorch's method, no number.
"""

from math import e, inf, nan, pi
from typing import Any

from wootz import _core
from wootz.array_api import creation, data_types, elementwise, fft, linalg, manipulation, reductions
from wootz.array_api.creation import *
from wootz.array_api.data_types import *
from wootz.array_api.data_types import __array_namespace_info__
from wootz.array_api.elementwise import *
from wootz.array_api.manipulation import *
from wootz.array_api.reductions import *

__array_api_version__ = "2024.12"
newaxis = None

__all__ = [
    "__array_api_version__", "__array_namespace_info__", "e", "fft", "inf", "linalg", "nan", "newaxis", "pi",
    *creation.__all__, *data_types.__all__, *elementwise.__all__, *manipulation.__all__, *reductions.__all__,
]  # fmt: skip


def _namespace(self: _core.Tensor, /, *, api_version: str | None = None) -> Any:
    """The namespace of the array API standard. Raises ValueError for a version that it does not follow."""
    if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
        raise ValueError(f"__array_namespace__: version {api_version!r} of the array API is not supported; 2024.12 is")
    import wootz.array_api

    return wootz.array_api


_core.Tensor.__array_namespace__ = _namespace  # type: ignore[attr-defined]  # joined to the core's type
