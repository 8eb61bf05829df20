"""Where a tensor's memory is."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar

from wootz.errors import DeviceError

__all__ = ["Device", "default_device"]

_TYPES = ("cpu", "cuda")


@dataclass(frozen=True, init=False)
class Device:
    """A device type and, where there can be several, an index: ``device("cuda:0")``, ``device("cuda", 0)``.

    As a context manager it is where tensors are made that name no device. Raises `DeviceError` for a type that does
    not exist or an index that is no small non-negative number.
    """

    default: ClassVar[Device | None] = None  # what `set_default_device` says
    entered: ClassVar[ContextVar[tuple[Device, ...]]] = ContextVar("entered", default=())

    type: str
    index: int | None

    def __init__(self, type: str | Device, index: int | None = None) -> None:
        text = str(type)
        name, colon, number = text.partition(":")
        if name not in _TYPES:
            raise DeviceError(f"expected one of {', '.join(_TYPES)} device type, got {text!r}")
        if colon:
            if index is not None or not number.isascii() or not number.isdigit() or len(number) > 3:
                raise DeviceError(f"invalid device string: {text!r}")
            index = int(number)
        if (index is not None and not 0 <= index < 128) or (name == "cpu" and index):
            raise DeviceError(f"no {name} device has index {index}")
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", None if name == "cpu" else index)

    def __enter__(self) -> Device:
        Device.entered.set((*Device.entered.get(), self))
        return self

    def __exit__(self, *failure: object) -> None:
        Device.entered.set(Device.entered.get()[:-1])

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        rest = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{rest})"


_CPU = Device("cpu")


def default_device() -> Device:
    """Where tensors are made that name no device."""
    entered = Device.entered.get()
    return entered[-1] if entered else Device.default or _CPU
