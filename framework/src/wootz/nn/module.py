"""The base of all layers: named parameters, buffers and submodules, hooks, and state that can be saved."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

import wootz
from wootz._conversion import parse_to
from wootz._tensor import Tensor
from wootz.nn.hooks import RemovableHandle, add_hook, call_with_hooks
from wootz.nn.parameter import Buffer, Parameter
from wootz.nn.state import IncompatibleKeys, load_into, saved_tensors

__all__ = ["Module"]

_HOOKS = (
    "_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks", "_state_dict_pre_hooks",
    "_state_dict_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip

M = TypeVar("M", bound="Module")
T = TypeVar("T")


class Module:
    """A function with state: subclasses assign parameters and submodules in ``__init__`` and define ``forward``.

    Assigning a `Parameter` or a `Module` as an attribute registers it under that name. Calling the module runs its
    hooks around ``forward``.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent: set[str]
    _forward_pre_hooks: dict[int, tuple[Callable[..., Any], bool]]
    _forward_hooks: dict[int, tuple[Callable[..., Any], bool, bool]]
    _backward_pre_hooks: dict[int, Callable[..., Any]]
    _backward_hooks: dict[int, Callable[..., Any]]
    _state_dict_pre_hooks: dict[int, Callable[..., Any]]
    _state_dict_hooks: dict[int, Callable[..., Any]]
    _load_state_dict_pre_hooks: dict[int, Callable[..., Any]]
    _load_state_dict_post_hooks: dict[int, Callable[..., Any]]

    def __init__(self) -> None:
        state: dict[str, Any] = {"training": True, "_non_persistent": set()}
        for registry in ("_parameters", "_buffers", "_modules", *_HOOKS):
            state[registry] = {}
        self.__dict__.update(state)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the module's output; every subclass that is called defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (self._forward_pre_hooks or self._forward_hooks or self._backward_pre_hooks or self._backward_hooks):
            return self.forward(*args, **kwargs)
        return call_with_hooks(self, args, kwargs)

    # Registration

    def _registries(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"call super().__init__() in {type(self).__name__}.__init__() before assigning to it")
        return self._parameters, self._buffers, self._modules

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.register_module(name, value)
        elif isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)
        else:
            for registry in self._registries() if self.__dict__ else ():
                if name in registry:
                    self._reassign(registry, name, value)
                    return
            object.__setattr__(self, name, value)

    def _reassign(self, registry: dict[str, Any], name: str, value: Any) -> None:
        if value is not None and not (registry is self._buffers and isinstance(value, Tensor)):
            kind = {id(self._parameters): "Parameter", id(self._buffers): "Tensor"}.get(id(registry), "Module")
            raise TypeError(f"{name!r} is registered: assign a {kind} or None, not {type(value).__name__}")
        registry[name] = value

    def __getattr__(self, name: str) -> Any:
        for registry in ("_parameters", "_buffers", "_modules"):
            held = self.__dict__.get(registry, {})
            if name in held:
                return held[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in self._registries():
            if name in registry:
                del registry[name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _claim(self, registry: dict[str, Any], name: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"a name is a non-empty string without a dot, not {name!r}")
        if name not in registry and hasattr(self, name):
            if name not in self.__dict__ and all(name not in held for held in self._registries()):
                raise KeyError(f"{name!r} is an attribute of {type(self).__name__}")
            for held in (self.__dict__, *self._registries()):
                held.pop(name, None)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under a name; None keeps the name without a value (a layer without bias)."""
        self._registries()
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"{name!r}: a Parameter or None is needed, not {type(param).__name__}")
        self._claim(self._parameters, name)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is state but not trained; saved with the state dict if ``persistent``."""
        self._registries()
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"{name!r}: a Tensor or None is needed, not {type(tensor).__name__}")
        self._claim(self._buffers, name)
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule under a name."""
        self._registries()
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{name!r}: a Module or None is needed, not {type(module).__name__}")
        self._claim(self._modules, name)
        self._modules[name] = module

    add_module = register_module

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """``hook(module, args)`` runs before ``forward`` and may return other arguments.

        ``with_kwargs`` gives it the keyword arguments too, and takes both back; ``prepend`` runs it before others.
        """
        return add_hook(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """``hook(module, args, output)`` runs after ``forward`` and may return another output.

        ``always_call`` runs it, with None for the output, where ``forward`` raises.
        """
        return add_hook(self._forward_hooks, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """``hook(module, grad_output)`` sees the outputs' gradients first, and may return others."""
        return add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """``hook(module, grad_input, grad_output)`` sees the gradients of positional inputs, and may return others."""
        return add_hook(self._backward_hooks, hook, prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(module, prefix, keep_vars)`` runs before this module's part of a state dict is made."""
        return add_hook(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(module, state_dict, prefix, local_metadata)`` may change the state dict when this module is in it."""
        return add_hook(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`` runs
        before this module's part of a state dict is looked at, and may change it.
        """
        return add_hook(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """``hook(module, incompatible_keys)`` runs after loading, and may change the lists of keys in place."""
        return add_hook(self._load_state_dict_post_hooks, hook)

    # Traversal

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if remove_duplicate and self in memo:
            return
        memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def _named(self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in getattr(module, registry).items():
                if tensor is None or (remove_duplicate and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their dotted names; a parameter held twice comes once."""
        return cast(Iterator[tuple[str, Parameter]], self._named("_parameters", prefix, recurse, remove_duplicate))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their dotted names."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules with their names, each once."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Parameters, each once: what an optimiser takes."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def children(self) -> Iterator[Module]:
        """The direct submodules."""
        return (module for _, module in self.named_children())

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; raises AttributeError if there is none."""
        module = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(f"{type(module).__name__} has no submodule {name!r} (in {target!r})")
            module = found
        return module

    def set_submodule(self, target: str, module: Module) -> None:
        """Puts a module in the place of a dotted name, whose parent has to exist."""
        path, _, name = target.rpartition(".")
        self.get_submodule(path).register_module(name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name; raises AttributeError if there is none."""
        return cast(Parameter, self._get("_parameters", "parameter", target))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name; raises AttributeError if there is none."""
        return self._get("_buffers", "buffer", target)

    def _get(self, registry: str, kind: str, target: str) -> Tensor:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found: Tensor | None = getattr(module, registry).get(name)
        if found is None:
            raise AttributeError(f"{type(module).__name__} has no {kind} {name!r} (in {target!r})")
        return found

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Calls ``fn`` on every module below, then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # Modes, types, gradients

    def train(self: M, mode: bool = True) -> M:
        """Sets training mode here and below (dropout drops in it)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Sets evaluation mode here and below."""
        return self.train(False)

    def _convert(self: M, change: Callable[[Tensor], Tensor]) -> M:
        """Replaces the data of every parameter and buffer in place: optimisers and other holders see the change."""
        for tensor in itertools.chain(self.parameters(), self.buffers()):
            gradient = tensor.grad
            tensor.grad = None
            tensor.data = change(tensor.data)
            tensor.grad = None if gradient is None else change(gradient.detach())
        return self

    def to(self: M, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False) -> M:
        """Moves parameters and buffers to a device, and floating-point ones to a dtype.

        ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(tensor)`` (its device and dtype). Copies are
        waited for, whatever ``non_blocking`` says: the memory they come from is let go at once.
        """
        device, dtype = parse_to(args, device, dtype)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"a module is converted to floating-point dtypes only, not {dtype}")

        def change(tensor: Tensor) -> Tensor:
            moved = tensor if device is None else tensor.to(device)
            return moved if dtype is None or not moved.dtype.is_floating_point else moved.to(dtype)

        return self._convert(change)

    def float(self: M) -> M:
        """Floating-point parameters and buffers to float32."""
        return self.to(wootz.float32)

    def double(self: M) -> M:
        """Floating-point parameters and buffers to float64."""
        return self.to(wootz.float64)

    def type(self: M, dst_type: Any) -> M:
        """All parameters and buffers to a dtype, integer ones too."""
        return self._convert(lambda tensor: tensor.to(dst_type))

    def half(self: M) -> M:
        """Floating-point parameters and buffers to float16."""
        return self.to(wootz.float16)

    def bfloat16(self: M) -> M:
        """Floating-point parameters and buffers to bfloat16."""
        return self.to(wootz.bfloat16)

    def cpu(self: M) -> M:
        """Parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self: M) -> M:
        """Parameters and buffers to the current CUDA device."""
        return self.to("cuda")

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Says for every parameter whether gradients are recorded for it."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears every parameter's gradient, or fills it with zeros."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.detach().zero_()

    # State

    def extra_repr(self) -> str:
        """What stands between the parentheses of this module's line in `repr`."""
        return ""

    def __repr__(self) -> str:
        lines = [self.extra_repr()] if self.extra_repr() else []
        lines += [f"({name}): {module!r}" for name, module in self._modules.items()]
        if not self._modules:
            return f"{type(self).__name__}({''.join(lines)})"
        inside = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inside}\n)"

    def get_extra_state(self) -> Any:
        """What a subclass saves beside its tensors; with `set_extra_state`, it takes part in state dicts."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state")

    def set_extra_state(self, state: Any) -> None:
        """Takes back what `get_extra_state` gave."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state")

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name, sharing storage with the module's own."""
        return saved_tensors(self, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copies values into parameters and buffers of the same names, or with ``assign`` puts the tensors there.

        Raises `StateDictError`, before anything is changed, naming every size that differs and, if ``strict``, every
        missing and unexpected key.
        """
        return load_into(self, state_dict, strict, assign)
