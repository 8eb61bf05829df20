"""Settings of the whole process: where new tensors are made, and how exact results are asked to be."""

from __future__ import annotations

from wootz import numerics
from wootz.device import Device, default_device

__all__ = [
    "are_deterministic_algorithms_enabled",
    "get_default_device",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "is_deterministic_algorithms_warn_only_enabled",
    "set_default_device",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "use_deterministic_algorithms",
]

_MODES = {"default": 0, "warn": 1, "error": 2}


def get_default_device() -> Device:
    """Where tensors are made that name no device: the CPU, unless `set_default_device` or ``with device:`` says."""
    return default_device()


def set_default_device(device: Device | str | None) -> None:
    """Makes new tensors on this device where none is named; None: on the CPU again."""
    Device.default = None if device is None else Device(device)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Asks for ops that give the same digits in every run, as all ops here do on both devices: so none is refused.

    What was asked for is remembered, for programs that read it back.
    """
    numerics.deterministic = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms` is on."""
    return numerics.deterministic > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether `use_deterministic_algorithms` is on and only warns."""
    return numerics.deterministic == 1


def get_deterministic_debug_mode() -> int:
    """`use_deterministic_algorithms` as a number: 0 off, 1 warns, 2 refuses."""
    return numerics.deterministic


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """`use_deterministic_algorithms` by "default" or 0, "warn" or 1, "error" or 2. Raises ValueError for others."""
    number = _MODES.get(debug_mode, -1) if isinstance(debug_mode, str) else debug_mode
    if number not in _MODES.values():
        raise ValueError(f"deterministic debug mode is one of {', '.join(_MODES)} or 0, 1, 2, not {debug_mode!r}")
    numerics.deterministic = number


def get_float32_matmul_precision() -> str:
    """How exact products of float32 matrices are: "highest", "high" or "medium"."""
    return numerics.matmul


def set_float32_matmul_precision(precision: str) -> None:
    """How exact products of float32 matrices have to be on CUDA: "highest" as they are, "high" with factors rounded to
    TF32, "medium" to bfloat16, where the GPU is faster so. The CPU always keeps float32. Raises ValueError for others.
    """
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"float32 matmul precision is one of highest, high, medium, not {precision!r}")
    numerics.matmul = precision
