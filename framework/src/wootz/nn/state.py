"""State dicts: a module's tensors by dotted name, and loading them, with PyTorch's keys, hooks and messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import wootz
from wootz._tensor import Tensor
from wootz.errors import StateDictError
from wootz.nn.parameter import Parameter

if TYPE_CHECKING:
    from wootz.nn.module import Module

__all__ = ["IncompatibleKeys", "load_into", "saved_tensors"]

_EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _own(module: Module) -> Iterator[tuple[str, Tensor]]:
    """A module's own saved tensors, by their plain names."""
    for name, tensor in module._parameters.items():
        if tensor is not None:
            yield name, tensor
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent:
            yield name, buffer


def _has_extra(module: Module) -> bool:
    from wootz.nn.module import Module

    return type(module).get_extra_state is not Module.get_extra_state


def _children(module: Module, prefix: str) -> Iterator[tuple[Module, str]]:
    for name, child in module._modules.items():
        if child is not None:
            yield child, f"{prefix}{name}."


def saved_tensors(module: Module, prefix: str, keep_vars: bool) -> dict[str, Any]:
    """The state dict: a module's own tensors, then its children's, duplicates included."""
    found: dict[str, Any] = {}
    _collect(module, found, prefix, keep_vars)
    return found


def _collect(module: Module, found: dict[str, Any], prefix: str, keep_vars: bool) -> None:
    for hook in list(module._state_dict_pre_hooks.values()):
        hook(module, prefix, keep_vars)
    for name, tensor in _own(module):
        found[prefix + name] = tensor if keep_vars else tensor.detach()
    if _has_extra(module):
        found[prefix + _EXTRA] = module.get_extra_state()
    for child, path in _children(module, prefix):
        _collect(child, found, path, keep_vars)
    for hook in list(module._state_dict_hooks.values()):
        hook(module, found, prefix, {})


class _Plan:
    """What a load will do, so that nothing is changed before everything was found to fit."""

    def __init__(self, state: dict[str, Any], strict: bool) -> None:
        self.state, self.strict = state, strict
        self.copies: list[tuple[Module, str, Tensor, Tensor]] = []
        self.extras: list[tuple[Module, Any]] = []
        self.known: set[str] = set()
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []

    def visit(self, module: Module, prefix: str, assign: bool) -> None:
        for hook in list(module._load_state_dict_pre_hooks.values()):
            hook(module, self.state, prefix, {}, self.strict, self.missing, self.unexpected, self.errors)
        for name, tensor in _own(module):
            key = prefix + name
            self.known.add(key)
            if key not in self.state:
                self.missing.append(key)
            elif problem := _mismatch(key, tensor, self.state[key], assign):
                self.errors.append(problem)
            else:
                self.copies.append((module, name, tensor, self.state[key]))
        if _has_extra(module):
            self.known.add(prefix + _EXTRA)
            if prefix + _EXTRA in self.state:
                self.extras.append((module, self.state[prefix + _EXTRA]))
            else:
                self.missing.append(prefix + _EXTRA)
        for child, path in _children(module, prefix):
            self.visit(child, path, assign)


def load_into(module: Module, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """Plans, checks, then copies."""
    plan = _Plan(dict(state_dict), strict)
    plan.visit(module, "", assign)
    plan.unexpected += [key for key in plan.state if key not in plan.known]
    keys = IncompatibleKeys(plan.missing, plan.unexpected)
    for part in reversed(list(module.modules())):
        for hook in list(part._load_state_dict_post_hooks.values()):
            hook(part, keys)
    _raise_for(module, plan, keys)
    for holder, name, ours, theirs in plan.copies:
        if assign:
            _assign(holder, name, ours, theirs)
        else:
            ours.detach().copy_(theirs)
    for holder, extra in plan.extras:
        holder.set_extra_state(extra)
    return keys


def _raise_for(module: Module, plan: _Plan, keys: IncompatibleKeys) -> None:
    errors = list(plan.errors)
    if plan.strict:
        for kind, names in (("Missing", keys.missing_keys), ("Unexpected", keys.unexpected_keys)):
            if names:
                listed = ", ".join(f'"{name}"' for name in names)
                errors.append(f"{kind} key(s) in state_dict: {listed}. ")
    if errors:
        raise StateDictError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(errors))


def _assign(holder: Module, name: str, ours: Tensor, theirs: Tensor) -> None:
    if name in holder._parameters:
        held = theirs if isinstance(theirs, Parameter) else Parameter(theirs, requires_grad=ours.requires_grad)
        holder._parameters[name] = held
    else:
        holder._buffers[name] = theirs


def _mismatch(key: str, ours: Tensor, theirs: Any, assign: bool) -> str | None:
    if not isinstance(theirs, Tensor):
        return f'While copying the parameter named "{key}", expected a Tensor but received {type(theirs).__name__}'
    if tuple(ours.shape) != tuple(theirs.shape):
        return (
            f"size mismatch for {key}: copying a param with shape {tuple(theirs.shape)} from checkpoint, the shape in "
            f"current model is {tuple(ours.shape)}."
        )
    if not assign and theirs.dtype.is_complex and not ours.dtype.is_complex:
        return f"{key} is {wootz.dtype.__name__} {theirs.dtype.name}, which does not fit into {ours.dtype.name}"
    return None
