"""What every optimiser shares: parameter groups, state by parameter, hooks, saving and loading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

import wootz
from wootz._tensor import Tensor
from wootz.errors import StateDictError

__all__ = ["Closure", "Optimizer", "Params", "PerTensor", "check_hints", "check_range"]

Params: TypeAlias = Iterable[Tensor] | Iterable[Mapping[str, Any]]
Closure: TypeAlias = Callable[[], Tensor]
StepHook: TypeAlias = Callable[["Optimizer"], None]

_HINTS = ("foreach", "fused", "capturable")  # which of PyTorch's implementations to take; there is one here


def check_hints(hints: Mapping[str, Any]) -> None:
    """Accepts PyTorch's hints on speed, which change nothing here; raises TypeError for any other option."""
    if unknown := set(hints) - {*_HINTS, "differentiable"}:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
    if hints.get("differentiable"):
        raise ValueError("differentiable=True: steps are not recorded for derivatives; write them as tensor operations")


def check_range(group: Mapping[str, Any], *names: str) -> None:
    """Raises ValueError unless every option is a number of at least 0, and ``betas`` are in [0, 1)."""
    for name in names:
        if name == "betas":
            if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
                raise ValueError(f"betas are two numbers in [0, 1), not {group['betas']}")
        elif not group[name] >= 0:
            raise ValueError(f"{name} is at least 0, not {group[name]}")


class Optimizer:
    """Updates parameters from their gradients; subclasses define `update` for one group.

    ``params`` are tensors, or dicts that hold ``params`` and options of their own. An option that a group does not
    set takes the value in ``defaults``.
    """

    reshaped: ClassVar[frozenset[str]] = frozenset()  # state that has another shape than its parameter

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._pre_hooks: list[StepHook] = []
        self._post_hooks: list[StepHook] = []
        if isinstance(params, Tensor):
            raise TypeError("params is an iterable of tensors or of dicts, not one tensor")
        groups = list(params)
        if not groups:
            raise ValueError("an optimizer needs at least one parameter")
        for group in groups if isinstance(groups[0], Mapping) else [{"params": groups}]:
            assert isinstance(group, Mapping)
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Adds tensors with options of their own, for layers that are unfrozen later."""
        held = param_group["params"]
        params = [held] if isinstance(held, Tensor) else list(held)
        taken = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"an optimizer updates tensors, not {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("an optimizer updates leaf tensors, not the results of operations")
            if id(p) in taken:
                raise ValueError("a parameter is in the optimizer twice")
            taken.add(id(p))
        if unknown := set(param_group) - {"params", "initial_lr", *self.defaults}:
            raise ValueError(f"{type(self).__name__} has no option {', '.join(sorted(unknown))}")
        group = {**self.defaults, **param_group, "params": params}
        self.check(group)
        self.param_groups.append(group)

    def check(self, group: Mapping[str, Any]) -> None:
        """Raises ValueError for an option out of its range."""

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        """One step of a group, for the parameters that have a gradient."""
        raise NotImplementedError(f"{type(self).__name__} has no update()")

    def step(self, closure: Closure | None = None) -> Tensor | None:
        """Updates every parameter that has a gradient; ``closure`` computes the loss and its gradients first."""
        loss = None
        self._call(self._pre_hooks)
        if closure is not None:
            with wootz.enable_grad():
                loss = closure()
        with wootz.no_grad():
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                if params:
                    self.update(group, params, [p.grad for p in params])
        self._call(self._post_hooks)
        return loss

    def _call(self, hooks: Iterable[StepHook]) -> None:
        for hook in list(hooks):
            hook(self)

    def register_step_pre_hook(self, hook: StepHook) -> Callable[[], None]:
        """``hook(optimizer)`` runs before each step; call what is returned to take it off."""
        self._pre_hooks.append(hook)
        return lambda: self._pre_hooks.remove(hook)

    def register_step_post_hook(self, hook: StepHook) -> Callable[[], None]:
        """``hook(optimizer)`` runs after each step; call what is returned to take it off."""
        self._post_hooks.append(hook)
        return lambda: self._post_hooks.remove(hook)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears every parameter's gradient, or fills it with zeros."""
        for p in self._all():
            if set_to_none or p.grad is None:
                p.grad = None
            else:
                p.grad.detach().zero_()

    def _all(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    def state_dict(self) -> dict[str, Any]:
        """Options and state, with parameters replaced by their number in the order of the groups."""
        number = {id(p): i for i, p in enumerate(self._all())}
        groups = [{**group, "params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": {number[id(p)]: dict(state) for p, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over options and state, matched by the parameters' order.

        Raises `StateDictError`, before anything is changed, if groups or shapes differ.
        """
        saved, params = state_dict["param_groups"], list(self._all())
        sizes = [[len(group["params"]) for group in groups] for groups in (saved, self.param_groups)]
        if sizes[0] != sizes[1]:
            raise StateDictError(f"the state has groups of {sizes[0]} parameters, the optimizer of {sizes[1]}")
        numbers = [number for group in saved for number in group["params"]]
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, p in zip(numbers, params, strict=True):
            for name, value in state_dict["state"].get(number, {}).items():
                state[p][name] = self._own(name, value, p, number)
        self.state = state
        for group, theirs in zip(self.param_groups, saved, strict=True):
            group.update({name: value for name, value in theirs.items() if name != "params"})

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            lines.append(f"  {i}: {len(group['params'])} parameters, {options}")
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"

    def _own(self, name: str, value: Any, parameter: Tensor, number: int) -> Any:
        """A loaded value as this optimiser keeps it: tensors in the parameter's type, PyTorch's steps as ints."""
        if isinstance(value, list):
            return [self._own(name, item, parameter, number) for item in value]
        if not isinstance(value, Tensor):
            return value
        if name == "step":
            return int(value.item())
        if name not in self.reshaped and value.dim() and value.shape != parameter.shape:
            raise StateDictError(
                f"{name} of parameter {number} has shape {tuple(value.shape)}, the parameter {tuple(parameter.shape)}"
            )
        dtype = parameter.dtype if value.dtype.is_floating_point else value.dtype
        return value.detach().to(parameter.device, dtype, copy=True)


class PerTensor(Optimizer):
    """An optimiser over tensor operations, one parameter at a time: subclasses define `move`.

    ``maximize`` and ``weight_decay`` (unless ``decoupled_weight_decay``) are already in the gradient that `move` gets.
    """

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        """One step of a parameter; ``state["step"]`` counts from 1."""
        raise NotImplementedError(f"{type(self).__name__} has no move()")

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        for p, grad in zip(params, grads, strict=True):
            state = self.state[p]
            state["step"] = state.get("step", 0) + 1
            g = -grad if group["maximize"] else grad
            decay = group["weight_decay"]
            if decay and group.get("decoupled_weight_decay"):
                p.mul_(1 - group["lr"] * decay)
            elif decay:
                g = g.add(p, alpha=decay)
            self.move(group, p, g, state)

    def zeros(self, state: dict[str, Any], name: str, p: Tensor) -> Tensor:
        """A state tensor in p's shape, zero at first."""
        if state.get(name) is None:
            state[name] = wootz.zeros_like(p)
        kept: Tensor = state[name]
        return kept
