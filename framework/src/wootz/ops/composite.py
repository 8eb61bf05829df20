"""Ops that are others put together: no kernel, no rule of their own."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, NamedTuple

from wootz import _core
from wootz._core import Tensor
from wootz.errors import ShapeError
from wootz.ops.database import op

__all__ = [
    "addmm", "allclose", "aminmax", "atleast_1d", "bmm", "broadcast_tensors", "chunk", "dot", "equal", "gelu", "hstack",
    "isclose", "max", "min", "mm", "movedim", "mv", "norm", "outer", "repeat", "split", "std", "t", "tensordot",
    "unbind", "unsafe_chunk", "unsafe_split", "vstack",
]  # fmt: skip


class Indexed(NamedTuple):
    """Values, and where they were found along a dimension."""

    values: Tensor
    indices: Tensor


Dim = builtins.int | Sequence[builtins.int] | None


@op("N(2, 3)", "N(4), approximate='tanh'", peer="nn.functional.gelu")
def gelu(self: Tensor, approximate: str = "none") -> Tensor:
    """self times the normal distribution function at self, or its tanh approximation (Hendrycks & Gimpel 2016)."""
    if approximate == "none":
        return _core.gelu_erf(self)
    if approximate == "tanh":
        return _core.gelu_tanh(self)
    raise ValueError(f"approximate argument must be either none or tanh, not {approximate!r}")


@op("N(2, 3)", "N(2, 3), 1, correction=0, keepdim=True")
def std(self: Tensor, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
    """The standard deviation over ``dim``: the square root of `var`."""
    return _core.sqrt(_core.var(self, dim, correction=correction, keepdim=keepdim))


@op("N(2, 3)", "N(2, 3), 3.0, 1", "N(3), 1", "N(2, 3), inf", autocast={"cuda": "wide"})
def norm(self: Tensor, p: float | str | None = "fro", dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The p-norm of the elements over ``dim``; p may be infinite, "fro" is 2. Of zeros the gradient is 0."""
    if p in (None, "fro"):
        p = 2
    if isinstance(p, str):
        raise ValueError(f"norm: p is a number, infinite, or 'fro', not {p!r}; linalg.matrix_norm has the nuclear norm")
    size = _core.abs(self)
    if p == float("inf"):
        return _core.amax(size, dim, keepdim)
    if p == float("-inf"):
        return _core.amin(size, dim, keepdim)
    if p == 0:
        return _core.sum(_core.cast(_core.ne(self, 0), size.dtype), dim, keepdim)
    if p == 1:
        return _core.sum(size, dim, keepdim)
    squared = size if self.dtype.is_complex else self  # |x| has a kink at 0, x² has none
    total = _core.sum(_core.square(squared) if p == 2 else _core.pow(size, p), dim, keepdim)
    nothing = total == 0
    safe = _core.where(nothing, 1.0, total)
    root = _core.sqrt(safe) if p == 2 else _core.pow(safe, 1 / p)
    return _core.where(nothing, 0.0, root)


def _extremum(name: str, self: Tensor, dim: Dim | Tensor, keepdim: bool) -> Tensor | tuple[Tensor, Tensor]:
    if isinstance(dim, Tensor):
        return _core.maximum(self, dim) if name == "max" else _core.minimum(self, dim)
    if dim is None:
        return _core.amax(self) if name == "max" else _core.amin(self)
    if not isinstance(dim, builtins.int):
        raise TypeError(f"{name}() takes one dim; a{name} takes several")
    where = (_core.argmax if name == "max" else _core.argmin)(self, dim, True)
    if self.dim() == 0:
        return Indexed(self, where.reshape(()))
    values = _core.gather(self, dim, where)
    return Indexed(values, where) if keepdim else Indexed(values.squeeze(dim), where.squeeze(dim))


@op("N(2, 3)", "N(2, 3), 1", "N(2, 3), N(2, 3)")
def max(self: Tensor, dim: Dim | Tensor = None, keepdim: bool = False) -> Any:
    """The largest element; (values, indices) along ``dim``; or element by element with another tensor."""
    return _extremum("max", self, dim, keepdim)


@op("N(2, 3)", "N(2, 3), 1, True", "N(2, 3), N(2, 3)")
def min(self: Tensor, dim: Dim | Tensor = None, keepdim: bool = False) -> Any:
    """The smallest element; (values, indices) along ``dim``; or element by element with another tensor."""
    return _extremum("min", self, dim, keepdim)


