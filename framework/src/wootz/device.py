"""Where a tensor's memory is."""

from __future__ import annotations

from dataclasses import dataclass

from wootz.errors import DeviceError

__all__ = ["Device"]

_TYPES = ("cpu", "cuda")


@dataclass(frozen=True, init=False)
class Device:
    """A device type and, where there can be several, an index: ``device("cuda:0")``, ``device("cuda", 0)``.

    Raises `DeviceError` for a type that does not exist or an index that is no small non-negative number.
    """

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

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        rest = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{rest})"
