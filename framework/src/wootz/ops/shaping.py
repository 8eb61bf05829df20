"""Other arrangements of the same elements: rolls, tiles, grids, diagonals. All are made of native views."""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.errors import ShapeError
from wootz.ops.array_op import need_integers, wrapped, zeros
from wootz.ops.complex_numbers import conj
from wootz.ops.composite import atleast_1d, broadcast_tensors, movedim, repeat
from wootz.ops.database import op
from wootz.ops.sorting import searchsorted
from wootz.ops.stacking import grouped

__all__ = [
    "adjoint", "block_diag", "broadcast_shapes", "broadcast_to", "cartesian_prod", "combinations", "diag",
    "diag_embed", "diagflat", "fliplr", "flipud", "meshgrid", "moveaxis", "ravel", "repeat_interleave", "roll",
    "rot90", "swapdims", "tile", "tril_indices", "triu_indices", "unflatten", "unravel_index", "vander",
]  # fmt: skip

Dims = int | Sequence[int]


def _listed(dims: Dims) -> list[int]:
    return [dims] if isinstance(dims, builtins.int) else list(dims)


@op("N(2, 3), (2, 2)", "N(3), (2, 1, 2)", "N(2, 3), (2,)", "N(), (2,)", reference="np.tile")
def tile(self: Tensor, *dims: Dims) -> Tensor:
    """Copies of self side by side, ``dims`` times along the last dimensions."""
    counts = [n for part in dims for n in _listed(part)]
    return repeat(self, [1] * (self.dim() - len(counts)) + counts)


@op("N(3, 4), 2", "N(3, 4), 1, 0", "N(3, 4), (1, -1), (0, 1)", "N(0, 3), 1, 0", "T(3, 4), 5, 1",
    reference="lambda x, shifts, dims=None: np.roll(x, shifts, dims)")  # fmt: skip
def roll(self: Tensor, shifts: Dims, dims: Dims | None = None) -> Tensor:
    """The elements moved on by ``shifts`` along ``dims``, those that leave at the end coming in at the start."""
    if dims is None:
        return roll(self.reshape((-1,)), shifts, 0).reshape(self.shape)
    by, along = _listed(shifts), _listed(dims)
    if len(by) != len(along):
        raise ShapeError(f"roll: shifts and dimensions must align. shifts: {len(by)}, dims: {len(along)}")
    out = self
    for shift, d in zip(by, along, strict=True):
        n = self.size(d)
        cut = -shift % n if n else 0
        if cut:
            out = _core.cat([out.narrow(d, cut, n - cut), out.narrow(d, 0, cut)], d)
    return out if out is not self else self.clone()


@op("N(2, 3)", "N(2, 3), 2", "N(2, 3, 4), -1, (1, 2)", "N(2, 3), 4",
    reference="lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims)")  # fmt: skip
