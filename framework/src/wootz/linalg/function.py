"""Functions of matrices, and products."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wootz import _core
from wootz._core import Tensor
from wootz._core import matmul as matmul
from wootz.errors import ShapeError
from wootz.linalg.checks import identity, square
from wootz.linalg.system import solve
from wootz.ops.complex_numbers import conj
from wootz.ops.database import op
from wootz.ops.products import chain
from wootz.ops.products import matrix_power as matrix_power

__all__ = ["diagonal", "matmul", "matrix_exp", "matrix_power", "multi_dot", "vander", "vecdot"]

# Numerator of the Padé approximant [13/13] of exp, from the constant on (Higham 2005).
_PADE = [
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
    670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
]  # fmt: skip


@op("N(3, 3)", "N(2, 3, 3) * 3", "M(3, 3)", "X(3, 3)", tolerance=1e-10, autocast={"cpu": "same"})
def matrix_exp(A: Tensor) -> Tensor:
    """The exponentials of square matrices: Padé's approximant of A / 2**k, squared k times."""
    square("matrix_exp", A)
    if A.numel() == 0:
        return A * 1
    size = float(_core.amax(_core.sum(_core.abs(A.detach()), -2)).item())
    halvings = max(0, math.ceil(math.log2(size / 5.37))) if 0 < size < math.inf else 0
    x = A * 0.5**halvings
    unit = identity(A.shape[-1], A)
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    c = [float(v) for v in _PADE]
    odd = x6 @ (x6 * c[13] + x4 * c[11] + x2 * c[9]) + x6 * c[7] + x4 * c[5] + x2 * c[3] + unit * c[1]
    even = x6 @ (x6 * c[12] + x4 * c[10] + x2 * c[8]) + x6 * c[6] + x4 * c[4] + x2 * c[2] + unit * c[0]
    odd = x @ odd
    out = solve(even - odd, even + odd)
    for _ in range(halvings):
        out = out @ out
    return out


@op("[N(2, 3), N(3, 4), N(4, 2)]", "[N(3), N(3, 4), N(4)]", tolerance=1e-12, autocast="low")
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices in the cheapest order; the first and the last may be vectors."""
    return chain("linalg.multi_dot", tensors)


@op("N(2, 3), N(2, 3)", "N(3, 2), N(3, 2), dim=0", "X(2, 3), X(2, 3)", autocast="low")
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The inner products of vectors along ``dim``, the first conjugated."""
    return _core.sum(conj(x) * y, dim)


@op("N(3)", "N(2, 3), N=2")
def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of each element, in a new last dimension."""
    if x.dim() == 0:
        raise ShapeError("linalg.vander: expected at least a vector, found a 0-d tensor")
    powers, power = [], x.detach() * 0 + 1
    for _ in range(x.shape[-1] if N is None else N):
        powers.append(power)
        power = power * x
    return _core.stack(powers, -1)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of matrices."""
    return A.diagonal(offset, dim1, dim2)
