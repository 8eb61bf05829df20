"""Modules without first values."""

from __future__ import annotations

from typing import Any, TypeVar

from wootz.nn.module import Module

__all__ = ["skip_init"]

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """A layer whose own parameters are not drawn, because they will be loaded or drawn otherwise."""
    if not issubclass(module_cls, Module):
        raise TypeError(f"a Module's class is needed, not {module_cls!r}")
    made = type(module_cls.__name__, (module_cls,), {"reset_parameters": lambda self: None})(*args, **kwargs)
    made.__class__ = module_cls
    return made  # type: ignore[no-any-return]  # of the class asked for
