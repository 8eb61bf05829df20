"""What every optimiser shares: parameter groups, state by parameter, saving and loading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import wootz
from wootz._tensor import Tensor
from wootz.errors import StateDictError

__all__ = ["Closure", "Optimizer", "Params"]

Params: TypeAlias = Iterable[Tensor] | Iterable[Mapping[str, Any]]
Closure: TypeAlias = Callable[[], Tensor]


class Optimizer:
    """Updates parameters from their gradients; subclasses define `update` for one group.

    ``params`` are tensors, or dicts that hold ``params`` and options of their own. An option that a group does not
    set takes the value in ``defaults``.
    """

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
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
        if closure is not None:
            with wootz.enable_grad():
                loss = closure()
        with wootz.no_grad():
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                if params:
                    self.update(group, params, [p.grad for p in params])
        return loss

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
                state[p][name] = _own(value, p, f"{name} of parameter {number}")
        self.state = state
        for group, theirs in zip(self.param_groups, saved, strict=True):
            group.update({name: value for name, value in theirs.items() if name != "params"})

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            lines.append(f"  {i}: {len(group['params'])} parameters, {options}")
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


def _own(value: Any, parameter: Tensor, what: str) -> Any:
    if not isinstance(value, Tensor):
        return value
    if value.dim() and value.shape != parameter.shape:
        raise StateDictError(f"{what} has shape {tuple(value.shape)}, the parameter {tuple(parameter.shape)}")
    return value.detach().clone()
