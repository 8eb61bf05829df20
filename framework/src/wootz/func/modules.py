"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor

__all__ = ["functional_call", "stack_module_state"]

State = Mapping[str, Tensor]


def functional_call(
    module: Any, parameters_and_buffers: State | Sequence[State], args: Any = None,
    kwargs: Mapping[str, Any] | None = None, *, strict: bool = False,
) -> Any:  # fmt: skip
    """``module(*args, **kwargs)`` with other tensors in place of its parameters and buffers, named as in state_dict.

    Several mappings are joined. The module keeps its own tensors. Raises ValueError for a name given twice, KeyError
    for one that the module does not have, and under ``strict`` for one that is missing.
    """
    given = _joined(parameters_and_buffers)
    places = {name: _place(module, name) for name in given}
    if strict:
        own = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
        if missing := own - set(given):
            raise KeyError(f"functional_call: strict=True, but no tensor was given for {sorted(missing)}")
    before = {name: registry[key] for name, (registry, key) in places.items()}
    try:
        for name, (registry, key) in places.items():
            registry[key] = given[name]
        return module(*(args if isinstance(args, tuple) else () if args is None else (args,)), **(kwargs or {}))
    finally:
        for name, (registry, key) in places.items():
            registry[key] = before[name]


def _joined(state: State | Sequence[State]) -> dict[str, Tensor]:
    parts = [state] if isinstance(state, Mapping) else list(state)
    out: dict[str, Tensor] = {}
    for part in parts:
        if twice := out.keys() & part.keys():
            raise ValueError(f"functional_call: {sorted(twice)} are in several of the mappings")
        out.update(part)
    return out


def _place(module: Any, name: str) -> tuple[dict[str, Any], str]:
    *path, key = name.split(".")
    owner = module
    for part in path:
        owner = owner._modules.get(part) if owner is not None else None
    for registry in (owner._parameters, owner._buffers) if owner is not None else ():
        if key in registry:
            return registry, key
    raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}")


def stack_module_state(modules: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(parameters, buffers) of modules of one class, each stacked along a new dimension 0, for `vmap` over models."""
    if not modules:
        raise ValueError("stack_module_state: expected at least one module")
    if len({type(m) for m in modules}) > 1:
        raise TypeError("stack_module_state: expected modules of one class")

    def stacked(named: str) -> dict[str, Tensor]:
        states = [dict(getattr(m, named)()) for m in modules]
        return {
            k: _core.stack([s[k].detach() for s in states]).requires_grad_(states[0][k].requires_grad)
            for k in states[0]
        }

    return stacked("named_parameters"), stacked("named_buffers")
