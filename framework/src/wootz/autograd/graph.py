"""What the tape keeps for backward, and who may change how: saved-tensor hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wootz import _core
from wootz._core import Node, Tensor
from wootz.device import Device

__all__ = ["Node", "disable_saved_tensors_hooks", "save_on_cpu", "saved_tensors_hooks"]


class saved_tensors_hooks:
    """Every tensor that an op inside saves for its derivative goes through ``pack_hook``; what that returns is kept,
    and ``unpack_hook`` makes the tensor of it again when backward needs it. Of nested pairs the innermost counts.

    Neither may write to the tensor it is given. Raises TypeError in backward if unpack_hook returns no tensor.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if _disabled:
            raise RuntimeError(_disabled[-1])
        _core.push_saved_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *exc: object) -> None:
        _core.pop_saved_hooks()


_disabled: list[str] = []


class disable_saved_tensors_hooks:
    """Using `saved_tensors_hooks` inside is an error with this message."""

    def __init__(self, error_message: str) -> None:
        self.message = error_message

    def __enter__(self) -> None:
        _disabled.append(self.message)

    def __exit__(self, *exc: object) -> None:
        _disabled.pop()


class save_on_cpu(saved_tensors_hooks):
    """What the tape saves waits in the CPU's memory, and is copied back when backward needs it."""

    def __init__(self) -> None:
        def pack(t: Tensor) -> tuple[Device, Tensor]:
            return t.device, t.detach().clone() if t.device.type == "cpu" else t.detach().cpu()

        def unpack(packed: tuple[Device, Tensor]) -> Tensor:
            return packed[1].to(packed[0])

        super().__init__(pack, unpack)
