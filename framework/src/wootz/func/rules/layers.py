"""Rules of products, convolution, pooling, normalisation, attention and losses."""

from __future__ import annotations

from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.func.batching import Arguments, Examples, call, each, rule, shift

__all__: list[str] = []


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


@rule("convolve")
def _convolve(op: str, v: Examples, given: Arguments) -> Any:
    """The examples of the input as more images; those of the weight as more groups of channels."""
    x, weight, bias, groups = given["input"], given["weight"], given["bias"], given["groups"]
    if not (v.has(weight) or v.has(bias)):
        return _unflat(v, call(op, {**given, "input": v.front(x).flatten(0, 1)}))
    out = _groups_apart(v, call(op, {**given, "input": _as_channels(v, x), "weight": v.front(weight).flatten(0, 1),
                                     "bias": None, "groups": v.size * groups}))  # fmt: skip
    return out if bias is None else _core.add(out, v.front(bias).reshape((v.size, 1, -1, *(1,) * (x.dim() - 2))))


@rule("convolve_input")
def _convolve_input(op: str, v: Examples, given: Arguments) -> Any:
    y, weight, groups = given["output"], given["weight"], given["groups"]
    if not v.has(weight):
        return _unflat(v, call(op, {**given, "output": v.front(y).flatten(0, 1)}))
    many = {"output": _as_channels(v, y), "weight": v.front(weight).flatten(0, 1), "groups": v.size * groups}
    return _groups_apart(v, call(op, {**given, **many}))


@rule("convolve_weight")
def _convolve_weight(op: str, v: Examples, given: Arguments) -> Any:
    many = {"input": _as_channels(v, given["input"]), "output": _as_channels(v, given["output"])}
    return _unflat(v, call(op, {**given, **many, "groups": v.size * given["groups"]}))


def _unflat(v: Examples, p: Tensor) -> Tensor:
    return p.reshape((v.size, p.shape[0] // v.size, *p.shape[1:]))


def _as_channels(v: Examples, x: Tensor) -> Tensor:
    """(images, batch * channels, ...)."""
    return v.front(x).movedim(0, 1).flatten(1, 2)


def _groups_apart(v: Examples, p: Tensor) -> Tensor:
    """(batch, images, channels, ...) of what has a group for each example."""
    return p.reshape((p.shape[0], v.size, p.shape[1] // v.size, *p.shape[2:])).movedim(1, 0)


@rule("max_pool", "adaptive_max_pool")
def _pool(op: str, v: Examples, given: Arguments) -> Any:
    return tuple(_unflat(v, p) for p in call(op, {**given, "input": v.front(given["input"]).flatten(0, 1)}))


@rule("scatter_windows", "gather_windows")
def _windows(op: str, v: Examples, given: Arguments) -> Any:
    return call(op, {k: v.front(x) if isinstance(x, Tensor) else x for k, x in given.items()})


@rule("resample", "resample_back")
def _resample(op: str, v: Examples, given: Arguments) -> Any:
    if v.has(given["start"]) or v.has(given["weight"]):
        return each(op, v, given)
    x = given["self"]
    return call(op, {**given, "self": v.front(x), "dim": shift(given["dim"], x.dim())})


@rule("moments")
def _moments(op: str, v: Examples, given: Arguments) -> Any:
    x, dims = given["self"], given["dims"]
    if x.dim() == 3 and tuple(dims) == (0, 2):
        return tuple(_groups_apart(v, s) for s in call(op, {**given, "self": _as_channels(v, x)}))
    return call(op, {**given, "self": v.front(x), "dims": tuple(shift(d, x.dim()) for d in dims)})


@rule("normalise")
def _normalise(op: str, v: Examples, given: Arguments) -> Any:
    out, rank = _plain_norm(op, v, given), given["input"].dim()
    for name, apply in (("weight", _core.mul), ("bias", _core.add)):
        if given[name] is not None:
            out = apply(out, v.aligned(given[name], rank))
    return out


@rule("normalise_backward")
def _normalise_gradient(op: str, v: Examples, given: Arguments) -> Any:
    rank, weight = given["input"].dim(), given["weight"]
    grad = v.front(given["grad"])
    scaled = grad if weight is None else _core.mul(grad, v.aligned(weight, rank))
    z = _plain_norm("normalise", v, {k: x for k, x in given.items() if k != "grad"})
    sums = (_weight_sums(given, p) for p in (_core.mul(grad, z), grad))
    return _plain_norm(op, v, given, scaled), *sums


def _weight_sums(given: Arguments, p: Tensor) -> Tensor:
    """What the op sums of the gradients of weight and bias; the tape does the rest."""
    x, dims = given["input"], given["dims"]
    affine = [given[k] for k in ("weight", "bias") if given[k] is not None]
    by_element = not affine or any(w.dim() and w.shape[-1] != 1 for w in affine)
    if (x.dim() == 3 and tuple(dims) == (0, 2)) or not by_element:
        return _core.sum(p, (-1,), True)
    outer = tuple(range(1, 1 + x.dim() - len(dims)))
    return _core.sum(p, outer) if outer else p


def _plain_norm(op: str, v: Examples, given: Arguments, grad: Tensor | None = None) -> Tensor:
    """Without weight and bias; a batch norm's examples are more channels."""
    x, dims = given["input"], given["dims"]
    channels = x.dim() == 3 and tuple(dims) == (0, 2)
    known = {k: v.front(given[k]) for k in ("mean", "var") if given[k] is not None}
    many = {**given, "weight": None, "bias": None, **known, "input": v.front(x)}
    many["dims"] = dims if channels else tuple(shift(d, x.dim()) for d in dims)
    if grad is not None:
        many["grad"] = grad
    if channels:
        many |= {k: many[k].movedim(0, 1).flatten(1, 2) for k in ("input", "grad") if k in many}
    out = call(op, many)
    made: Tensor = out if grad is None else out[0]
    return _groups_apart(v, made) if channels else made


@rule("attention", "attention_backward")
def _attention(op: str, v: Examples, given: Arguments) -> Any:
    """The examples as more of the batch; one at a time where elements of one example drop out."""
    if given["p"]:
        return each(op, v, given)
    flat = {k: v.front(x).flatten(0, 1) if isinstance(x, Tensor) else x for k, x in given.items() if k != "mask"}
    mask, (batch, heads) = given["mask"], given["query"].shape[:2]
    if mask is not None and (v.has(mask) or (mask.dim() == 4 and mask.shape[0] > 1)):
        p = v.aligned(mask, 4) if v.has(mask) else mask.unsqueeze(0)
        mask = p.expand((v.size, batch, heads, *p.shape[-2:])).flatten(0, 1)
    return tuple(_unflat(v, p) for p in call(op, {**flat, "mask": mask}))


@rule("cross_entropy_rows", "cross_entropy_backward")
def _rows(op: str, v: Examples, given: Arguments) -> Any:
    rows = {k: v.front(x).flatten(0, 1) if isinstance(x, Tensor) else x for k, x in given.items()}
    out = call(op, rows)
    return out.reshape((v.size, -1, *out.shape[1:])) if out.numel() else out.reshape((v.size, 0, *out.shape[1:]))


@rule("count_valid")
def _count_valid(op: str, v: Examples, given: Arguments) -> Any:
    valid = _core.ne(given["target"], given["ignore_index"])
    return v.front(_core.cast(_core.sum(valid), _core.get_default_dtype()))
