"""Which array module computes for a device: NumPy on the CPU; another backend provides its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.errors import BackendError

__all__ = ["Arrays", "arrays_of", "provide"]


class Arrays(NamedTuple):
    """An array module with NumPy's names, and the way to its arrays and back, without a copy where memory allows."""

    xp: Callable[[str], Any]  # for an op of this name
    to_array: Callable[[Tensor], Any]
    to_tensor: Callable[[Any], Tensor]
    # What surrounds a computation beside a tensor: its device is the current one, errors are this library's.
    beside: Callable[[Tensor], AbstractContextManager[Any]] = lambda t: nullcontext()
    # What the backend computes itself, from an op's name and arguments: tensors in, a tensor out; None if nothing.
    own: Callable[[str, tuple[Any, ...]], Callable[..., Tensor] | None] = lambda name, arguments: None


def _to_array(t: Tensor) -> Any:
    return np.asarray(memoryview(t.detach() if t.requires_grad else t))  # type: ignore[arg-type]  # a buffer in C


def _to_tensor(array: Any) -> Tensor:
    array = np.asarray(array)
    # What an op returns is its own: a view of an operand would tie two tensors without the tape knowing.
    if not (array.flags.owndata and array.flags.writeable) or (array.ndim and min(array.strides) < 0):
        array = array.copy()
    return _core.from_buffer(array)


def _quiet(t: Tensor) -> AbstractContextManager[Any]:
    return np.errstate(all="ignore")  # infinities and NaN are results here as they are in kernels, and no warnings


_PROVIDED = {"cpu": Arrays(lambda op: np, _to_array, _to_tensor, _quiet)}


def provide(device_type: str, arrays: Arrays) -> None:
    """Makes a backend's array module known."""
    _PROVIDED[device_type] = arrays


def arrays_of(op: str, device_type: str) -> Arrays:
    """The array module of a device. Raises `BackendError` where no backend for it is loaded."""
    found = _PROVIDED.get(device_type)
    if found is None:
        raise BackendError(f"{op}: no array module for {device_type!r} tensors is loaded; move them with .cpu()")
    return found
