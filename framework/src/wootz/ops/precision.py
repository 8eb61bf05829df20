"""What mixed precision makes of the inputs of an op that is written in Python: the native table's field, as a wrapper.

Rules are "low" (the 16-bit type in force), "wide" (float32), "widest" (that of the inputs) and "same" (as they are);
under any of them, what the op is made of is left alone. A rule is for both types of device, or one for each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from wootz import _core
from wootz._core import Tensor

__all__: list[str] = []

F = TypeVar("F", bound=Callable[..., Any])
Rule = str | Mapping[str, str]


def by_device(rule: Rule) -> dict[str, str]:
    """The rule for each type of device that has one."""
    return {t: rule for t in ("cpu", "cuda") if rule} if isinstance(rule, str) else dict(rule)


def autocasting(function: F, rule: Rule) -> F:
    """The function, on inputs cast by the rule while `wootz.autocast` is on."""
    rules = by_device(rule)
    cpu, cuda = rules.get("cpu", ""), rules.get("cuda", "")

    @functools.wraps(function)
    def op(*args: Any, **kwargs: Any) -> Any:
        if not _core.autocasting():
            return function(*args, **kwargs)
        given: list[Tensor] = []
        _collect((args, kwargs), given)
        found = _core.autocast_inputs(cpu, cuda, given)
        if found is None:
            return function(*args, **kwargs)
        args, kwargs = _filled((args, kwargs), iter(found))
        before = _core.autocast_suspend(True)
        try:
            return function(*args, **kwargs)
        finally:
            _core.autocast_suspend(before)

    return op  # type: ignore[return-value]  # the same signature


def _collect(value: Any, into: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        into.append(value)
    elif type(value) in (tuple, list, dict):
        for part in value.values() if isinstance(value, dict) else value:
            _collect(part, into)


def _filled(value: Any, tensors: Any) -> Any:
    """The value with each tensor, in the order of `_collect`, replaced by the next one."""
    if isinstance(value, Tensor):
        return next(tensors)
    if type(value) is dict:
        return {key: _filled(part, tensors) for key, part in value.items()}
    return type(value)(_filled(part, tensors) for part in value) if type(value) in (tuple, list) else value
