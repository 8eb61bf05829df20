"""Parameters that are functions of others: assigning a layer's weight a constraint, with PyTorch's names.

A parametrised ``weight`` becomes a property of the module's own class; what is trained is
``parametrizations.weight.original`` (``original0``, ``original1``, ... where a parametrisation takes several).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.containers import ModuleDict, ModuleList
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
    "type_before_parametrizations",
]  # fmt: skip

_cache: dict[tuple[int, str], Tensor] | None = None


@contextmanager
def cached() -> Iterator[None]:
    """Within it a parametrised tensor is computed once, however often it is read."""
    global _cache
    before = _cache
    _cache = {} if before is None else before
    try:
        yield
    finally:
        _cache = before


def _inverse(parametrization: Module, value: Any) -> Any:
    """What gives ``value`` under a parametrisation: by its ``right_inverse``, or the value itself."""
    inverse = getattr(parametrization, "right_inverse", None)
    return value if inverse is None else inverse(value)


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, first to last, and the original values they start from."""

    def __init__(self, modules: Sequence[Module], original: Tensor) -> None:
        super().__init__(modules)
        self.is_parameter = isinstance(original, Parameter)
        self._count = 0
        self._keep(original, original.requires_grad)

    def _keep(self, value: Any, requires_grad: bool) -> None:
        with wootz.no_grad():
            for parametrization in reversed(list(self)):
                value = _inverse(parametrization, value)
        several = isinstance(value, (tuple, list))
        names = [f"original{i}" for i in range(len(value))] if several else ["original"]
        self._count = len(names) if several else 0
        for name, part in zip(names, value if several else [value], strict=True):
            held = part.detach().clone() if name not in self._buffers and name not in self._parameters else part
            if name in self._parameters or name in self._buffers:
                getattr(self, name).data = held.detach()
            elif self.is_parameter:
                self.register_parameter(name, Parameter(held, requires_grad))
            else:
                self.register_buffer(name, held)

    def originals(self) -> list[Tensor]:
        """What the first parametrisation gets."""
        return [getattr(self, f"original{i}") for i in range(self._count)] if self._count else [self.original]

    def forward(self) -> Any:
        first, *others = list(self)
        value = first(*self.originals())
        for parametrization in others:
            value = parametrization(value)
        return value

    def right_inverse(self, value: Tensor) -> None:
        """Sets the originals so that the tensor becomes ``value``, as far as the parametrisations allow."""
        self._keep(value, True)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrised tensors, or that one."""
    held = module._modules.get("parametrizations")
    return isinstance(held, ModuleDict) and (len(held) > 0 if tensor_name is None else tensor_name in held)


def type_before_parametrizations(module: Module) -> type:
    """The module's class without the properties that were added for parametrised tensors."""
    return type(module).__mro__[1] if is_parametrized(module) else type(module)


def _property(name: str) -> property:
    def get(self: Any) -> Tensor:
        held = self.parametrizations[name]
        if _cache is None:
            return held()  # type: ignore[no-any-return]
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = held()
        return _cache[key]

    def put(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Makes a parameter or buffer the result of ``parametrization``, on top of those it has already.

    A ``right_inverse`` of the parametrisation finds the original that gives the present value; without one the present
    value becomes the original. Raises `ShapeError` unless the result has the tensor's shape and dtype (not checked if
    ``unsafe``), KeyError for a name that is no tensor of the module.
    """
    if is_parametrized(module, tensor_name):
        held = module.parametrizations[tensor_name]
        value = getattr(module, tensor_name).detach()
        held.append(parametrization)
        held.right_inverse(value)
        return module
    original = module._parameters.get(tensor_name, module._buffers.get(tensor_name))
    if original is None:
        raise KeyError(f"{type(module).__name__} has no parameter or buffer {tensor_name!r}")
    made = ParametrizationList([parametrization], original)
    if not unsafe:
        _check(made, original, tensor_name)
    if not is_parametrized(module):
        own = type(module)
        module.__class__ = type(f"Parametrized{own.__name__}", (own,), {})
        module.register_module("parametrizations", ModuleDict())
    for registry in (module._parameters, module._buffers):
        registry.pop(tensor_name, None)
    module.parametrizations[tensor_name] = made
    setattr(type(module), tensor_name, _property(tensor_name))
    return module


def _check(made: ParametrizationList, original: Tensor, name: str) -> None:
    with wootz.no_grad():
        result = made()
    if not isinstance(result, Tensor) or (result.shape, result.dtype) != (original.shape, original.dtype):
        found = f"{tuple(result.shape)} {result.dtype}" if isinstance(result, Tensor) else type(result).__name__
        raise ShapeError(
            f"the parametrisation of {name!r} gives {found}, the tensor is {tuple(original.shape)} {original.dtype}; "
            "pass unsafe=True if that is meant"
        )


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Makes a tensor an ordinary one again: of its present value, or with ``leave_parametrized`` False the original."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{type(module).__name__} has no parametrised {tensor_name!r}")
    held = module.parametrizations[tensor_name]
    if not leave_parametrized and len(held.originals()) > 1:
        raise ValueError(f"{tensor_name!r} has several originals: leave it parametrised")
    with wootz.no_grad():
        value = getattr(module, tensor_name).detach().clone() if leave_parametrized else held.original.detach()
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if held.is_parameter:
        module.register_parameter(tensor_name, Parameter(value, any(x.requires_grad for x in held.originals())))
    else:
        module.register_buffer(tensor_name, value)
    if not len(module.parametrizations):
        own = type(module).__mro__[1]
        del module._modules["parametrizations"]
        module.__class__ = own
    return module
