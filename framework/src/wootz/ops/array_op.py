"""Ops that are one function over an array module, with a derivative rule beside it.

    @array_op(lambda g, out, x, dim: g.flip(dim).cumsum(dim).flip(dim))
    def _cumsum(xp, x, dim):
        return xp.cumsum(x, axis=dim)

The function computes with arrays of ``xp`` (NumPy on the CPU) and knows nothing of tensors or of the tape. The rules,
one for each tensor argument (None: no gradient flows to it), take the gradient of the output, the output, and the
arguments, as tensors. They are made of ops themselves, so that higher derivatives need nothing further; the engine sums
what was broadcast. An op with several outputs gets tuples of gradients and outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from wootz import _core
from wootz._core import Node, Tensor, dtype, is_grad_enabled
from wootz._override import ask_classes
from wootz.backend.arrays import arrays_of
from wootz.errors import DeviceError, DTypeError, GradientError

__all__: list[str] = []

Rule = Callable[..., Tensor | None]
_HALVES = {_core.float16, _core.bfloat16}


# How a function takes vmap's examples at once: (their number, arguments, those of them that differ between examples
# with the examples in dimension 0, else None) give the arguments of the one call, or None where it cannot.
Batch = Callable[[int, Sequence[Any], Sequence[Tensor | None]], Sequence[Any] | None]


def broadcasting(size: int, args: Sequence[Any], batched: Sequence[Tensor | None]) -> Sequence[Any]:
    """For functions of broadcast elements."""
    rank = max(a.dim() for a in args if isinstance(a, Tensor))

    def ready(a: Any, p: Tensor | None) -> Any:
        return a if p is None else p.reshape((size, *(1,) * (rank - a.dim()), *a.shape))

    return [ready(a, p) for a, p in zip(args, batched, strict=True)]


def stacked(size: int, args: Sequence[Any], batched: Sequence[Tensor | None]) -> Sequence[Any] | None:
    """For functions of stacks of matrices, of which no tensor argument that differs is less than a matrix."""
    if any(p is not None and p.dim() < 3 for p in batched):
        return None
    return broadcasting(size, args, batched)


def _in_front(size: int, args: Sequence[Any], batched: Sequence[Tensor | None]) -> list[Any]:
    """Every tensor with the examples in front, also those that are one for all."""
    return [
        p if p is not None else a.expand((size, *a.shape)) if isinstance(a, Tensor) else a
        for a, p in zip(args, batched, strict=True)
    ]


def along(place: int) -> Batch:
    """For functions whose argument number ``place`` is a dimension of their tensors, or a tuple of dimensions."""

    def batch(size: int, args: Sequence[Any], batched: Sequence[Tensor | None]) -> Sequence[Any] | None:
        if place >= len(args) or args[place] is None or any(a.dim() == 0 for a in args if isinstance(a, Tensor)):
            return None
        made, dims = _in_front(size, args, batched), args[place]
        made[place] = _later(dims) if isinstance(dims, int) else tuple(map(_later, dims))
        return made

    return batch


def _later(dim: int) -> int:
    return dim + 1 if dim >= 0 else dim


class ArrayOp:
    """A forward function over ``xp`` and its rules, called with tensors."""

    def __init__(self, forward: Callable[..., Any], rules: Sequence[Rule | None], batch: Batch | None) -> None:
        self.name, self._forward, self._rules = forward.__name__.strip("_"), forward, rules
        self._batch = batch
        self.__name__ = self.name

    def __call__(self, *args: Any, **parameters: Any) -> Tensor:
        """Computes, and records where a gradient can flow. Tensors may only be among the positional arguments."""
        if _core.has_override(args):
            return cast(Tensor, ask_classes(self, args, parameters))
        return self.many(*args, **parameters)[0]

    def many(self, *args: Any, **parameters: Any) -> tuple[Tensor, ...]:
        """All outputs of a function that returns a tuple."""
        if _core.has_override(args):
            return cast(tuple[Tensor, ...], ask_classes(self.many, args, parameters))
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        if any(_core.vmap_level(args[i]) for i in places):
            outputs, several = self._examples(args, parameters)
        else:
            outputs, several = self._compute(args, parameters, places)
        if self._rules and is_grad_enabled() and any(args[i].requires_grad for i in places):
            self._record(outputs, several, args, parameters, places)
        return outputs

    def _compute(
        self, args: Sequence[Any], parameters: dict[str, Any], places: Sequence[int]
    ) -> tuple[tuple[Tensor, ...], bool]:
        arrays = arrays_of(self.name, self._device(args, places))
        floats = {args[i].dtype for i in places if args[i].dtype.is_floating_point}
        with arrays.beside(args[places[0]]):
            wide = [_widened(a) if isinstance(a, Tensor) else a for a in args]
            if own := arrays.own(self.name, tuple(args)):
                return (_narrowed(own(*wide, **parameters), floats),), False
            given = [arrays.to_array(a) if isinstance(a, Tensor) else a for a in wide]
            found = self._forward(arrays.xp(self.name), *given, **parameters)
            several = isinstance(found, tuple)
            outputs = [arrays.to_tensor(a) for a in (found if several else (found,))]
        return tuple(_narrowed(t, floats) for t in outputs), several

    def _examples(self, args: Sequence[Any], parameters: dict[str, Any]) -> tuple[tuple[Tensor, ...], bool]:
        """Inside vmap: all examples of the innermost level, together if the op's `Batch` allows; without history."""
        level = max(_core.vmap_level(a) for a in args)
        batched = [_core.vmap_physical(a) if _core.vmap_level(a) == level else None for a in args]
        size = next(p.shape[0] for p in batched if p is not None)
        before = _core.set_grad_enabled(False)
        try:
            together = self._batch and self._batch(size, args, batched)
            if together:
                outputs = self.many(*together, **parameters)
            else:
                outputs = self._one_by_one(size, args, batched, parameters)
        finally:
            _core.set_grad_enabled(before)
        return tuple(_core.vmap_batch(t, level, size) for t in outputs), len(outputs) > 1

    def _one_by_one(
        self, size: int, args: Sequence[Any], batched: Sequence[Tensor | None], parameters: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        if size == 0:
            raise ValueError(f"vmap: {self.name} runs once an example, and there is none")
        examples = []
        for i in range(size):
            given = [a if p is None else p.select(0, i) for a, p in zip(args, batched, strict=True)]
            examples.append(self.many(*given, **parameters))
        return tuple(_core.stack(list(parts), 0) for parts in zip(*examples, strict=True))

    def _device(self, args: Sequence[Any], places: Sequence[int]) -> str:
        kinds = {args[i]._device for i in places}
        if len(kinds) > 1:
            raise DeviceError(f"{self.name}: expected all tensors on one device, found {sorted(kinds)}")
        return str(next(iter(kinds))[0])

    def _record(
        self, outputs: tuple[Tensor, ...], several: bool, args: Sequence[Any], parameters: dict[str, Any],
        places: Sequence[int],
    ) -> None:  # fmt: skip
        smooth = [i for i, t in enumerate(outputs) if t.dtype.is_floating_point or t.dtype.is_complex]
        # Not the outputs themselves: they own the tape's node, which owns this function.
        values = tuple(t.detach() for t in outputs)
        versions = [args[i]._version for i in places]

        def backward(node: Node, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
            self._check_versions(args, places, versions)
            full = {i: zeros(values[i]) if g is None else g for i, g in zip(smooth, grads, strict=True)}
            g, out = tuple(full.get(i) for i in range(len(values))), list(values)
            if is_grad_enabled():  # the derivative may be derived again: outputs are needed with their history
                for slot, i in enumerate(smooth):
                    out[i] = _core.attach(values[i], node, slot)
            given = (g, out) if several else (g[0], out[0])
            return tuple(
                rule(*given, *args, **parameters) if rule and args[i].requires_grad else None
                for rule, i in zip(self._rules, places, strict=True)
            )

        if smooth:
            _core.record(self.name, backward, [args[i] for i in places], [outputs[i] for i in smooth])

    def _check_versions(self, args: Sequence[Any], places: Sequence[int], versions: Sequence[int]) -> None:
        for i, version in zip(places, versions, strict=True):
            if args[i]._version != version:
                raise GradientError(
                    "one of the values needed for gradient computation was modified by an in-place operation: "
                    f"{self.name} saved a tensor of shape {args[i].shape} at version {version}, and it is now at "
                    f"{args[i]._version}"
                )


def _widened(t: Tensor) -> Tensor:
    """16-bit floats in float32: array modules have no bfloat16, and sum float16 in float16."""
    return _core.cast(t.detach(), _core.float32) if t.dtype in _HALVES else t


def _narrowed(t: Tensor, floats: set[dtype]) -> Tensor:
    """A result of 16-bit floats alone is of their type again."""
    return _core.cast(t, *floats) if t.dtype is _core.float32 and len(floats) == 1 and floats <= _HALVES else t


def array_op(*rules: Rule | None, batch: Batch | None = None) -> Callable[[Callable[..., Any]], ArrayOp]:
    """Makes a function over ``xp`` an op of tensors; without rules it has no derivative, without ``batch`` vmap
    loops."""

    def make(forward: Callable[..., Any]) -> ArrayOp:
        return ArrayOp(forward, rules, batch)

    return make


def no_rule(op: str, name: str) -> Rule:
    """The rule of an argument by which nobody has the derivative."""

    def refuse(*_: Any) -> Tensor | None:
        raise NotImplementedError(f"the derivative for {name!r} of {op} is not implemented; give it detached")

    return refuse


def zeros(near: Tensor, shape: Sequence[int] | None = None) -> Tensor:
    """Zeros in near's dtype, where it is, and in its shape unless one is given; inside vmap one for all examples."""
    return _made(near, near.shape if shape is None else shape, 0)


def filled(near: Tensor, shape: Sequence[int], value: float) -> Tensor:
    """One value, in near's dtype, where it is, and inside vmap for each example that near has: it can be written to."""
    if level := _core.vmap_level(near):
        examples = _core.vmap_physical(near)
        size = examples.shape[0]
        return _core.vmap_batch(filled(examples, (size, *shape), value), level, size)
    return _made(near, shape, value)


def _made(near: Tensor, shape: Sequence[int], value: float) -> Tensor:
    made = _core.full(shape, value, near.dtype)
    return made if near.device.type == "cpu" else made.to(near.device)


def floating(x: Tensor) -> Tensor:
    """x as it is if its numbers have fractions, else in the default dtype."""
    return x if x.dtype.is_floating_point or x.dtype.is_complex else _core.cast(x, _core.get_default_dtype())


def promoted(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Two operands, of which one may be a Python number, as tensors of the dtype that arithmetic on them has."""
    kind = _core.result_type(a, b)
    near = a if isinstance(a, Tensor) else b
    made = (x if isinstance(x, Tensor) else _core.full((), x, kind).to(near.device) for x in (a, b))
    first, second = (x if x.dtype == kind else _core.cast(x, kind) for x in made)
    return first, second


def need_floating(op: str, *tensors: Tensor) -> None:
    """Raises `DTypeError` unless every tensor holds real or complex floating-point numbers, all of one dtype."""
    for t in tensors:
        if not (t.dtype.is_floating_point or t.dtype.is_complex):
            raise DTypeError(f"{op}: expected a floating point or complex tensor, got {t.dtype.name}; use .to(dtype)")
        if t.dtype != tensors[0].dtype:
            raise DTypeError(f"{op}: expected tensors of one dtype, got {tensors[0].dtype.name} and {t.dtype.name}")


def need_integers(op: str, *tensors: Tensor) -> None:
    """Raises `DTypeError` unless every tensor holds integers."""
    for t in tensors:
        if t.dtype.is_floating_point or t.dtype.is_complex or t.dtype == _core.bool:
            raise DTypeError(f"{op}: expected an integer tensor, got {t.dtype.name}")


def wrapped(op: str, dim: int, dims: int) -> int:
    """A dimension counted from the front. Raises IndexError for one that is not there; 0-d tensors have dimension 0."""
    most = max(dims, 1)
    if not -most <= dim < most:
        raise IndexError(f"{op}: dimension out of range (expected to be in [{-most}, {most - 1}], but got {dim})")
    return dim % most
