"""Mixed precision: products in 16 bits, and in float32 what would lose by it (Micikevicius et al. 2018)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import wootz
from wootz import _core
from wootz._core import Tensor, dtype
from wootz.errors import DTypeError

__all__ = [
    "autocast", "clear_autocast_cache", "custom_bwd", "custom_fwd", "get_autocast_dtype", "is_autocast_available",
    "is_autocast_cache_enabled", "is_autocast_enabled",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
_LOW = (wootz.float16, wootz.bfloat16)


class autocast:
    """Inside, on this thread, ops on tensors of a type of device choose the precision that they compute in.

    Products (matrix products, convolutions, linear layers, attention) cast their inputs to ``dtype``: bfloat16 (the
    CPU's default) or float16 (CUDA's). Losses, and on CUDA also sums, norms, exponentials and logarithms, cast theirs
    to float32. What takes several inputs and does not promote them itself casts them to the widest. float64 is left
    alone. The page of ops says which does what. Gradients come in each parameter's own dtype; `GradScaler` keeps those
    that float16 would lose. Backward belongs outside.

    A weight that is cast is cast once until the outermost region ends, or it is changed, unless ``cache_enabled`` is
    False. ``dtype=float32`` or ``enabled=False`` switch it off, also in the middle of a region. A context manager and a
    decorator. Raises ValueError for another type of device and `DTypeError` for another dtype.
    """

    def __init__(
        self, device_type: str, dtype: dtype | None = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise TypeError(f"autocast takes a device's type, 'cpu' or 'cuda', not {device_type!r}")
        self.device, self.dtype = device_type, get_autocast_dtype(device_type) if dtype is None else dtype
        if self.dtype not in (*_LOW, wootz.float32):
            raise DTypeError(f"autocast computes in bfloat16 or float16 (float32: not at all), not in {self.dtype}")
        self.enabled = enabled and self.dtype != wootz.float32
        self.cache_enabled = cache_enabled

    def __enter__(self) -> autocast:
        caches = is_autocast_cache_enabled() if self.cache_enabled is None else self.cache_enabled
        kind = self.dtype if self.enabled else get_autocast_dtype(self.device)
        _core.autocast_push(self.device, kind, self.enabled, caches)
        return self

    def __exit__(self, *exception: object) -> None:
        _core.autocast_pop()

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside  # type: ignore[return-value]  # the same signature


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is inside `autocast` for a type of device."""
    return _core.autocast_state(device_type)[0]


def get_autocast_dtype(device_type: str) -> dtype:
    """The 16-bit dtype that `autocast` has, or would have by default, for a type of device."""
    return _core.autocast_state(device_type)[1]


def is_autocast_cache_enabled() -> bool:
    """Whether `autocast` keeps the casts of weights."""
    return _core.autocast_state("cpu")[2]


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` exists for a type of device."""
    return device_type in ("cpu", "cuda")


def clear_autocast_cache() -> None:
    """Forgets the casts of weights of this thread."""
    _core.autocast_forget()


def _cast(value: Any, device_type: str, kind: dtype) -> Any:
    """Floating-point tensors of a type of device in another dtype, inside lists, tuples and dicts too."""
    if isinstance(value, Tensor):
        low = value.dtype.is_floating_point and value.dtype != wootz.float64 and value.device.type == device_type
        return value.to(kind) if low else value
    if isinstance(value, dict):
        return {key: _cast(part, device_type, kind) for key, part in value.items()}
    return type(value)(_cast(part, device_type, kind) for part in value) if type(value) in (list, tuple) else value


def custom_fwd(fwd: F | None = None, *, device_type: str, cast_inputs: dtype | None = None) -> Any:
    """For ``forward(ctx, ...)`` of an `autograd.Function`: backward is to run in the precision of forward.

    With ``cast_inputs``, inside `autocast`, floating-point tensors are cast to that dtype, and it is off in forward.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        on, kind, _ = _core.autocast_state(device_type)
        ctx._autocast = (on and cast_inputs is None, kind)
        if not on or cast_inputs is None:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))

    return forward


def custom_bwd(bwd: F | None = None, *, device_type: str) -> Any:
    """For ``backward(ctx, ...)`` of an `autograd.Function` whose forward is under `custom_fwd`: in that precision."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *grads: Any) -> Any:
        on, kind = ctx._autocast
        with autocast(device_type, kind) if on else nullcontext():
            return bwd(ctx, *grads)

    return backward
