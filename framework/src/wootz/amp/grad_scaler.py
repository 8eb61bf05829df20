"""Gradient scaling: small gradients of float16 would be zero, so the loss is made larger and they are divided again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.errors import GradientError
from wootz.optim.optimizer import Optimizer

__all__ = ["GradScaler"]

_SAVED = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")


class GradScaler:
    """Scales losses, divides gradients, and leaves out steps whose gradients are infinite or NaN (Micikevicius 2018).

    The scale is multiplied by ``backoff_factor`` after such a step, and by ``growth_factor`` after ``growth_interval``
    good ones. Without ``enabled`` it does nothing. For each step: ``scale(loss).backward()``, ``unscale_(optimizer)``
    if the gradients are to be clipped or looked at, ``step(optimizer)``, ``update()``.
    """

    def __init__(
        self, device: Any = "cpu", init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5,
        growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        if not growth_factor > 1 or not 0 < backoff_factor < 1:
            raise ValueError(
                f"growth_factor is over 1, backoff_factor in (0, 1); not {growth_factor} and {backoff_factor}"
            )
        if not init_scale > 0 or growth_interval < 1:
            raise ValueError(f"init_scale is over 0, growth_interval at least 1; not {init_scale}, {growth_interval}")
        self._scale, self._growth_factor, self._backoff_factor = float(init_scale), growth_factor, backoff_factor
        self._growth_interval, self._growth_tracker, self._enabled = growth_interval, 0, enabled
        self._found: dict[int, bool] = {}  # by optimiser: whether its gradients of this step are not finite
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """A loss times the scale, or a list or tuple of them."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(output) for output in outputs)
        raise TypeError(f"tensors, and lists and tuples of them, are scaled, not a {type(outputs).__name__}")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients of an optimiser's parameters by the scale. Raises `GradientError` the second time."""
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise GradientError("unscale_() was already called for this optimizer since the last update()")
        bad = False
        with wootz.no_grad():
            for group in optimizer.param_groups:
                for gradient in (p.grad.detach() for p in group["params"] if p.grad is not None):
                    gradient.mul_(1.0 / self._scale)
                    bad = bad or not wootz.isfinite(gradient).all().item()
        self._found[id(optimizer)] = bad

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """The optimiser's step, unless gradients are infinite or NaN; unscales them first if that was not done."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or kwargs:
            raise GradientError("a closure would compute gradients that are not unscaled: step() takes none here")
        if id(optimizer) in self._stepped:
            raise GradientError("step() was already called for this optimizer since the last update()")
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return None if self._found[id(optimizer)] else optimizer.step()

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Ends a step: sets the next one's scale, or takes the one given."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise GradientError("update() comes after step() or unscale_(): no gradients were looked at")
        elif any(self._found.values()):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self._found.clear()
        self._stepped.clear()

    def get_scale(self) -> float:
        """The scale in force, 1 if not enabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The scale and how it changes, with PyTorch's keys; empty if not enabled."""
        return {name: getattr(self, f"_{name.lstrip('_')}") for name in _SAVED} if self._enabled else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over a saved scale. Raises ValueError for the state of a scaler that was not enabled."""
        if not self._enabled:
            return
        if set(state_dict) != set(_SAVED):
            held = ", ".join(state_dict) or "nothing"
            raise ValueError(f"a scaler's state has {', '.join(_SAVED)}; this one has {held}")
        for name in _SAVED:
            setattr(self, f"_{name.lstrip('_')}", state_dict[name])
