"""Running sums, products and extrema along a dimension, and differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.errors import ShapeError
from wootz.ops.array_op import along, array_op, floating, wrapped, zeros
from wootz.ops.composite import Indexed
from wootz.ops.database import op

__all__ = [
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumulative_trapezoid",
    "diff",
    "gradient",
    "logcumsumexp",
    "trapezoid",
    "trapz",
]


def _summand(self: Tensor, kind: dtype | None) -> Tensor:
    """Self in the dtype its sums have: the one asked for, or int64 for integers and bools."""
    if kind is None and not (self.dtype.is_floating_point or self.dtype.is_complex):
        kind = _core.int64
    return self if kind in (None, self.dtype) else _core.cast(self, kind)


@op("N(3, 4), 1", "N(3, 4), 0", "N(), 0", "N(0, 3), 0", "T(3, 4), -1", "S(3, 4), 1", "I(5, 4), 0",
    reference="lambda x, dim: np.cumsum(x, dim) if x.ndim else x", inplace=True, autocast={"cuda": "wide"})  # fmt: skip
def cumsum(self: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
    """The running sum along ``dim``; integers are summed as int64 unless ``dtype`` says otherwise."""
    x, dim = _summand(self, dtype), wrapped("cumsum", dim, self.dim())
    return _core.running_sum(x, dim)


def _cumprod_rule(g: Tensor, out: Tensor, x: Tensor, dim: int) -> Tensor:
    """Sums of g * out / x, or the products without each factor where one of them is 0."""
    if not bool(_core.any(x == 0)):
        return _core.running_sum(g * out, dim, True) / x
    parts = []
    for i in range(x.shape[dim]):
        without = _core.where(_at(x, dim, i), 1.0, x)
        later = _core.where(_from(x, dim, i), _cumprod(without, dim), 0.0)
        parts.append(_core.sum(g * later, dim))
    return _core.stack(parts, dim)


def _ranks(x: Tensor, dim: int) -> Tensor:
    shape = [1] * x.dim()
    shape[dim] = x.shape[dim]
    return _core.arange(0, x.shape[dim], 1, _core.int64).reshape(shape).to(x.device)


def _at(x: Tensor, dim: int, i: int) -> Tensor:
    return _ranks(x, dim) == i


def _from(x: Tensor, dim: int, i: int) -> Tensor:
    return _ranks(x, dim) >= i


@array_op(_cumprod_rule, batch=along(1))
def _cumprod(xp: Any, x: Any, dim: int) -> Any:
    return xp.cumprod(x, axis=dim, dtype=x.dtype)


@op("N(3, 4), 1", "Z(3, 4), 1", "Z(3, 4), 0", "N(), 0", "N(0, 3), 0", "T(3, 4), -1",
    reference="lambda x, dim: np.cumprod(x, dim) if x.ndim else x", inplace=True,
    autocast={"cuda": "wide"})  # fmt: skip
def cumprod(self: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
    """The running product along ``dim``; integers are multiplied as int64 unless ``dtype`` says otherwise."""
    x, dim = _summand(self, dtype), wrapped("cumprod", dim, self.dim())
    return _cumprod(x, dim) if x.dim() else x.clone()


@array_op(batch=along(1))
def _record_places(xp: Any, x: Any, dim: int, largest: bool) -> Any:
    """The place of the extremum so far, the last of equal ones; NaN is beyond everything."""
    best = _accumulated(xp, xp.maximum if largest else xp.minimum, x, dim)
    ranks = xp.arange(x.shape[dim]).reshape([-1 if d == dim else 1 for d in range(x.ndim)])
    return _accumulated(xp, xp.maximum, xp.where((x == best) | xp.isnan(x), ranks, 0), dim)


def _accumulated(xp: Any, f: Any, x: Any, dim: int) -> Any:
    """The running f along a dimension; by doubling for array modules whose functions do not accumulate."""
    if hasattr(f, "accumulate"):
        return f.accumulate(x, axis=dim)
    out, step = xp.moveaxis(x, dim, -1).copy(), 1
    while step < out.shape[-1]:
        out = xp.concatenate([out[..., :step], f(out[..., step:], out[..., :-step])], axis=-1)
        step *= 2
    return xp.moveaxis(out, -1, dim)


def _running(op: str, self: Tensor, dim: int) -> Indexed:
    dim = wrapped(op, dim, self.dim())
    if self.dim() == 0:
        return Indexed(self.clone(), _core.full((), 0, _core.int64).to(self.device))
    where = _record_places(self, dim, op == "cummax")
    return Indexed(_core.gather(self, dim, where), where)


@op("N(3, 4), 1", "D(3, 6), 1", "N(4, 3), 0", "N(), 0", "N(0, 3), 0")
def cummax(self: Tensor, dim: int) -> Indexed:
    """(values, indices) of the greatest element so far along ``dim``."""
    return _running("cummax", self, dim)


@op("N(3, 4), 1", "D(3, 6), 1", "N(4, 3), 0", "N(), 0", "N(0, 3), 0")
def cummin(self: Tensor, dim: int) -> Indexed:
    """(values, indices) of the smallest element so far along ``dim``."""
    return _running("cummin", self, dim)


@array_op(lambda g, out, x, dim: _logcumsumexp_rule(g, out, x, dim), batch=along(1))
def _logcumsumexp(xp: Any, x: Any, dim: int) -> Any:
    return _accumulated(xp, xp.logaddexp, x, dim)


def _logcumsumexp_rule(g: Tensor, out: Tensor, x: Tensor, dim: int) -> Tensor:
    # Shifted, so that neither factor overflows: exp(x - out[later]) <= 1, summed over what is later.
    top = out.detach().narrow(dim, x.shape[dim] - 1, 1) if x.shape[dim] else out.detach()
    return _core.exp(x - top) * _core.running_sum(g * _core.exp(top - out), dim, True)


@op("N(3, 4), 1", "N(4, 3), 0", "N(), 0", "N(0, 3), 0", "N(2, 3) * 100, 1",
    reference="lambda x, dim: np.logaddexp.accumulate(x, dim) if x.ndim else x")  # fmt: skip
def logcumsumexp(self: Tensor, dim: int) -> Tensor:
    """The logarithm of the running sum of exp(self) along ``dim``."""
    dim = wrapped("logcumsumexp", dim, self.dim())
    x = floating(self)
    return _logcumsumexp(x, dim) if x.dim() else x.clone()


@op("N(3, 5)", "N(3, 5), 2", "N(4, 3), 1, 0", "N(3, 4), prepend=N(3, 1)", "N(3, 4), 1, 1, append=N(3, 2)", "N(3, 2), 3",
    "I(9, 5)")  # fmt: skip
def diff(
    self: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours along ``dim``, taken n times, of self between ``prepend`` and ``append``."""
    if self.dim() == 0:
        raise ShapeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    parts = [t for t in (prepend, self, append) if t is not None]
    x = _core.cat(parts, dim) if len(parts) > 1 else self
    for _ in range(n):
        if x.shape[dim] == 0:
            break
        length = x.shape[dim] - 1
        late, early = x.narrow(dim, 1, length), x.narrow(dim, 0, length)
        x = _core.logical_xor(late, early) if x.dtype == _core.bool else late - early
    return x if n else x.clone()


