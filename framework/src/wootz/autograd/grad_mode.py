"""Whether ops are put on the tape: a switch of each thread."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from wootz import _core

__all__ = [
    "enable_grad", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "set_grad_enabled",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

is_grad_enabled = _core.is_grad_enabled
is_inference_mode_enabled = _core.is_inference_mode_enabled


class _Mode:
    """A context manager and decorator that holds the switch one way."""

    on: bool

    def __enter__(self) -> None:
        self._before = _core.set_grad_enabled(self.on)

    def __exit__(self, *exc: object) -> None:
        _core.set_grad_enabled(self._before)

    def __new__(cls, mode: Any = None) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)  # @no_grad without parentheses

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def held(*args: Any, **kwargs: Any) -> Any:
            before = _core.set_grad_enabled(self.on)
            try:
                return function(*args, **kwargs)
            finally:
                _core.set_grad_enabled(before)

        return held  # type: ignore[return-value]  # the same signature


class no_grad(_Mode):
    """Nothing inside is recorded."""

    on = False


class enable_grad(_Mode):
    """Everything inside is recorded, also within `no_grad`."""

    on = True


class inference_mode:
    """`no_grad` for code whose results are never differentiated: tensors made inside are inference tensors, which the
    tape refuses to save and which may be written in place inside only. ``inference_mode(False)`` records again.
    """

    def __init__(self, mode: bool | Callable[..., Any] = True) -> None:
        self._mode = bool(mode)

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)  # @inference_mode without parentheses

    def __enter__(self) -> None:
        self._before = _core.set_inference_mode(self._mode), _core.set_grad_enabled(not self._mode)

    def __exit__(self, *exc: object) -> None:
        inference, grad = self._before
        _core.set_inference_mode(inference)
        _core.set_grad_enabled(grad)

    def __call__(self, function: F) -> F:
        mode = self._mode

        @functools.wraps(function)
        def held(*args: Any, **kwargs: Any) -> Any:
            with inference_mode(mode):
                return function(*args, **kwargs)

        return held  # type: ignore[return-value]  # the same signature


class set_grad_enabled(_Mode):
    """Sets the switch at once; as a context manager, puts it back at the end."""

    def __init__(self, mode: bool) -> None:
        self.on = bool(mode)
        self._before = _core.set_grad_enabled(self.on)

    def __enter__(self) -> None:
        _core.set_grad_enabled(self.on)
