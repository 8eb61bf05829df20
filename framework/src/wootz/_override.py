"""Subclasses of Tensor that say themselves what an op does with them.

Every op of the core, called as a function, a method or an operator, with an argument of a subclass, calls the class
method ``__wootz_function__(func, types, args, kwargs)`` of that subclass instead (the most derived one's first; one
that returns NotImplemented passes). Ops written in Python are made of the core's, and are seen as those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from wootz import _core
from wootz._core import Tensor

__all__ = ["as_subclass", "ask_classes", "disabled_wootz_function", "init_subclass", "wootz_function"]

Op = Callable[..., Any]


def wootz_function(
    cls: type[Tensor],
    func: Op,
    types: tuple[type, ...],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
) -> Any:
    """What a subclass does unless it says otherwise: the op on plain tensors, its results as objects of the subclass.

    An override calls ``super().__wootz_function__(func, types, args, kwargs)`` to get on.
    """
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    return _converted(_core.call_plain(func, args, kwargs), cls, args)


def _converted(result: Any, cls: type[Tensor], args: tuple[Any, ...]) -> Any:
    if type(result) is tuple:
        return tuple(_converted(x, cls, args) for x in result)
    # An op in place returns what it was given; anything else of the subclass already is what its maker wanted.
    if not isinstance(result, Tensor) or isinstance(result, cls):
        return result
    return as_subclass(result, cls)


def disabled_wootz_function(
    cls: type[Tensor],
    func: Op,
    types: tuple[type, ...],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
) -> Any:
    """For subclasses whose ops give plain tensors: ``__wootz_function__ = disabled``. Their ops cost nothing more."""
    return _core.call_plain(func, args, kwargs)


def as_subclass(self: Tensor, cls: type[Tensor]) -> Any:
    """The same values and history as an object of a subclass of Tensor."""
    return _core.as_subclass(self, cls)


def init_subclass(cls: type[Tensor], /, **rest: Any) -> None:
    """Every subclass takes part in the protocol from its definition on, unless it is disabled."""
    super(Tensor, cls).__init_subclass__(**rest)
    method = getattr(cls.__wootz_function__, "__func__", cls.__wootz_function__)
    _core.register_override(cls, method is not disabled_wootz_function)


def _overriding(values: Any) -> Iterator[type[Tensor]]:
    for x in values:
        if isinstance(x, (tuple, list)):
            yield from _overriding(x)
        elif isinstance(x, Tensor) and type(x) is not Tensor:
            yield type(x)


def _ordered(types: list[type[Tensor]]) -> list[type[Tensor]]:
    """From left to right, but subclasses before the classes they derive from."""
    order: list[type[Tensor]] = []
    for t in dict.fromkeys(types):
        place = next((i for i, other in enumerate(order) if issubclass(t, other)), len(order))
        order.insert(place, t)
    return order


def ask_classes(func: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the classes of the arguments make of an op. Raises TypeError where all of them pass."""
    types = [t for t in _overriding((*args, *kwargs.values())) if _enabled(t)]
    order = _ordered(types)
    for t in order:
        result = t.__wootz_function__(func, tuple(order), args, kwargs)
        if result is not NotImplemented:
            return result
    names = ", ".join(t.__name__ for t in order)
    raise TypeError(f"no implementation of {getattr(func, '__name__', func)!r}: __wootz_function__ of {names} returned "
                    "NotImplemented for these arguments")  # fmt: skip


def _enabled(t: type[Tensor]) -> bool:
    method = getattr(t.__wootz_function__, "__func__", t.__wootz_function__)
    return method is not disabled_wootz_function


_core.set_override_handler(ask_classes)
