"""L-BFGS: Newton's direction from the last few gradients, for full batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import wootz
from wootz._tensor import Tensor
from wootz.optim.line_search import Point, strong_wolfe
from wootz.optim.optimizer import Closure, Optimizer, Params, check_range

__all__ = ["LBFGS"]

_MEMORY = ("old_dirs", "old_stps", "ro")  # changes of the gradient, moves, and one over their products


class LBFGS(Optimizer):
    """Each `step` makes up to ``max_iter`` iterations and calls the closure up to ``max_eval`` times (Nocedal 1980).

    The last ``history_size`` changes of gradient and position stand for the Hessian. ``line_search_fn`` is
    ``"strong_wolfe"``, or None for steps of length ``lr``. It stops early when no gradient is over ``tolerance_grad``
    or nothing changes by ``tolerance_change``. One parameter group; its state is kept with the first parameter.
    """

    reshaped: ClassVar[frozenset[str]] = frozenset({"d", "prev_flat_grad", "al", *_MEMORY})

    def __init__(
        self, params: Params, lr: float = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        defaults = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS takes one parameter group")

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"line_search_fn is 'strong_wolfe' or None, not {group['line_search_fn']!r}")
        if group["history_size"] < 1 or group["max_iter"] < 1:
            raise ValueError("history_size and max_iter are at least 1")

    def step(self, closure: Closure | None = None) -> Tensor | None:
        """Minimises with the closure, which computes the loss and its gradients; returns the loss at the start."""
        if closure is None:
            raise ValueError("LBFGS evaluates the loss several times: step() needs a closure")
        self._call(self._pre_hooks)
        with wootz.no_grad():
            first = _Run(self, closure).minimise()
        self._call(self._post_hooks)
        return first


class _Run:
    """One call of `LBFGS.step`."""

    def __init__(self, optimizer: LBFGS, closure: Closure) -> None:
        self.group = optimizer.param_groups[0]
        self.params: list[Tensor] = self.group["params"]
        self.state = optimizer.state[self.params[0]]
        self.closure, self.calls = closure, 0
        for name, value in (("func_evals", 0), ("n_iter", 0), ("H_diag", 1.0)):
            self.state.setdefault(name, value)
        for name in _MEMORY:
            self.state.setdefault(name, [])

    def evaluate(self) -> tuple[Tensor, Tensor]:
        """The loss and the gradients in one vector."""
        with wootz.enable_grad():
            loss = self.closure()
        self.calls += 1
        self.state["func_evals"] += 1
        flat = [wootz.zeros((p.numel(),), dtype=p.dtype) if p.grad is None else p.grad.reshape(-1) for p in self.params]
        return loss, wootz.cat(flat)

    def move(self, direction: Tensor, t: float) -> None:
        at = 0
        for p in self.params:
            p.add_(direction[at : at + p.numel()].reshape(p.shape), alpha=t)
            at += p.numel()

    def minimise(self) -> Tensor:
        first, gradient = self.evaluate()
        loss, group, state = float(first), self.group, self.state
        for i in range(group["max_iter"]):
            if _largest(gradient) <= group["tolerance_grad"]:
                break
            state["n_iter"] += 1
            direction = self.direction(gradient)
            slope = _dot(gradient, direction)
            fresh = state["n_iter"] == 1
            t = min(1.0, 1.0 / float(gradient.abs().sum().item())) * group["lr"] if fresh else group["lr"]
            state["d"], state["t"], state["prev_flat_grad"], state["prev_loss"] = direction, t, gradient, loss
            if slope > -group["tolerance_change"]:
                break
            before = loss
            last = i + 1 == group["max_iter"]
            state["t"], loss, gradient = self.advance(Point(0.0, loss, gradient, slope), direction, t, last)
            still = _largest(direction) * abs(state["t"]) <= group["tolerance_change"]
            if (
                still
                or self.calls >= group["max_eval"]
                or (not last and abs(loss - before) < group["tolerance_change"])
            ):
                break
        return first

    def advance(self, start: Point, direction: Tensor, t: float, last: bool) -> tuple[float, float, Tensor]:
        """Moves the parameters along a direction: the length of the step, and the loss and gradient there."""
        if self.group["line_search_fn"] is None:
            self.move(direction, t)
            if last:  # nobody would look at the loss there
                return t, start.loss, start.gradient
            loss, gradient = self.evaluate()
            return t, float(loss), gradient
        origin = [p.detach().clone() for p in self.params]

        def probe(length: float) -> Point:
            self.move(direction, length)
            loss, gradient = self.evaluate()
            for p, value in zip(self.params, origin, strict=True):
                p.copy_(value)
            return Point(length, float(loss), gradient, _dot(gradient, direction))

        most = self.group["max_eval"] - self.calls
        found, _ = strong_wolfe(probe, start, t, _largest(direction), self.group["tolerance_change"], most)
        self.move(direction, found.t)
        return found.t, found.loss, found.gradient

    def direction(self, gradient: Tensor) -> Tensor:
        """Minus the gradient times the inverse Hessian, as the memory has it."""
        state = self.state
        if state["n_iter"] == 1:
            return -gradient
        self.remember(gradient - state["prev_flat_grad"], state["d"] * float(state["t"]))
        memory = list(zip(*(state[name] for name in _MEMORY), strict=True))
        q, weights = -gradient, []
        for y, s, rho in reversed(memory):
            weights.append(_dot(s, q) * float(rho))
            q = q.sub(y, alpha=weights[-1])
        q = q * float(state["H_diag"])
        for (y, s, rho), weight in zip(memory, reversed(weights), strict=True):
            q = q.add(s, alpha=weight - _dot(y, q) * float(rho))
        return q

    def remember(self, change: Tensor, move: Tensor) -> None:
        curvature = _dot(change, move)
        if curvature <= 1e-10:
            return
        for name, value in zip(_MEMORY, (change, move, 1 / curvature), strict=True):
            self.state[name] = [*self.state[name], value][-self.group["history_size"] :]
        self.state["H_diag"] = curvature / _dot(change, change)


def _dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum().item())


def _largest(x: Tensor) -> float:
    return float(x.abs().amax().item()) if x.numel() else 0.0
