"""Functions with a derivative written by hand."""

from __future__ import annotations

from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.autograd.grad_mode import no_grad
from wootz.errors import GradientError

__all__ = ["Function"]


class _Context:
    """What forward leaves for backward; any attribute may be set on it."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._saved: tuple[Tensor | None, ...] = ()
        self._versions: tuple[int, ...] = ()
        self._constant: set[int] = set()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors; writing to one in place before backward is an error."""
        self._saved = tensors
        self._versions = tuple(0 if t is None else t._version for t in tensors)

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was kept. Raises `GradientError` if it was changed since."""
        for t, version in zip(self._saved, self._versions, strict=True):
            if t is not None and t._version != version:
                raise GradientError(
                    "one of the values needed for gradient computation was modified by an in-place operation: "
                    f"a tensor of shape {t.shape} saved at version {version} is now at {t._version}"
                )
        return self._saved

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Outputs that get no gradient."""
        self._constant |= {id(t) for t in tensors}


class Function:
    """Subclass with static methods ``forward(ctx, *args)`` and ``backward(ctx, *grads)``, and call ``apply(*args)``.

    backward returns one gradient for each argument of forward, None where there is none. It is recorded itself under
    create_graph, so that it can be differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise NotImplementedError("a Function defines forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError("a Function defines backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs forward and records it."""
        ctx = _Context()
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            result = cls.forward(ctx, *args)
        outputs = list(result) if isinstance(result, tuple) else [result]
        known = {id(args[i]) for i in places}
        # An input handed through is an output of its own, or it would become its own ancestor.
        outputs = [o.detach() if isinstance(o, Tensor) and id(o) in known else o for o in outputs]
        recorded = [o for o in outputs if isinstance(o, Tensor) and id(o) not in ctx._constant]

        def backward(*grads: Tensor | None) -> tuple[Tensor | None, ...]:
            full = [o.detach() * 0 if g is None else g for g, o in zip(grads, shapes, strict=True)]
            found = cls.backward(ctx, *full)
            found = found if isinstance(found, tuple) else (found,)
            if len(found) != len(args):
                raise GradientError(
                    f"{cls.__name__}.backward returned {len(found)} gradients for {len(args)} arguments"
                )
            return tuple(found[i] for i in places)

        shapes = [o.detach() for o in recorded]
        if recorded:
            _core.record(cls.__name__, backward, [args[i] for i in places], recorded)
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]
