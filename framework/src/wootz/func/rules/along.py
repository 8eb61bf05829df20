"""Rules of reductions, of what goes along dimensions, and of joining."""

from __future__ import annotations

from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.func.batching import Arguments, Examples, call, rule, shift, tensors

__all__: list[str] = []


@rule("sum", "mean", "var", "amax", "amin", "any", "all", "logsumexp")
def _reduction(op: str, v: Examples, given: Arguments) -> Any:
    x, dim = given["self"], given["dim"]
    p = v.front(x)
    if x.dim() == 0:
        return call(op, {**given, "self": p.unsqueeze(1), "dim": (1,), "keepdim": False})
    dims = range(x.dim()) if dim is None or dim == () else dim
    return call(op, {**given, "self": p, "dim": tuple(shift(d, x.dim()) for d in dims)})


@rule("prod", "argmax", "argmin")
def _one_or_all(op: str, v: Examples, given: Arguments) -> Any:
    x, dim = given["self"], given["dim"]
    p = v.front(x)
    if x.dim() == 0 or dim is None:
        out = call(op, {**given, "self": p.reshape((v.size, x.numel())), "dim": 1, "keepdim": False})
        return out.reshape((v.size, *(1,) * x.dim())) if given["keepdim"] else out
    return call(op, {**given, "self": p, "dim": shift(dim, x.dim())})


@rule("softmax", "log_softmax", "softmax_backward", "log_softmax_backward", "order", "top", "kth",
      "middle", "commonest", "running_sum")  # fmt: skip
def _along(op: str, v: Examples, given: Arguments) -> Any:
    rank = max(x.dim() for x in tensors(given))
    front = {k: v.front(x) if isinstance(x, Tensor) else x for k, x in given.items()}
    if rank == 0:
        one = {k: x.unsqueeze(1) if isinstance(x, Tensor) else x for k, x in front.items()}
        return call(op, {**one, "dim": 1}).squeeze(1)
    return call(op, {**front, "dim": shift(given["dim"], rank)})


@rule("search")
def _search(op: str, v: Examples, given: Arguments) -> Any:
    bounds, values = given["self"], v.front(given["values"])
    if bounds.dim() > 1:
        return call(op, {**given, "self": v.front(bounds), "values": values})
    if not v.has(bounds):
        return call(op, {**given, "values": values})
    flat = values.reshape((v.size, given["values"].numel()))
    return call(op, {**given, "self": v.front(bounds), "values": flat}).reshape(values.shape)


@rule("flip")
def _flip(op: str, v: Examples, given: Arguments) -> Any:
    x = given["self"]
    return call(op, {"self": v.front(x), "dims": tuple(shift(d, x.dim()) for d in given["dims"])})


@rule("tril", "triu", "one_hot")
def _in_front(op: str, v: Examples, given: Arguments) -> Any:
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
    return call(op, {"tensors": [v.front(x) for x in parts], "dim": shift(given["dim"], rank)})


@rule("select_backward", "slice_backward", "unfold_backward")
def _window_gradient(op: str, v: Examples, given: Arguments) -> Any:
    name = "dimension" if op == "unfold_backward" else "dim"
    shifted = {name: shift(given[name], len(given["shape"])), "shape": (v.size, *given["shape"])}
    return call(op, {**given, **shifted, "grad_output": v.front(given["grad_output"])})


@rule("diagonal_backward")
def _diagonal_gradient(op: str, v: Examples, given: Arguments) -> Any:
    rank, shape = len(given["shape"]), (v.size, *given["shape"])
    dims = {"dim1": shift(given["dim1"], rank), "dim2": shift(given["dim2"], rank)}
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
