"""What each op does with the tensors inside vmap: the rules.

A rule gets the op's arguments by name, calls ops on the examples as they lie in memory (the batch is dimension 0) and
returns what has the batch in dimension 0. Views need no rule: they are geometry (csrc/core/batch.h). Point-wise ops
share one, read from the op table. An op without a rule runs once an example.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from wootz import _core
from wootz._core import Tensor

__all__ = ["RULES", "Examples", "run"]

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


def _tensors(given: Arguments) -> list[Tensor]:
    out = []
    for value in given.values():
        out += [x for x in (value if isinstance(value, tuple) else (value,)) if isinstance(x, Tensor)]
    return out


def run(op: str, arguments: tuple[Any, ...]) -> Any:
    """The backend of batched tensors: the op at the highest level among its arguments."""
    known = _signatures().get(op)
    params = known[1] if known else tuple(str(i) for i in range(len(arguments)))
    given = {p.lstrip("*"): value for p, value in zip(params, arguments, strict=True)}
    top = max(_tensors(given), key=_core.vmap_level)
    v = Examples(_core.vmap_level(top), _core.vmap_physical(top).shape[0])
    before = _core.set_grad_enabled(False)
    try:
        if op == "assign":
            return _assign(v, *arguments)
        chosen = RULES.get(op) or (_pointwise if known and known[0] == "pointwise" else _each)
        return v.wrap(chosen(op, v, given))
    finally:
        _core.set_grad_enabled(before)


def _assign(v: Examples, target: Tensor, value: Any) -> None:
    if not v.has(target):
        raise ValueError("vmap: cannot write values that differ between examples into a tensor that is one for all. "
                         "Make it from one of the function's arguments, or write out of place")  # fmt: skip
    aligned = v.aligned(value, target.dim())
    _core.vmap_physical(target).copy_(aligned)


def _each(op: str, v: Examples, given: Arguments) -> Any:
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


# Point-wise


def _zero_dim_kind(given: Arguments, skip: str) -> Any:
    """The dtype that 0-d tensors give way to, where tensors of more dimensions take part; else None."""
    operands = [x for k, x in given.items() if isinstance(x, Tensor) and k != skip]
    if not (any(x.dim() == 0 for x in operands) and any(x.dim() for x in operands)):
        return None
    return _core.result_type(*(_core.empty((1,) * min(x.dim(), 1), x.dtype) for x in operands))


def _pointwise(op: str, v: Examples, given: Arguments) -> Any:
    rank = max(x.dim() for x in _tensors(given))
    mask = "condition" if op == "where" else ""
    kind = _zero_dim_kind(given, mask)

    def ready(name: str, x: Any) -> Any:
        if kind is not None and name != mask and v.has(x) and x.dim() == 0:
            x = _core.cast(x, kind)
        return v.aligned(x, rank)

    out = call(op, {k: ready(k, x) for k, x in given.items()})
    return out if out.dim() > rank else v.front(out)


RULES["clamp"] = _pointwise


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


# Along dimensions


def _shift(dim: int, rank: int) -> int:
    return dim % max(rank, 1) + 1


@rule("sum", "mean", "var", "amax", "amin", "any", "all", "logsumexp")
def _reduction(op: str, v: Examples, given: Arguments) -> Any:
    x, dim = given["self"], given["dim"]
    p = v.front(x)
    if x.dim() == 0:
        return call(op, {**given, "self": p.unsqueeze(1), "dim": (1,), "keepdim": False})
    dims = range(x.dim()) if dim is None or dim == () else dim
    return call(op, {**given, "self": p, "dim": tuple(_shift(d, x.dim()) for d in dims)})


@rule("prod", "argmax", "argmin")
def _one_or_all(op: str, v: Examples, given: Arguments) -> Any:
    x, dim = given["self"], given["dim"]
    p = v.front(x)
    if x.dim() == 0 or dim is None:
        out = call(op, {**given, "self": p.reshape((v.size, x.numel())), "dim": 1, "keepdim": False})
        return out.reshape((v.size, *(1,) * x.dim())) if given["keepdim"] else out
    return call(op, {**given, "self": p, "dim": _shift(dim, x.dim())})


@rule("softmax", "log_softmax", "softmax_backward", "log_softmax_backward", "cumsum", "cumprod")
def _along(op: str, v: Examples, given: Arguments) -> Any:
    rank = max(x.dim() for x in _tensors(given))
    front = {k: v.front(x) if isinstance(x, Tensor) else x for k, x in given.items()}
    if rank == 0:
        one = {k: x.unsqueeze(1) if isinstance(x, Tensor) else x for k, x in front.items()}
        return call(op, {**one, "dim": 1}).squeeze(1)
    return call(op, {**front, "dim": _shift(given["dim"], rank)})


@rule("flip")
def _flip(op: str, v: Examples, given: Arguments) -> Any:
    x = given["self"]
    return call(op, {"self": v.front(x), "dims": tuple(_shift(d, x.dim()) for d in given["dims"])})


@rule("tril", "triu")
def _triangle(op: str, v: Examples, given: Arguments) -> Any:
    return call(op, {**given, "self": v.front(given["self"])})


@rule("sum_to_size")
def _sum_to_size(op: str, v: Examples, given: Arguments) -> Any:
    x, size = given["self"], given["size"]
    lead = x.dim() - len(size)
    p = v.front(x)
    p = p.sum(tuple(range(1, lead + 1))) if lead else p
    dims = tuple(d + 1 for d, n in enumerate(size) if n == 1 and p.shape[d + 1] != 1)
    return p.sum(dims, True) if dims else p


@rule("cat", "stack")
def _join(op: str, v: Examples, given: Arguments) -> Any:
    parts = given["tensors"]
    rank = max(x.dim() for x in parts) + (op == "stack")
    if op == "cat":
        parts = [x for x in parts if x.dim() == rank] or list(parts)  # an empty 1-d tensor fits anywhere
    return call(op, {"tensors": [v.front(x) for x in parts], "dim": _shift(given["dim"], rank)})


@rule("select_backward", "slice_backward", "unfold_backward")
def _window_gradient(op: str, v: Examples, given: Arguments) -> Any:
    name = "dimension" if op == "unfold_backward" else "dim"
    shifted = {name: _shift(given[name], len(given["shape"])), "shape": (v.size, *given["shape"])}
    return call(op, {**given, **shifted, "grad_output": v.front(given["grad_output"])})


@rule("diagonal_backward")
def _diagonal_gradient(op: str, v: Examples, given: Arguments) -> Any:
    rank, shape = len(given["shape"]), (v.size, *given["shape"])
    dims = {"dim1": _shift(given["dim1"], rank), "dim2": _shift(given["dim2"], rank)}
    return call(op, {**given, **dims, "shape": shape, "grad_output": v.front(given["grad_output"])})


@rule("as_strided_scatter")
def _strided_scatter(op: str, v: Examples, given: Arguments) -> Any:
    x, size, stride = given["self"], given["size"], given["stride"]
    if not x.is_contiguous():
        raise ValueError("vmap: writing through a view of a tensor that is not contiguous is not supported; write to a "
                         ".contiguous() copy")  # fmt: skip
    out = _core.clone(v.front(x)).contiguous()
    start = (x.storage_offset() if given["storage_offset"] is None else given["storage_offset"]) - x.storage_offset()
    out.as_strided((v.size, *size), (x.numel(), *stride), start).copy_(v.aligned(given["src"], len(size)))
    return out


# Products


@rule("matmul")
def _matmul(op: str, v: Examples, given: Arguments) -> Any:
    a, b = given["self"], given["other"]
    row, column = a.dim() == 1, b.dim() == 1
    if column and a.dim() == 2 and not v.has(a):  # one matrix for every example's vector: one product, not many
        return _core.matmul(v.front(b), a.T)
    left = a.unsqueeze(0) if row else a
    right = b.unsqueeze(1) if column else b
    rank = max(left.dim(), right.dim())
    out = _core.matmul(v.aligned(left, rank), v.aligned(right, rank))
    out = out.squeeze(-2) if row else out
    return out.squeeze(-1) if column else out


@rule("linear")
def _linear(op: str, v: Examples, given: Arguments) -> Any:
    x, weight, bias = given["input"], given["weight"], given["bias"]
    if not (v.has(weight) or v.has(bias)):
        return call(op, {**given, "input": v.front(x)})
    out = _core.matmul(x, weight.T)
    return v.front(out if bias is None else _core.add(out, bias))


# Indexing


def _whole_numbers(indices: tuple[Tensor | None, ...], v: Examples) -> list[Tensor | None]:
    """Masks as the integers they stand for."""
    out: list[Tensor | None] = []
    for index in indices:
        if index is None or index.dtype not in (_core.bool, _core.uint8):
            out.append(index)
        elif v.has(index):
            raise ValueError("vmap: a mask that differs between examples selects differently many elements of each. "
                             "Use wootz.where")  # fmt: skip
        else:
            out += list(_core.nonzero(index).T.unbind(0))
    return out


def _places(v: Examples, indices: list[Tensor | None], whole: bool) -> tuple[list[Tensor | None], int, int, bool]:
    """Indices into the examples, dimensions of what they select, where it goes, and whether it stands together."""
    given = [(k, i) for k, i in enumerate(indices) if i is not None]
    rank = max(i.dim() for _, i in given)
    positions = [k for k, _ in given]
    together = positions == list(range(positions[0], positions[-1] + 1))
    moved: list[Tensor | None] = [v.aligned(i, rank) if i is not None else None for i in indices]
    if whole:
        first = _core.arange(0, v.size, 1, _core.int64).reshape((v.size, *(1,) * rank))
        moved = [first, *moved]
    return moved, rank, positions[0], together


@rule("index")
def _index(op: str, v: Examples, given: Arguments) -> Any:
    x, indices = given["self"], _whole_numbers(given["indices"], v)
    differ = any(v.has(i) for i in indices)
    moved, rank, start, together = _places(v, indices, differ and v.has(x))
    if not differ:
        out = _core.index(v.front(x), [None, *moved])
        return out if together else out.movedim(rank, 0)
    out = _core.index(v.front(x) if v.has(x) else x, moved)
    if not v.has(x):  # (..., batch, selected, ...)
        return out.movedim(start, 0) if together else out
    # The examples' index is in front, so what was selected is too: put it back where it belongs.
    away = together and start > 0
    return out.movedim(tuple(range(1, rank + 1)), tuple(range(start + 1, start + rank + 1))) if away else out


@rule("index_put")
def _index_put(op: str, v: Examples, given: Arguments) -> Any:
    indices = _whole_numbers(given["indices"], v)
    moved, rank, start, together = _places(v, indices, True)
    if start > 0 and together:
        return _each(op, v, given)
    x, values = given["self"], given["values"]
    rest = x.dim() - sum(i is not None for i in indices)
    aligned = v.aligned(values, rank + rest) if isinstance(values, Tensor) else values
    return call(op, {**given, "self": v.front(x), "indices": moved, "values": aligned})


@rule("index_select")
def _index_select(op: str, v: Examples, given: Arguments) -> Any:
    x, dim, index = given["self"], given["dim"], given["index"]
    if v.has(index):
        if x.dim() == 0:
            return _each(op, v, given)
        return v.front(_core.index(x, [*[None] * (dim % x.dim()), index]))
    p = v.front(x)
    return call(op, {"self": p.unsqueeze(1) if x.dim() == 0 else p, "dim": _shift(dim, x.dim()), "index": index})


@rule("gather", "scatter_add")
def _per_element(op: str, v: Examples, given: Arguments) -> Any:
    rank = max(x.dim() for x in _tensors(given))
    if any(x.dim() != rank for x in _tensors(given)) or rank == 0:
        return _each(op, v, given)
    front = {k: v.front(x) if isinstance(x, Tensor) else x for k, x in given.items()}
    return call(op, {**front, "dim": _shift(given["dim"], rank)})


@rule("index_add")
def _index_add(op: str, v: Examples, given: Arguments) -> Any:
    x = given["self"]
    if v.has(given["index"]) or x.dim() == 0:
        return _each(op, v, given)
    moved = {"self": v.front(x), "source": v.front(given["source"]), "dim": _shift(given["dim"], x.dim())}
    return call(op, {**given, **moved})


@rule("embedding")
def _embedding(op: str, v: Examples, given: Arguments) -> Any:
    if v.has(given["weight"]):
        return v.front(_core.index(given["weight"], [given["indices"]]))
    return call(op, {**given, "indices": v.front(given["indices"])})


@rule("nonzero")
def _nonzero(op: str, v: Examples, given: Arguments) -> Any:
    raise ValueError("vmap: nonzero gives results of different shapes for different examples; use wootz.where")


# Rows


@rule("cross_entropy_rows", "cross_entropy_backward")
def _rows(op: str, v: Examples, given: Arguments) -> Any:
    rows = {k: v.front(x).flatten(0, 1) if isinstance(x, Tensor) else x for k, x in given.items()}
    out = call(op, rows)
    return out.reshape((v.size, -1, *out.shape[1:])) if out.numel() else out.reshape((v.size, 0, *out.shape[1:]))


@rule("count_valid")
def _count_valid(op: str, v: Examples, given: Arguments) -> Any:
    valid = _core.ne(given["target"], given["ignore_index"])
    return v.front(_core.cast(_core.sum(valid), _core.get_default_dtype()))


_core.register_backend("vmap", run)
