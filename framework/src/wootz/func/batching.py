"""What each op does with the tensors inside vmap: the rules.

A rule gets the op's arguments by name, calls ops on the examples as they lie in memory (the batch is dimension 0) and
returns what has the batch in dimension 0. Views need no rule: they are geometry (csrc/core/batch.h). Point-wise ops
share one, read from the op table; the families in `wootz.func.rules` have theirs. An op without a rule runs once an
example.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from wootz import _core
from wootz._core import Tensor

__all__ = ["RULES", "Arguments", "Examples", "call", "each", "rule", "run", "shift", "tensors"]

Arguments = dict[str, Any]


class Examples:
    """The examples of one level: where they are in a tensor, and how to put them in front."""

    def __init__(self, level: int, size: int) -> None:
        self.level, self.size = level, size

    def has(self, x: Any) -> bool:
        return isinstance(x, Tensor) and _core.vmap_level(x) == self.level

    def front(self, x: Any) -> Tensor:
        """(batch, *shape); what is the same for every example is repeated without copying."""
        if self.has(x):
            return _core.vmap_physical(x)
        x = x if isinstance(x, Tensor) else _core.scalar(x)
        repeated: Tensor = x.expand((self.size, *x.shape))
        return repeated

    def aligned(self, x: Any, rank: int) -> Any:
        """To broadcast against other examples: (batch, 1, ..., *shape); anything without a batch stays as it is."""
        if not self.has(x):
            return x
        p = _core.vmap_physical(x)
        return p.reshape((self.size, *(1,) * (rank - x.dim()), *x.shape)) if x.dim() < rank else p

    def wrap(self, p: Any) -> Any:
        if isinstance(p, (tuple, list)):
            return tuple(self.wrap(q) for q in p)
        return _core.vmap_batch(p, self.level, self.size)


Rule = Callable[[str, Examples, Arguments], Any]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    def add(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return add


@functools.cache
def _signatures() -> dict[str, tuple[str, tuple[str, ...]]]:
    lines = (line.split() for line in _core.op_signatures().splitlines())
    return {name: (kind, tuple(params)) for name, kind, *params in lines}


def call(op: str, given: Arguments) -> Any:
    """The op of the table with its arguments by name."""
    params = _signatures()[op][1]
    positional = [given[p] for p in params if not p.startswith("*")]
    keywords = {p[1:]: given[p[1:]] for p in params if p.startswith("*")}
    return getattr(_core, op)(*positional, **keywords)


def tensors(given: Arguments) -> list[Tensor]:
    out = []
    for value in given.values():
        out += [x for x in (value if isinstance(value, tuple) else (value,)) if isinstance(x, Tensor)]
    return out


def run(op: str, arguments: tuple[Any, ...]) -> Any:
    """The backend of batched tensors: the op at the highest level among its arguments."""
    known = _signatures().get(op)
    params = known[1] if known else tuple(str(i) for i in range(len(arguments)))
    given = {p.lstrip("*"): value for p, value in zip(params, arguments, strict=True)}
    top = max(tensors(given), key=_core.vmap_level)
    v = Examples(_core.vmap_level(top), _core.vmap_physical(top).shape[0])
    before = _core.set_grad_enabled(False)
    try:
        if op == "assign":
            return _assign(v, *arguments)
        chosen = RULES.get(op) or (_pointwise if known and known[0] == "pointwise" else each)
        return v.wrap(chosen(op, v, given))
    finally:
        _core.set_grad_enabled(before)


def _assign(v: Examples, target: Tensor, value: Any) -> None:
    if not v.has(target):
        raise ValueError("vmap: cannot write values that differ between examples into a tensor that is one for all. "
                         "Make it from one of the function's arguments, or write out of place")  # fmt: skip
    aligned = v.aligned(value, target.dim())
    _core.vmap_physical(target).copy_(aligned)


def each(op: str, v: Examples, given: Arguments) -> Any:
    """Any op that only reads its arguments, one example at a time."""
    if v.size == 0:
        raise ValueError(f"vmap: {op} has no rule for batches, and there is no example to run it on")

    def pick(value: Any, i: int) -> Any:
        if isinstance(value, tuple):
            return tuple(pick(x, i) for x in value)
        return _core.vmap_physical(value).select(0, i) if v.has(value) else value

    results = [call(op, {k: pick(x, i) for k, x in given.items()}) for i in range(v.size)]
    if isinstance(results[0], tuple):
        return tuple(_core.stack(list(parts), 0) for parts in zip(*results, strict=True))
    return _core.stack(results, 0)


def shift(dim: int, rank: int) -> int:
    """A dimension of one example, where the examples are in front."""
    return dim % max(rank, 1) + 1


# Point-wise


def _zero_dim_kind(given: Arguments, skip: str) -> Any:
    """The dtype that 0-d tensors give way to, where tensors of more dimensions take part; else None."""
    operands = [x for k, x in given.items() if isinstance(x, Tensor) and k != skip]
    if not (any(x.dim() == 0 for x in operands) and any(x.dim() for x in operands)):
        return None
    return _core.result_type(*(_core.empty((1,) * min(x.dim(), 1), x.dtype) for x in operands))


def _pointwise(op: str, v: Examples, given: Arguments) -> Any:
    rank = max(x.dim() for x in tensors(given))
    mask = "condition" if op == "where" else ""
    kind = _zero_dim_kind(given, mask)

    def ready(name: str, x: Any) -> Any:
        if kind is not None and name != mask and v.has(x) and x.dim() == 0:
            x = _core.cast(x, kind)
        return v.aligned(x, rank)

    out = call(op, {k: ready(k, x) for k, x in given.items()})
    return out if out.dim() > rank else v.front(out)


RULES["clamp"] = RULES["complex"] = _pointwise


@rule("clone", "cast", "to_device")
def _same_shape(op: str, v: Examples, given: Arguments) -> Any:
    return call(op, {**given, "self": v.front(given["self"])})


@rule("copy")
def _copy(op: str, v: Examples, given: Arguments) -> Any:
    target = given["self"]
    source = v.aligned(given["src"], target.dim())
    shape = (v.size, *target.shape)
    return call(op, {"self": _core.empty(shape, target.dtype), "src": source.expand(shape)})


@rule("fill")
def _fill(op: str, v: Examples, given: Arguments) -> Any:
    target = given["self"]
    value = v.aligned(given["value"], target.dim())
    return call("copy", {"self": _core.empty((v.size, *target.shape), target.dtype), "src": value})


@rule("masked_fill")
def _masked_fill(op: str, v: Examples, given: Arguments) -> Any:
    x = given["self"]
    value = given["value"]
    value = _core.cast(value, x.dtype) if isinstance(value, Tensor) else _core.scalar(value, x.dtype)
    return v.front(_core.where(given["mask"], value, x))


_core.register_backend("vmap", run)
