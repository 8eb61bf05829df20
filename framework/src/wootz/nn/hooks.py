"""Hooks of modules: handles that take them off, a call with hooks around it, and gradients seen as they pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from wootz._tensor import Tensor
from wootz.autograd import Function

if TYPE_CHECKING:
    from wootz.nn.module import Module

__all__ = ["RemovableHandle", "add_hook", "call_with_hooks"]


class RemovableHandle:
    """Returned by the ``register_*_hook`` methods; ``remove()`` takes the hook off, also at the end of a ``with``."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any]) -> None:
        self._hooks = hooks
        self.id = next(self._ids)

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def add_hook(hooks: dict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Adds a hook behind the others, or before them."""
    handle = RemovableHandle(hooks)
    others = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[handle.id] = hook
    hooks.update(others)
    return handle


class _Tap(Function):
    """Hands tensors through, and their gradients through a function."""

    @staticmethod
    def forward(ctx: Any, see: Callable[[tuple[Tensor, ...]], Any], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.see = see
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *ctx.see(grads))


def _tapped(values: Iterable[Any], see: Callable[[tuple[Tensor, ...]], Any]) -> list[Any]:
    """The values with every tensor that has a gradient tapped."""
    held = list(values)
    places = [i for i, v in enumerate(held) if isinstance(v, Tensor) and v.requires_grad]
    if places:
        for i, tensor in zip(places, _Tap.apply(see, *(held[i] for i in places)), strict=True):
            held[i] = tensor
    return held


def _replaced(changed: Any, grads: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    if changed is None:
        return grads
    new = changed if isinstance(changed, tuple) else (changed,)
    if len(new) != len(grads):
        raise RuntimeError(f"a backward hook returned {len(new)} gradients for {len(grads)} {what}")
    return new


class _BackwardHooks:
    """The backward hooks of one call of a module: ``before`` see the outputs' gradients, ``after`` the inputs' too."""

    def __init__(self, module: Module, before: Iterable[Any], after: Iterable[Any]) -> None:
        self.module, self.before, self.after = module, list(before), list(after)
        self.grad_output: tuple[Any, ...] = ()
        self.inputs: list[int] | None = None
        self.count = 0

    def inputs_of(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, tapped."""
        self.count = len(args)
        self.inputs = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        return tuple(_tapped(args, self._into))

    def outputs_of(self, output: Any) -> Any:
        """The output, or the tuple of them, tapped."""
        several = isinstance(output, tuple)
        found = _tapped(output if several else [output], self._out_of)
        return tuple(found) if several and type(output) is tuple else type(output)(*found) if several else found[0]

    def _out_of(self, grads: tuple[Tensor, ...]) -> tuple[Any, ...]:
        given: tuple[Any, ...] = grads
        for hook in self.before:
            given = _replaced(hook(self.module, given), given, "outputs")
        self.grad_output = given
        if not self.inputs:  # nothing is behind the module: this is where its backward ends
            for hook in self.after:
                hook(self.module, (None,) * self.count, given)
        return given

    def _into(self, grads: tuple[Tensor, ...]) -> tuple[Any, ...]:
        assert self.inputs is not None
        full: tuple[Any, ...] = tuple(
            grads[self.inputs.index(i)] if i in self.inputs else None for i in range(self.count)
        )
        for hook in self.after:
            full = _replaced(hook(self.module, full, self.grad_output), full, "inputs")
        return tuple(full[i] for i in self.inputs)


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The module's ``forward`` with its hooks around it."""
    for pre_hook, with_kwargs in list(module._forward_pre_hooks.values()):
        changed = pre_hook(module, args, kwargs) if with_kwargs else pre_hook(module, args)
        if changed is not None and with_kwargs:
            args, kwargs = changed
        elif changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    taps = None
    if module._backward_hooks or module._backward_pre_hooks:
        taps = _BackwardHooks(module, module._backward_pre_hooks.values(), module._backward_hooks.values())
        args = taps.inputs_of(args)
    try:
        output = module.forward(*args, **kwargs)
    except BaseException:
        _after(module, [hook for hook in module._forward_hooks.values() if hook[2]], args, kwargs, None)
        raise
    output = _after(module, list(module._forward_hooks.values()), args, kwargs, output)
    return output if taps is None else taps.outputs_of(output)


def _after(module: Module, hooks: list[Any], args: Any, kwargs: Any, output: Any) -> Any:
    for hook, with_kwargs, _ in hooks:
        changed = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        output = output if changed is None else changed
    return output
