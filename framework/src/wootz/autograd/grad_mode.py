"""Whether ops are put on the tape: a switch of each thread."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from wootz import _core

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]

F = TypeVar("F", bound=Callable[..., Any])

is_grad_enabled = _core.is_grad_enabled


class _Mode:
    """A context manager and decorator that holds the switch one way."""

    on: bool

    def __enter__(self) -> None:
        self._before = _core.set_grad_enabled(self.on)

    def __exit__(self, *exc: object) -> None:
        _core.set_grad_enabled(self._before)

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


class inference_mode(_Mode):
    """`no_grad` under the name that inference code uses; ``inference_mode(False)`` records."""

    def __init__(self, mode: bool = True) -> None:
        self.on = not mode


class set_grad_enabled(_Mode):
    """Sets the switch at once; as a context manager, puts it back at the end."""

    def __init__(self, mode: bool) -> None:
        self.on = bool(mode)
        self._before = _core.set_grad_enabled(self.on)

    def __enter__(self) -> None:
        _core.set_grad_enabled(self.on)
