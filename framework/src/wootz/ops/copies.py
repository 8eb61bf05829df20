"""Views' names with ``_copy``: what the view sees, in memory of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.ops.composite import split, t, unbind
from wootz.ops.database import op

__all__ = [
    "alias_copy",
    "as_strided_copy",
    "detach_copy",
    "diagonal_copy",
    "expand_copy",
    "narrow_copy",
    "permute_copy",
    "select_copy",
    "slice_copy",
    "split_copy",
    "split_with_sizes_copy",
    "squeeze_copy",
    "t_copy",
    "transpose_copy",
    "unbind_copy",
    "unfold_copy",
    "unsqueeze_copy",
    "view_as_complex_copy",
    "view_as_real_copy",
    "view_copy",
]


def _each(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(part.clone() for part in parts)


@op("N(2, 3)", "T(3, 2)")
def alias_copy(input: Tensor) -> Tensor:
    """Self, in memory of its own."""
    return input.clone()


@op("N(3, 4), (2, 2), (4, 1)")
def as_strided_copy(
    input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """What `as_strided` sees."""
    return input.as_strided(size, stride, storage_offset).clone()


@op("N(2, 3)", differentiable=False)
def detach_copy(input: Tensor) -> Tensor:
    """The values without history."""
    return input.detach().clone()


@op("N(3, 4), 1", "N(2, 3, 3), 0, 1, 2")
def diagonal_copy(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions."""
    return input.diagonal(offset, dim1, dim2).clone()


@op("N(2, 1), (2, 3)")
def expand_copy(input: Tensor, size: Sequence[int], *, implicit: bool = False) -> Tensor:
    """What `expand` sees, every element in its own place."""
    return input.expand(size).clone()


@op("N(5, 3), 0, 1, 3")
def narrow_copy(self: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` indices from ``start`` on."""
    return self.narrow(dim, start, length).clone()


@op("N(2, 3, 4), (2, 0, 1)")
def permute_copy(input: Tensor, dims: Sequence[int]) -> Tensor:
    """The dimensions in the order given."""
    return input.permute(dims).clone()


@op("N(2, 3, 4), 1, -1")
def select_copy(input: Tensor, dim: int, index: int) -> Tensor:
    """One slice, without its dimension."""
    return input.select(dim, index).clone()


@op("N(5, 3), 0, 1, 4", "N(7), 0, None, None, 2")
def slice_copy(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """Every ``step``-th index from ``start`` to before ``end``."""
    return _core.slice(input, dim, start, end, step).clone()


@op("N(5, 2), 2")
def split_copy(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """The parts that `split` sees."""
    return _each(split(input, split_size, dim))


@op("N(2, 5), (1, 4), 1")
def split_with_sizes_copy(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """The parts of the sizes given."""
    return _each(split(input, list(split_sizes), dim))


@op("N(2, 1, 3)", "N(2, 1, 3), 1")
def squeeze_copy(input: Tensor, dim: Any = None) -> Tensor:
    """Without dimensions of extent 1 (among ``dim`` only, where given)."""
    return input.squeeze(dim).clone()


@op("N(2, 3)", "N(3)")
def t_copy(input: Tensor) -> Tensor:
    """The transpose of a matrix."""
    return t(input).clone()


@op("N(2, 3, 4), 0, 2")
def transpose_copy(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    return input.transpose(dim0, dim1).clone()


@op("N(2, 3), 1")
def unbind_copy(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices of one dimension."""
    return _each(unbind(input, dim))


@op("N(2, 5), 1, 2, 2")
def unfold_copy(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of ``size`` along a dimension, ``step`` apart, as a new last dimension."""
    return input.unfold(dimension, size, step).clone()


@op("N(2, 3), 1")
def unsqueeze_copy(input: Tensor, dim: int) -> Tensor:
    """With a dimension of extent 1 put in at ``dim``."""
    return input.unsqueeze(dim).clone()


@op("N(2, 3, 2)", reference="lambda x: x[..., 0] + 1j * x[..., 1]", peer="")
def view_as_complex_copy(input: Tensor) -> Tensor:
    """Pairs in the last dimension as complex numbers."""
    return _core.view_as_complex(input).clone()


@op("X(2, 3)")
def view_as_real_copy(input: Tensor) -> Tensor:
    """The parts of complex numbers, as a new last dimension of two."""
    return _core.view_as_real(input).clone()


@op("N(2, 6), (3, 4)")
def view_copy(input: Tensor, size: Any) -> Tensor:
    """The same elements in another shape, or their bytes as another dtype."""
    return input.view(size).clone()
