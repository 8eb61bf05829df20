"""Rules of reading and writing by index."""

from __future__ import annotations

from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.func.batching import Arguments, Examples, call, each, rule, shift, tensors

__all__: list[str] = []


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
        return each(op, v, given)
    x, values = given["self"], given["values"]
    rest = x.dim() - sum(i is not None for i in indices)
    aligned = v.aligned(values, rank + rest) if isinstance(values, Tensor) else values
    return call(op, {**given, "self": v.front(x), "indices": moved, "values": aligned})


@rule("index_select")
def _index_select(op: str, v: Examples, given: Arguments) -> Any:
    x, dim, index = given["self"], given["dim"], given["index"]
    if v.has(index):
        if x.dim() == 0:
            return each(op, v, given)
        return v.front(_core.index(x, [*[None] * (dim % x.dim()), index]))
    p = v.front(x)
    return call(op, {"self": p.unsqueeze(1) if x.dim() == 0 else p, "dim": shift(dim, x.dim()), "index": index})


@rule("gather", "scatter_add", "put_along")
def _per_element(op: str, v: Examples, given: Arguments) -> Any:
    rank = max(x.dim() for x in tensors(given))
    if any(x.dim() != rank for x in tensors(given)) or rank == 0:
        return each(op, v, given)
    front = {k: v.front(x) if isinstance(x, Tensor) else x for k, x in given.items()}
    return call(op, {**front, "dim": shift(given["dim"], rank)})


@rule("index_add")
def _index_add(op: str, v: Examples, given: Arguments) -> Any:
    x = given["self"]
    if v.has(given["index"]) or x.dim() == 0:
        return each(op, v, given)
    moved = {"self": v.front(x), "source": v.front(given["source"]), "dim": shift(given["dim"], x.dim())}
    return call(op, {**given, **moved})


@rule("embedding")
def _embedding(op: str, v: Examples, given: Arguments) -> Any:
    if v.has(given["weight"]):
        return v.front(_core.index(given["weight"], [given["indices"]]))
    return call(op, {**given, "indices": v.front(given["indices"])})


@rule("nonzero", "runs")
def _nonzero(op: str, v: Examples, given: Arguments) -> Any:
    raise ValueError(f"vmap: {op} gives results of different shapes for different examples; use wootz.where")