def rot90(self: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Self turned k times by a quarter in the plane of two dimensions, from the first to the second."""
    if len(dims) != 2 or self.dim() < 2:
        raise ShapeError(f"rot90: expected 2 rotation dims of a tensor of at least 2, found {dims} and {self.dim()}")
    first, second = (wrapped("rot90", d, self.dim()) for d in dims)
    if first == second:
        raise ShapeError(f"rot90: expected rotation dims to be different, but got dim0 = {first} and dim1 = {second}")
    k %= 4
    if k == 0:
        return self.clone()
    if k == 2:
        return _core.flip(self, (first, second))
    return _core.flip(self, second if k == 1 else first).transpose(first, second)


@op("N(2, 3)", "N(2, 3, 2)", reference="np.fliplr")
def fliplr(self: Tensor) -> Tensor:
    """Self with the order of columns reversed."""
    if self.dim() < 2:
        raise ShapeError("Input must be >= 2-d.")
    return _core.flip(self, 1)


@op("N(2, 3)", "N(3)", reference="np.flipud")
def flipud(self: Tensor) -> Tensor:
    """Self with the order of rows reversed."""
    if self.dim() < 1:
        raise ShapeError("Input must be >= 1-d.")
    return _core.flip(self, 0)


@op("N(2), N(3)", "[N(2), N(3), N(4)], indexing='xy'", "N(2), N()",
    reference="lambda *t, indexing='ij': "
    "np.meshgrid(*(t[0] if isinstance(t[0], list) else t), indexing=indexing)")  # fmt: skip
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Grids whose k-th holds the coordinate of the k-th vector; "xy" swaps the first two dimensions."""
    vectors = [atleast_1d(t) for t in grouped(tensors)]
    if indexing not in ("ij", "xy"):
        raise ValueError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if any(v.dim() != 1 for v in vectors):
        raise ShapeError("meshgrid: expected 0-D or 1-D tensors")
    swap = indexing == "xy" and len(vectors) > 1
    if swap:
        vectors[:2] = vectors[1::-1]
    n = len(vectors)
    grids = broadcast_tensors(*(v.reshape([-1 if d == i else 1 for d in range(n)]) for i, v in enumerate(vectors)))
    if swap:
        grids = (grids[1], grids[0], *grids[2:])
    return grids


@op("N(2), N(3)", "N(3)")
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every combination of one element of each vector, a row each."""
    if len(tensors) == 1:
        return tensors[0]
    return _core.stack([g.reshape((-1,)) for g in meshgrid(*tensors)], -1)


@op("N(4)", "N(4), 3", "N(3), 2, True", "N(2), 3")
def combinations(self: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every r elements of a vector, in its order, a row each."""
    if self.dim() != 1:
        raise ShapeError(f"Expect a 1D vector, but got shape {self.shape}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = [list(row) for row in choose(range(self.shape[0]), r)]
    if not rows:
        return self.narrow(0, 0, 0).reshape((0, r))
    flat = _core.stack([_core.scalar(i) for row in rows for i in row], 0).to(self.device)
    return _core.index_select(self, 0, flat).reshape((len(rows), r))


@op("N(3)", "N(3, 4)", "N(3), 1", "N(3, 4), -1", "N(3), -2", reference="np.diag")
def diag(self: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    if self.dim() not in (1, 2):
        raise ShapeError(f"diag(): Supports 1D or 2D tensors. Got {self.dim()}D")
    return diag_embed(self, diagonal) if self.dim() == 1 else self.diagonal(diagonal).clone()


@op("N(2, 3)", "N(2, 3), 1", "N(2, 3), -1, 0, 2", "N(3)")
def diag_embed(self: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices, in ``dim1`` and ``dim2``, with the last dimension on their diagonals and zeros elsewhere."""
    n = self.shape[-1] + abs(offset)
    first, second = (wrapped("diag_embed", d, self.dim() + 1) for d in (dim1, dim2))
    if first == second:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    out = _core.diagonal_backward(self, (*self.shape[:-1], n, n), offset, -2, -1)
    return movedim(out, (-2, -1), (first, second))


@op("N(2, 2)", "N(3), 1", "N()", reference="np.diagflat")
def diagflat(self: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements on its diagonal."""
    return diag_embed(self.reshape((-1,)), offset)


@op("N(2, 3), N(1, 1)", "N(3), N(2, 2), N()")
def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with matrices along its diagonal; vectors count as rows."""
    blocks = [t.reshape((1, -1)) if t.dim() < 2 else t for t in tensors]
    width = sum(b.shape[1] for b in blocks)
    rows, at = [], 0
    for b in blocks:
        if b.dim() != 2:
            raise ShapeError(f"block_diag: tensors are of at most 2 dimensions, found {b.shape}")
        left, right = (b.shape[0], at), (b.shape[0], width - at - b.shape[1])
        rows.append(_core.cat([zeros(b, left), b, zeros(b, right)], 1))
        at += b.shape[1]
    return _core.cat(rows, 0)


def _corner_indices(row: int, col: int, offset: int, keep: Any, kind: dtype | None, device: Any) -> Tensor:
    if row < 0 or col < 0:
        raise ShapeError(f"row and col must be non-negative, got {row} and {col}")
    mask = keep(_core.full((row, col), 1, _core.int64), offset)
    found = _core.nonzero(mask).transpose(0, 1).contiguous()
    return found.to(kind or _core.int64).to(device or "cpu")


@op(
    "3, 4",
    "3, 4, 1",
    "2, 2, -1",
    differentiable=False,
    reference="lambda n, m, k=0: np.stack(np.tril_indices(n, k, m))",
)
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: dtype | None = None, device: Any = None
) -> Tensor:  # fmt: skip
    """The places of a matrix on and below a diagonal: rows in the first line, columns in the second."""
    return _corner_indices(row, col, offset, _core.tril, dtype, device)


@op(
    "3, 4",
    "3, 4, 1",
    "2, 2, -1",
    differentiable=False,
    reference="lambda n, m, k=0: np.stack(np.triu_indices(n, k, m))",
)
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: dtype | None = None, device: Any = None
) -> Tensor:  # fmt: skip
    """The places of a matrix on and above a diagonal: rows in the first line, columns in the second."""
    return _corner_indices(row, col, offset, _core.triu, dtype, device)


@op("N(3)", "N(3), 4", "N(3), 2, True", reference="lambda x, n=None, up=False: np.vander(x, n, up)")
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The first N powers of each element of a vector, a row each."""
    if x.dim() != 1:
        raise ShapeError(f"vander: x must be a one-dimensional tensor, found {x.shape}")
    n = x.shape[0] if N is None else N
    power = _core.full((x.shape[0],), 1, x.dtype).to(x.device)
    columns = []
    for _ in range(n):
        columns.append(power)
        power = power * x
    return _core.stack(columns if increasing else columns[::-1], 1) if n else x.reshape((-1, 1)).narrow(1, 0, 0)


@op("N(2, 3)", "N()", "T(3, 2)", reference="np.ravel")
def ravel(self: Tensor) -> Tensor:
    """The elements as a vector, a view where memory allows."""
    return self.reshape((-1,))


@op("N(2, 6), 1, (2, 3)", "N(6), 0, (2, -1)", "N(2, 4), -1, (2, 2)")
def unflatten(self: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """A view with one dimension made several; one of the ``sizes`` may be -1."""
    dim, sizes = wrapped("unflatten", dim, self.dim()), list(sizes)
    known = math.prod(n for n in sizes if n != -1)
    if -1 in sizes and known:
        sizes[sizes.index(-1)] = self.shape[dim] // known
    if math.prod(sizes) != self.shape[dim]:
        raise ShapeError(f"unflatten: Provided sizes {sizes} don't multiply up to the size of dim {dim} "
                         f"({self.shape[dim]}) in the input tensor")  # fmt: skip
    return self.reshape((*self.shape[:dim], *sizes, *self.shape[dim + 1 :]))


def swapdims(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions exchanged."""
    return self.transpose(dim0, dim1)


def moveaxis(self: Tensor, source: Dims, destination: Dims) -> Tensor:
    """A view with dimensions moved to other places; the others keep their order."""
    return movedim(self, source, destination)


@op("N(2, 3)", "T(2, 3)")
def adjoint(self: Tensor) -> Tensor:
    """Matrices transposed, complex ones conjugated."""
    if self.dim() == 1:
        raise ShapeError("adjoint: expected a matrix or a batch of matrices, found a vector")
    return conj(self.transpose(-2, -1) if self.dim() else self)


@op("N(3), (2, 3)", "N(2, 1), (2, 3)", reference="np.broadcast_to")
def broadcast_to(self: Tensor, size: Sequence[int]) -> Tensor:
    """Self in another shape by repetition, without copying."""
    return self.expand(size)


def broadcast_shapes(*shapes: Dims) -> tuple[int, ...]:
    """The shape that tensors of these shapes have together. Raises `ShapeError` where they do not fit."""
    out: list[int] = []
    for shape in shapes:
        given = _listed(shape)
        size = max(len(out), len(given))
        out, given = [1] * (size - len(out)) + out, [1] * (size - len(given)) + given
        for i, (a, b) in enumerate(zip(out, given, strict=True)):
            if a != b and 1 not in (a, b):
                raise ShapeError(f"Shape mismatch: objects cannot be broadcast to a single shape: {shapes}")
            out[i] = b if a == 1 else a
    return tuple(out)


@op("N(3), 2", "N(2, 3), 2, 1", "N(3, 2), wootz.tensor([1, 0, 2]), 0", "N(2, 2), wootz.tensor([1, 3]), dim=1")
def repeat_interleave(
    self: Tensor, repeats: int | Tensor | None = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element (or slice of ``dim``) repeated in place, so often each; of counts alone, the indices so repeated."""
    if repeats is None:
        need_integers("repeat_interleave", self)
        return repeat_interleave(_core.arange(0, self.numel(), 1, _core.int64).to(self.device), self)
    x, dim = (self.reshape((-1,)), 0) if dim is None else (self, wrapped("repeat_interleave", dim, self.dim()))
    n = x.shape[dim]
    if isinstance(repeats, builtins.int) or repeats.numel() == 1:
        count = builtins.int(repeats if isinstance(repeats, builtins.int) else repeats.item())
        spread = x.unsqueeze(dim + 1).expand((*x.shape[: dim + 1], count, *x.shape[dim + 1 :]))
        return spread.reshape((*x.shape[:dim], n * count, *x.shape[dim + 1 :]))
    if repeats.dim() != 1 or repeats.shape[0] != n or bool((repeats < 0).any()):
        raise ShapeError(f"repeat_interleave: expected {n} counts of at least 0, found {repeats}")
    ends = repeats.to(_core.int64).cumsum(0)
    total = builtins.int(ends[-1].item()) if n else 0
    where = searchsorted(ends, _core.arange(0, total, 1, _core.int64).to(self.device), right=True)
    return _core.index_select(x, dim, where)


def unravel_index(indices: Tensor, shape: Dims) -> tuple[Tensor, ...]:
    """Places counted through an array of this shape, as one index a dimension. Raises ValueError outside of it."""
    need_integers("unravel_index", indices)
    sizes = _listed(shape)
    if bool(((indices < 0) | (indices >= math.prod(sizes))).any()):
        raise ValueError(f"unravel_index: an index is outside of shape {tuple(sizes)}")
    out = []
    for n in reversed(sizes):
        out.append(indices % n)
        indices = _core.floor_divide(indices, n)
    return tuple(reversed(out))