def _strips(op: str, y: Tensor, x: Tensor | None, dx: float, dim: int) -> Tensor:
    """The areas between neighbours."""
    dim = wrapped(op, dim, y.dim())
    length = max(y.shape[dim] - 1, 0)
    middle = (y.narrow(dim, 1, length) + y.narrow(dim, 0, length)) / 2 if y.shape[dim] else zeros(floating(y))
    if x is None:
        return middle * dx
    if x.shape[-1 if x.dim() == 1 else dim] != y.shape[dim]:
        raise ShapeError(f"{op}: there are {x.shape} points for values of shape {y.shape} along dim {dim}")
    width = diff(x) if x.dim() == 1 else diff(x, 1, dim)
    if x.dim() == 1:
        width = width.reshape([-1 if d == dim else 1 for d in range(y.dim())])
    return middle * width


@op("N(3, 5)", "N(3, 5), N(5)", "N(5, 3), N(5), dim=0", "N(4), dx=0.5", "N(3, 5), N(3, 5)", "N(3, 1)",
    reference="lambda y, x=None, dx=1.0, dim=-1: np.trapezoid(y, x, dx, dim)")  # fmt: skip
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral along ``dim`` by the trapezoidal rule, over points x or steps of ``dx``."""
    return _core.sum(_strips("trapezoid", y, x, dx, dim), dim)


trapz = trapezoid


@op("N(3, 5)", "N(3, 5), N(5)", "N(5, 3), N(5), dim=0", "N(4), dx=0.5")
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The running integral along ``dim`` by the trapezoidal rule, over points x or steps of ``dx``."""
    return cumsum(_strips("cumulative_trapezoid", y, x, dx, dim), dim)


