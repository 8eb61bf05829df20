"""Padding as modules; the function is `wootz.nn.functional.pad`."""

from __future__ import annotations

from wootz._tensor import Tensor
from wootz.nn import functional as F
from wootz.nn.functional.sizes import Ints, each
from wootz.nn.module import Module

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    n: int
    mode = "constant"

    def __init__(self, padding: Ints) -> None:
        super().__init__()
        self.padding = tuple(each(padding, 2 * self.n, "padding"))

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Ints, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pads the last dimension by ``value``.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 1


class ConstantPad2d(_ConstantPad):
    """Pads the last two dimensions by ``value``.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 2


class ConstantPad3d(_ConstantPad):
    """Pads the last three dimensions by ``value``.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 3


class ZeroPad1d(_Pad):
    """Pads the last dimension by zeros.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 1


class ZeroPad2d(_Pad):
    """Pads the last two dimensions by zeros.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 2


class ZeroPad3d(_Pad):
    """Pads the last three dimensions by zeros.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 3


class ReflectionPad1d(_Pad):
    """Pads the last dimension by reflection at the border.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """Pads the last two dimensions by reflection at the border.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """Pads the last three dimensions by reflection at the border.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """Pads the last dimension by the elements at the border.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """Pads the last two dimensions by the elements at the border.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """Pads the last three dimensions by the elements at the border.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """Pads the last dimension by what comes around from the other side.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """Pads the last two dimensions by what comes around from the other side.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """Pads the last three dimensions by what comes around from the other side.

    One width, or a pair a dimension from the last one backwards.
    """

    n = 3
    mode = "circular"