@op("N(2, 3)", "N(2, 3), dim=1")
def aminmax(self: Tensor, *, dim: Dim = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest and the largest element over ``dim``."""
    return _core.amin(self, dim, keepdim), _core.amax(self, dim, keepdim)


def _need_dims(op: str, *wanted: tuple[Tensor, int]) -> None:
    for tensor, dims in wanted:
        if tensor.dim() != dims:
            raise ShapeError(f"{op}: expected {dims}-D tensors, got {tensor.dim()}-D with shape {tensor.shape}")


@op("N(2, 3), N(3, 2)", tolerance=1e-12)
def mm(self: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _need_dims("mm", (self, 2), (mat2, 2))
    return _core.matmul(self, mat2)


@op("N(2, 2, 3), N(2, 3, 2)", tolerance=1e-12)
def bmm(self: Tensor, mat2: Tensor) -> Tensor:
    """The products of two stacks of matrices."""
    _need_dims("bmm", (self, 3), (mat2, 3))
    return _core.matmul(self, mat2)


@op("N(2, 3), N(3)", tolerance=1e-12, autocast={"cpu": "same", "cuda": "low"})
def mv(self: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    _need_dims("mv", (self, 2), (vec, 1))
    return _core.matmul(self, vec)


@op("N(4), N(4)", tolerance=1e-12, autocast={"cpu": "same", "cuda": "widest"})
def dot(self: Tensor, other: Tensor) -> Tensor:
    """The inner product of two vectors."""
    _need_dims("dot", (self, 1), (other, 1))
    return _core.matmul(self, other)


@op("N(2), N(3)")
def outer(self: Tensor, vec2: Tensor) -> Tensor:
    """The outer product of two vectors."""
    _need_dims("outer", (self, 1), (vec2, 1))
    return self.unsqueeze(1) * vec2


@op("N(2, 2), N(2, 3), N(3, 2)", "N(2), N(2, 3), N(3, 2), beta=0.5, alpha=2", tolerance=1e-12, autocast="low",
    inplace=True)  # fmt: skip
def addmm(self: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * self + alpha * (mat1 @ mat2)."""
    product = mm(mat1, mat2)
    return _core.add(self if beta == 1 else self * beta, product, alpha=alpha)


@op(
    "N(2, 3, 2), N(3, 2, 2)", "N(2, 3), N(3, 2), 1", "N(2, 3), N(2, 3), ([0], [0])", tolerance=1e-12,
    autocast={"cuda": "widest"},
)  # fmt: skip
def tensordot(a: Tensor, b: Tensor, dims: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """Sums products over the last ``dims`` dimensions of a and the first of b, or over the two lists given."""
    if isinstance(dims, builtins.int):
        dims = (range(a.dim() - dims, a.dim()), range(dims))
    left, right = ([d % t.dim() for d in ds] for t, ds in ((a, dims[0]), (b, dims[1])))
    keep_a = [d for d in range(a.dim()) if d not in left]
    keep_b = [d for d in range(b.dim()) if d not in right]
    shape_a, shape_b = [a.shape[d] for d in keep_a], [b.shape[d] for d in keep_b]
    inner = 1
    for d, e in zip(left, right, strict=True):
        if a.shape[d] != b.shape[e]:
            raise ShapeError(f"contracted dimensions need to match, but first has size {a.shape[d]} in dim {d} and "
                             f"second has size {b.shape[e]} in dim {e}")  # fmt: skip
        inner *= a.shape[d]
    rows = a.permute([*keep_a, *left]).reshape((_count(shape_a), inner))
    columns = b.permute([*right, *keep_b]).reshape((inner, _count(shape_b)))
    return _core.matmul(rows, columns).reshape([*shape_a, *shape_b])


def _count(shape: Sequence[int]) -> int:
    n = 1
    for extent in shape:
        n *= extent
    return n


@op("N(2, 3)", "N(3)")
def t(self: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and scalars stay as they are."""
    if self.dim() > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {self.dim()}D")
    return self.transpose(0, 1) if self.dim() == 2 else self


@op("N(2, 3)", "N(2, 3), 1")
def unbind(self: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices of one dimension, as views."""
    return tuple(self.select(dim, i) for i in range(self.size(dim)))


@op("N(5, 2), 2", "N(5, 2), (2, 3)", "N(2, 4), 2, 1")
def split(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts, of one size (the last may be smaller) or of the sizes given."""
    n = self.size(dim)
    if isinstance(split_size, builtins.int):
        if split_size <= 0:
            raise ValueError(f"split expects split_size be positive, but got split_size={split_size}")
        sizes = [builtins.min(split_size, n - i) for i in range(0, builtins.max(n, 1), split_size)]
    else:
        sizes = list(split_size)
        if sum(sizes) != n:
            raise ShapeError(f"split_with_sizes expects split_sizes to sum exactly to {n}, but got {sizes}")
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(self.narrow(dim, start, size) for start, size in zip(starts, sizes, strict=True))


def unsafe_split(self: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`split`: views, whose in-place writes the tape follows, so there is nothing unsafe about them here."""
    return split(self, split_size, dim)


def unsafe_chunk(self: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`chunk`: views, whose in-place writes the tape follows, so there is nothing unsafe about them here."""
    return chunk(self, chunks, dim)


@op("N(5, 2), 3", "N(2, 4), 2, 1")
def chunk(self: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` views of consecutive parts of equal size; the last may be smaller."""
    if chunks <= 0:
        raise ValueError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    return split(self, builtins.max(1, -(-self.size(dim) // chunks)), dim)


@op("N(2, 3), 2, 1, 2")
def repeat(self: Tensor, *sizes: int | Sequence[int]) -> Tensor:
    """Copies of self side by side, ``sizes`` times along each dimension; leading ones are added."""
    counts = [n for part in sizes for n in _listed(part)]
    if len(counts) < self.dim():
        raise ShapeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = (1,) * (len(counts) - self.dim()) + self.shape
    spread = self.reshape([x for n in shape for x in (1, n)]).expand(
        [x for c, n in zip(counts, shape, strict=True) for x in (c, n)]
    )
    return spread.reshape([c * n for c, n in zip(counts, shape, strict=True)])


def _listed(dims: int | Sequence[int]) -> list[int]:
    return [dims] if isinstance(dims, builtins.int) else list(dims)


@op("N(2, 3, 4), 0, 2", "N(2, 3, 4), (0, 1), (1, 2)")
def movedim(self: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """A view with dimensions moved to other places; the others keep their order."""
    from_, to = ([d % self.dim() for d in _listed(ds)] for ds in (source, destination))
    rest = iter(d for d in range(self.dim()) if d not in from_)
    places = dict(zip(to, from_, strict=True))
    return self.permute([places[d] if d in places else next(rest) for d in range(self.dim())])


@op("N(2, 1), N(3)")
def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Views of the tensors in their common shape."""
    shape: tuple[int, ...] = ()
    for x in tensors:
        shape = _joint(shape, x.shape)
    return tuple(x.expand(shape) for x in tensors)


def _joint(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    n = builtins.max(len(a), len(b))
    a, b = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
    for x, y in zip(a, b, strict=True):
        if x != y and 1 not in (x, y):
            raise ShapeError(f"shapes {a} and {b} do not broadcast")
    return tuple(y if x == 1 else x for x, y in zip(a, b, strict=True))


@op("N()", "N(2)")
def atleast_1d(self: Tensor) -> Tensor:
    """Self, with a dimension if it has none."""
    return self if self.dim() else self.reshape((1,))


@op("[N(2), N(3)]", "[N(2, 1), N(2, 3)]")
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side: along the second dimension, or the only one."""
    parts = [atleast_1d(x) for x in tensors]
    return _core.cat(parts, 0 if parts[0].dim() == 1 else 1)


@op("[N(2), N(2)]", "[N(2, 3), N(1, 3)]")
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors on top of each other: along the first of at least two dimensions."""
    return _core.cat([x if x.dim() > 1 else x.reshape((1, -1)) for x in tensors], 0)


@op("N(2, 3), N(2, 3)", differentiable=False)
def isclose(self: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """|self - other| <= atol + rtol |other|, element by element; infinities are close to themselves."""
    near = _core.le(_core.abs(self - other), _core.abs(other) * rtol + atol) & _core.isfinite(other)
    near = near | _core.eq(self, other)
    return near | (_core.isnan(self) & _core.isnan(other)) if equal_nan else near


@op("N(2, 3), N(2, 3)", differentiable=False)
def allclose(self: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return builtins.bool(_core.all(isclose(self, other, rtol, atol, equal_nan)))


@op("N(2, 3), N(2, 3)", differentiable=False)
def equal(self: Tensor, other: Tensor) -> bool:
    """Whether shapes and all elements are equal."""
    return self.shape == other.shape and builtins.bool(_core.all(_core.eq(self, other)))
