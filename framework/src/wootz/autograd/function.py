"""Functions with a derivative written by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from wootz import _core
from wootz._core import Node, Tensor
from wootz.autograd.grad_mode import no_grad
from wootz.errors import GradientError

__all__ = ["Function", "once_differentiable"]

F = TypeVar("F", bound=Callable[..., Any])


class _Kept:
    """A tensor that forward saved: the value, or what the saved-tensor hooks made of it."""

    def __init__(self, tensor: Tensor, slot: int | None) -> None:
        # An output is kept without its history, or the node would keep itself alive.
        self.value: Any = tensor if slot is None else tensor.detach()
        self.slot, self.version, self.shape = slot, tensor._version, tensor.shape
        self.unpack: Callable[[Any], Tensor] | None = None
        if (hooks := _core.saved_hooks()) is not None:
            pack, self.unpack = hooks
            self.value = pack(self.value)

    def restore(self, node: Node | None) -> Tensor:
        value: Tensor = self.value if self.unpack is None else self.unpack(self.value)
        if self.unpack is None and value._version != self.version:
            raise GradientError(
                "one of the values needed for gradient computation was modified by an in-place operation: "
                f"a tensor of shape {self.shape} saved at version {self.version} is now at {value._version}"
            )
        if self.slot is None or node is None or not _core.is_grad_enabled():
            return value
        return _core.attach(value, node, self.slot)


class _Context:
    """What forward leaves for backward; any attribute may be set on it."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._to_save: tuple[Tensor | None, ...] = ()
        self._kept: list[_Kept | None] | None = []
        self._constant: set[int] = set()
        self._dirty: set[int] = set()
        self._materialize = True
        self._node: Node | None = None  # while backward runs

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors; writing to one in place before backward is an error."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward can only save tensors, not a {type(t).__name__}; set "
                                "it as an attribute of ctx")  # fmt: skip
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was kept. Raises `GradientError` if it was changed since, or freed by a backward."""
        if self._kept is None:
            raise GradientError("Trying to backward through the graph a second time, but its saved values were freed. "
                                "Specify retain_graph=True on the first backward if you need this")  # fmt: skip
        return tuple(None if k is None else k.restore(self._node) for k in self._kept)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Outputs that get no gradient."""
        self._constant |= {id(t) for t in tensors}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Inputs that forward wrote to in place; they have to be returned."""
        self._dirty |= {id(t) for t in tensors}

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs without a gradient."""
        self._materialize = value

    def _keep(self, slots: dict[int, int]) -> None:
        self._kept = [None if t is None else _Kept(t, slots.get(id(t))) for t in self._to_save]
        self._to_save = ()


class Function:
    """Subclass with static methods ``forward(ctx, *args)`` and ``backward(ctx, *grads)``, and call ``apply(*args)``.

    Or with ``forward(*args)`` and ``setup_context(ctx, inputs, output)``. Arguments that are no tensors are passed on.
    backward returns one gradient for each argument of forward, None where there is none. It is recorded itself under
    create_graph, so that it can be differentiated again (unless marked `once_differentiable`).
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a Function defines forward(ctx, *args), or forward(*args) with setup_context")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        raise NotImplementedError("a Function defines setup_context(ctx, inputs, output) if forward takes no ctx")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError("a Function defines backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs forward and records it. Raises `GradientError` where forward breaks one of its promises."""
        ctx = _Context()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            result = cls._forward(ctx, args)
        outputs = list(result) if isinstance(result, tuple) else [result]
        known = {id(a) for a in args if isinstance(a, Tensor)}
        _check_dirty(cls.__name__, ctx, outputs)
        # An input handed through is an output of its own, or it would become its own ancestor.
        outputs = [o.detach() if _handed_through(o, known - ctx._dirty) else o for o in outputs]
        _keep_and_record(cls, ctx, args, [o if isinstance(o, Tensor) else None for o in outputs])
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]

    @classmethod
    def _forward(cls, ctx: _Context, args: tuple[Any, ...]) -> Any:
        if cls.setup_context is Function.setup_context:
            return cls.forward(ctx, *args)
        result = cls.forward(*args)
        cls.setup_context(ctx, args, result)
        return result


def _handed_through(output: Any, known: set[int]) -> bool:
    return isinstance(output, Tensor) and id(output) in known


def _check_dirty(name: str, ctx: _Context, outputs: list[Any]) -> None:
    if missing := ctx._dirty - {id(o) for o in outputs}:
        raise GradientError(f"{name}: {len(missing)} inputs marked as dirty were not returned; the output is what "
                            "carries their new history")  # fmt: skip


def _keep_and_record(cls: type[Function], ctx: _Context, args: tuple[Any, ...], outputs: list[Tensor | None]) -> None:
    inputs = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
    recorded = [o for o in outputs if o is not None and id(o) not in ctx._constant]
    if not recorded or not _core.is_grad_enabled() or not any(ctx.needs_input_grad):
        return
    kinds = [None if o is None else (o.shape, o.dtype, o.device) for o in outputs]
    places = [
        None if o is None or id(o) in ctx._constant else next(k for k, r in enumerate(recorded) if r is o)
        for o in outputs
    ]
    own = {id(args[i]) for i in inputs}
    slots = {id(o): slot for slot, o in enumerate(recorded) if id(o) not in own}

    def backward(node: Node, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        given = [None if place is None else grads[place] for place in places]
        if ctx._materialize:
            given = [_zeros(*k) if g is None and k is not None else g for g, k in zip(given, kinds, strict=True)]
        ctx._node = node
        try:
            found = cls.backward(ctx, *given)
        finally:
            ctx._node = None
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(args):
            raise GradientError(f"{cls.__name__}.backward returned {len(found)} gradients for {len(args)} arguments")
        return tuple(found[i] for i in inputs)

    _core.record(cls.__name__, backward, [args[i] for i in inputs], recorded)
    ctx._keep(slots)


def _zeros(shape: tuple[int, ...], dtype: Any, device: Any) -> Tensor:
    return _core.full(shape, 0.0, dtype).to(device)


def once_differentiable(backward: F) -> F:
    """For a `Function.backward` that is not made of differentiable ops: differentiating it again is an error."""

    @functools.wraps(backward)
    def checked(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            result = backward(ctx, *grads)
        if not _core.is_grad_enabled() or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return result
        found = result if isinstance(result, tuple) else (result,)
        parents = [g for g in grads if isinstance(g, Tensor) and g.requires_grad]
        outputs = [g.detach() if isinstance(g, Tensor) else g for g in found]

        def refuse(*_: Any) -> Any:
            raise GradientError("trying to differentiate twice a function that was marked with @once_differentiable")

        if live := [g for g in outputs if isinstance(g, Tensor)]:
            _core.record("once_differentiable", refuse, parents, live)
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]

    return checked  # type: ignore[return-value]  # the same signature
