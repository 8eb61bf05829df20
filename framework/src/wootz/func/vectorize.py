"""vmap: a function of one example, run on all at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.func.tree import spread, tree_leaves, tree_map, tree_unflatten

__all__ = ["vmap"]

_RANDOMNESS = ("error", "same", "different")


def vmap(
    func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """``func`` mapped over a dimension of its tensors: it sees one example, and its ops run on all at once.

    ``in_dims`` says over which dimension of each positional argument (an int, None for one that is the same for every
    example, or a structure of them like the arguments'); keyword tensors are mapped over dimension 0. ``out_dims`` says
    where the examples go in the results. Random ops are refused unless ``randomness`` is "same" or "different".
    ``chunk_size`` bounds how many examples run together. Calls nest, and mix with `grad` and the others.

    Raises ValueError where dimensions do not fit, TypeError for a result that is no tensor.
    """
    if randomness not in _RANDOMNESS:
        raise ValueError(f"vmap: randomness must be one of {', '.join(_RANDOMNESS)}, not {randomness!r}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size must be positive, got {chunk_size}")

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves = [*tree_leaves(args), *tree_leaves(kwargs)]
        dims = _input_dims(in_dims, args, kwargs, leaves)
        size = _examples(leaves, dims)
        front = [x if d is None else _to_front(x, d) for x, d in zip(leaves, dims, strict=True)]
        moved = [None if d is None else 0 for d in dims]

        def run(values: list[Any], count: int) -> Any:
            return _run(func, args, kwargs, values, moved, count, out_dims, randomness)

        if chunk_size is None or size <= chunk_size:
            return run(front, size)
        return _in_chunks(run, front, moved, size, chunk_size, out_dims)

    return mapped


def _input_dims(in_dims: Any, args: Any, kwargs: Any, leaves: list[Any]) -> list[int | None]:
    named = [0 if isinstance(x, Tensor) else None for x in tree_leaves(kwargs)]
    dims = [*spread(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args, "in_dims"), *named]
    for i, (x, d) in enumerate(zip(leaves, dims, strict=True)):
        if d is None:
            continue
        if not isinstance(x, Tensor):
            if isinstance(in_dims, int):
                raise ValueError(f"vmap: in_dims={in_dims} maps over every argument, but argument leaf {i} is a "
                                 f"{type(x).__name__} and no tensor. Pass None for it in in_dims")  # fmt: skip
            raise ValueError(f"vmap: in_dims maps over argument leaf {i}, which is a {type(x).__name__} and no tensor")
        if not -x.dim() <= d < x.dim():
            raise ValueError(f"vmap: in_dim {d} of argument leaf {i} is outside of its shape {x.shape}")
    return dims


def _examples(leaves: list[Any], dims: list[int | None]) -> int:
    sizes = {x.size(d) for x, d in zip(leaves, dims, strict=True) if d is not None}
    if not sizes:
        raise ValueError("vmap: no argument is mapped over; at least one in_dim must not be None")
    if len(sizes) > 1:
        raise ValueError(f"vmap: expected all mapped dimensions to have the same size, got sizes {sorted(sizes)}")
    return int(sizes.pop())


def _to_front(x: Tensor, dim: int) -> Tensor:
    return x if dim in (0, -x.dim()) else x.movedim(dim, 0)


def _run(
    func: Callable[..., Any], args: Any, kwargs: Any, values: list[Any], dims: list[int | None], size: int,
    out_dims: Any, randomness: str,
) -> Any:  # fmt: skip
    level = _core.vmap_push(size, randomness)
    try:
        inside = iter([x if d is None else _core.vmap_enter(x, level, size) for x, d in zip(values, dims, strict=True)])
        inner_args = tree_unflatten(args, inside)
        out = func(*inner_args, **tree_unflatten(kwargs, inside))
        places = iter(spread(tuple(out_dims) if isinstance(out_dims, list) else out_dims, out, "out_dims"))
        return tree_map(lambda x: _leave(x, next(places), level, size), out)
    finally:
        _core.vmap_pop()


def _leave(x: Any, dim: int | None, level: int, size: int) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"vmap: the function must only return tensors, got a {type(x).__name__}")
    if dim is None:
        if _depends(x, level):
            raise ValueError("vmap: out_dims is None for a result that differs between examples; give it a dimension")
        return x
    out = _core.vmap_leave(x, level, size)
    if not -out.dim() <= dim < out.dim():
        raise ValueError(f"vmap: out_dim {dim} is outside of a result of shape {x.shape} with one more dimension")
    return out if dim in (0, -out.dim()) else out.movedim(0, dim)


def _depends(x: Tensor, level: int) -> bool:
    while (top := _core.vmap_level(x)) > level:
        x = _core.vmap_physical(x)
    return top == level


def _in_chunks(
    run: Callable[[list[Any], int], Any], values: list[Any], dims: list[int | None], size: int, step: int, out_dims: Any
) -> Any:
    parts = []
    for start in range(0, size, step):
        count = min(step, size - start)
        parts.append(
            run([x if d is None else x.narrow(0, start, count) for x, d in zip(values, dims, strict=True)], count)
        )
    columns = zip(*(tree_leaves(p) for p in parts), strict=True)
    where = spread(out_dims, parts[0], "out_dims")
    joined: Iterator[Any] = (c[0] if d is None else _core.cat(list(c), d) for c, d in zip(columns, where, strict=True))
    return tree_unflatten(parts[0], joined)