def _spread(t: Any, like: Tensor, dim: int) -> Any:
    """Coordinates of one dimension in the shape that they multiply like with; a number as it is."""
    return t.reshape([-1 if d == dim else 1 for d in range(like.dim())]) if isinstance(t, Tensor) else t


def _slope(x: Tensor, dim: int, at: Any, edge_order: int) -> Tensor:
    """The slope along one dimension, whose coordinates are a number apart or those of a vector."""
    n = x.shape[dim]
    if n < edge_order + 1:
        raise ShapeError(f"gradient: expected each dimension size to be at least edge_order+1, found {x.shape}")
    if isinstance(at, Tensor) and at.shape != (n,):
        raise ShapeError(f"gradient: expected {n} coordinates of dimension {dim}, found {at.shape}")
    steps = floating(diff(at)) if isinstance(at, Tensor) else _core.full((n - 1,), at, x.dtype).to(x.device)
    secants: Tensor = diff(x, dim=dim) / _spread(steps, x, dim)

    def secant(i: int) -> Tensor:
        return secants.narrow(dim, i % (n - 1), 1)

    first, last = secant(0), secant(-1)
    if edge_order == 2:  # the parabola through three points
        a, b, y, z = steps[0], steps[1], steps[-1], steps[-2]
        first = first + (first - secant(1)) * (a / (a + b))
        last = last + (last - secant(-2)) * (y / (y + z))
    before, after = _spread(steps.narrow(0, 0, n - 2), x, dim), _spread(steps.narrow(0, 1, n - 2), x, dim)
    left, right = secants.narrow(dim, 0, n - 2), secants.narrow(dim, 1, n - 2)
    inner = (left * after + right * before) / (before + after)
    return _core.cat([first, inner, last], dim)


@op("N(5)", "N(4, 3)", "N(4, 3), spacing=0.5, dim=0", "N(4, 3), spacing=[2.0, 0.5]", "N(5), edge_order=2",
    "N(4, 3), spacing=[C(4), C(3)]", "N(4, 3), spacing=[C(3)], dim=1, edge_order=2")  # fmt: skip
def gradient(
    input: Tensor, *, spacing: Any = 1, dim: int | Sequence[int] | None = None, edge_order: int = 1
) -> list[Tensor]:
    """The slopes of a function along dimensions, from its values: of second order inside, ``edge_order`` at edges.

    ``spacing`` is a number, or for each dimension a number or the vector of its coordinates.
    """
    x = floating(input)
    dims = [dim] if isinstance(dim, int) else list(range(x.dim()) if dim is None else dim)
    places = [spacing] * len(dims) if isinstance(spacing, (int, float)) else list(spacing)
    if len(places) != len(dims) or edge_order not in (1, 2):
        raise ValueError(f"gradient: expected a spacing for each of {len(dims)} dimensions, edge_order 1 or 2, found "
                         f"{len(places)} and {edge_order}")  # fmt: skip
    return [_slope(x, wrapped("gradient", d, x.dim()), at, edge_order) for d, at in zip(dims, places, strict=True)]
