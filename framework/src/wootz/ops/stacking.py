"""Parts of a tensor, and tensors put together: splits are views, stacks are native concatenations."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.errors import ShapeError
from wootz.ops.array_op import wrapped
from wootz.ops.composite import split
from wootz.ops.database import op

__all__ = [
    "atleast_2d", "atleast_3d", "column_stack", "dsplit", "dstack", "hsplit", "row_stack", "split_with_sizes",
    "tensor_split", "vsplit",
]  # fmt: skip


def grouped(tensors: tuple[Any, ...]) -> list[Tensor]:
    """The tensors of ``f(a, b)`` or ``f([a, b])``."""
    return list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)


def _splits(op: str, self: Tensor, sections: int | Sequence[int], dim: int) -> tuple[Tensor, ...]:
    if isinstance(sections, builtins.int) and (sections < 1 or self.shape[dim] % sections):
        raise ShapeError(f"{op} attempted to split along dimension {dim}, but the size of the dimension "
                         f"{self.shape[dim]} is not divisible by the split_size {sections}!")  # fmt: skip
    return tensor_split(self, sections, dim)


@op("N(7), 3", "N(7, 2), (1, 4)", "N(2, 7), 3, 1", "N(4), wootz.tensor([1, 2])",
    reference="lambda x, n, dim=0: np.array_split(x, n, dim)")  # fmt: skip
def tensor_split(self: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts: so many, the first ones longer by one, or those between the indices given."""
    dim = wrapped("tensor_split", dim, self.dim())
    where = indices_or_sections
    where = where.tolist() if isinstance(where, Tensor) else where
    n = self.size(dim)
    if isinstance(where, builtins.int):
        if where <= 0:
            raise ValueError(f"number of sections must be larger than 0, got {where}")
        sizes = [n // where + (i < n % where) for i in range(where)]
        return split(self, sizes, dim)
    edges = [0, *where, n]
    return tuple(_core.slice(self, dim, a, b) for a, b in itertools.pairwise(edges))


@op("N(4, 2), 2", "N(2, 4), (1, 3)", "N(4), 2", reference="np.hsplit")
def hsplit(self: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Parts of the columns, or of a vector."""
    return _splits("hsplit", self, indices_or_sections, 0 if self.dim() == 1 else 1)


@op("N(4, 2), 2", "N(4, 2), (1, 3)", reference="np.vsplit")
def vsplit(self: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Parts of the rows."""
    if self.dim() < 2:
        raise ShapeError(f"vsplit requires a tensor with at least 2 dimension, but got a tensor with {self.dim()}")
    return _splits("vsplit", self, indices_or_sections, 0)


@op("N(2, 2, 4), 2", "N(2, 2, 4), (1, 3)", reference="np.dsplit")
def dsplit(self: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Parts of the third dimension."""
    if self.dim() < 3:
        raise ShapeError(f"dsplit requires a tensor with at least 3 dimension, but got a tensor with {self.dim()}")
    return _splits("dsplit", self, indices_or_sections, 2)


@op("N(5), (2, 3)", "N(2, 5), (1, 4), 1")
def split_with_sizes(self: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of the sizes given."""
    return split(self, list(split_sizes), dim)


def _each(tensors: tuple[Any, ...], widen: Any) -> Any:
    made = tuple(widen(t) for t in grouped(tensors))
    return made[0] if len(tensors) == 1 and isinstance(tensors[0], Tensor) else made


@op("N(3)", "N()", "N(2, 3)", "[N(3), N()]")
def atleast_2d(*tensors: Any) -> Any:
    """Tensors with leading dimensions up to two."""
    return _each(tensors, lambda t: t.reshape((1,) * (2 - t.dim()) + t.shape) if t.dim() < 2 else t)


@op("N(3)", "N()", "N(2, 3)", "N(2, 3, 4)")
def atleast_3d(*tensors: Any) -> Any:
    """Tensors of at least three dimensions: (1, n, 1) from a vector, (n, m, 1) from a matrix."""

    def widen(t: Tensor) -> Tensor:
        return t.reshape([(1, 1, 1), (1, t.numel(), 1), (*t.shape, 1)][t.dim()]) if t.dim() < 3 else t

    return _each(tensors, widen)


@op("[N(3), N(3)]", "[N(3), N(3, 2)]", reference="np.column_stack")
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Vectors as columns, and matrices, side by side."""
    return _core.cat([t.reshape((-1, 1)) if t.dim() < 2 else t for t in tensors], 1)


@op("[N(3), N(3)]", "[N(2, 3), N(2, 3)]", reference="np.dstack")
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors behind each other, along the third dimension."""
    return _core.cat(list(atleast_3d(list(tensors))), 2)


@op("[N(3), N(3)]", "[N(2, 3), N(1, 3)]", reference="np.vstack")
def row_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors on top of each other."""
    return _core.cat([t.reshape((1, -1)) if t.dim() < 2 else t for t in tensors], 0)
