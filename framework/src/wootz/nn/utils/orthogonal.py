"""Weights kept orthogonal while they are trained (Lezcano-Casado 2019)."""

from __future__ import annotations

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.module import Module
from wootz.nn.utils.parametrize import register_parametrization

__all__ = ["orthogonal"]

_MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """base Q(X): Q is a map from any matrix to an orthogonal one that takes the first X to the identity.

    Without trivialization there is no base, and X starts at the weight itself.
    """

    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: str, trivialization: bool) -> None:
        super().__init__()
        self.shape, self.orthogonal_map, self.trivialization = weight.shape, orthogonal_map, trivialization
        if trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        tall = x.mT if wide else x
        q = _reflections(tall) if self.orthogonal_map == "householder" else self._rotation(tall)
        if self.trivialization and self.base is not None:
            q = self.base @ q
        return q.mT if wide else q

    def _rotation(self, x: Tensor) -> Tensor:
        """From the difference of a lower triangle and its transpose, by the exponential or Cayley's map."""
        rows, columns = x.shape[-2:]
        lower = wootz.tril(x)
        if rows != columns:
            lower = wootz.cat([lower, wootz.zeros((*x.shape[:-2], rows, rows - columns), dtype=x.dtype)], -1)
        skew = lower - lower.mT
        if self.orthogonal_map == "matrix_exp":
            q = wootz.linalg.matrix_exp(skew)
        else:
            one = wootz.eye(rows, dtype=x.dtype)
            q = wootz.linalg.solve(one - skew / 2, one + skew / 2)
        return q[..., :columns]

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Makes the orthogonal matrix nearest in its columns' order the base; X starts at minus the identity.

        Without trivialization only reflections have an inverse; X is else the weight.
        """
        if weight.shape != self.shape:
            raise ShapeError(f"a weight of shape {tuple(self.shape)} is needed, not {tuple(weight.shape)}")
        wide = weight.shape[-2] < weight.shape[-1]
        tall = weight.mT if wide else weight
        if not self.trivialization:
            vectors = _reflectors(tall) if self.orthogonal_map == "householder" else tall
            return vectors.mT.contiguous() if wide else vectors
        rows, columns = tall.shape[-2:]
        more = wootz.randn((*tall.shape[:-2], rows, rows - columns), dtype=tall.dtype)
        q, r = wootz.linalg.qr(wootz.cat([tall, more], -1) if rows != columns else tall)
        signs = wootz.where(r.diagonal(0, -2, -1) < 0, -1.0, 1.0).to(q.dtype)
        self.base = q * signs.unsqueeze(-2)
        return (-wootz.eye(weight.shape[-2], weight.shape[-1], dtype=weight.dtype)).expand(weight.shape).contiguous()


def _reflections(x: Tensor) -> Tensor:
    """The product of Householder's reflections along x's columns below the diagonal, times the diagonal's signs."""
    rows, columns = x.shape[-2:]
    lower = wootz.tril(x, -1)
    scale = 2.0 / (1.0 + lower.square().sum(-2))
    vectors = lower + wootz.eye(rows, columns, dtype=x.dtype)
    q = wootz.eye(rows, columns, dtype=x.dtype).expand(x.shape)
    for i in range(columns - 1, -1, -1):
        v = vectors[..., i : i + 1]
        q = q - scale[..., i : i + 1].unsqueeze(-1) * (v @ (v.mT @ q))
    return q * x.detach().diagonal(0, -2, -1).trunc().unsqueeze(-2)


def _reflectors(x: Tensor) -> Tensor:
    """Householder's vectors below the diagonal and signs on it, of which `_reflections` makes x's orthogonal factor."""
    rest, out = x.clone(), wootz.zeros_like(x)
    for i in range(x.shape[-1]):
        column = rest[..., i:, i]
        first, size = column[..., :1], column.square().sum(-1, True).sqrt()
        below = column[..., 1:]
        flat = below.abs().sum(-1, True) == 0
        # The sign that does not cancel; a column that is done is reflected by the map all the same, and turned back.
        turned = wootz.where(first < 0, size, -size)
        vector = below / wootz.where(flat, 1.0, first - turned)
        sign = wootz.where(flat, -first.sign(), turned.sign())
        out[..., i + 1 :, i] = wootz.where(flat, 0.0, vector)
        out[..., i, i] = sign.squeeze(-1)
        whole = wootz.cat([wootz.ones_like(first), out[..., i + 1 :, i]], -1).unsqueeze(-1)
        scale = 2.0 / whole.square().sum(-2, True)
        rest[..., i:, :] = rest[..., i:, :] - scale * (whole @ (whole.mT @ rest[..., i:, :]))
    return out


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """A weight with orthonormal columns, or rows where they are fewer; it starts at the weight's own, made orthogonal.

    ``orthogonal_map`` is "matrix_exp", "cayley" or "householder": by default the first for a square matrix, else the
    last. Without ``use_trivialization`` the map is of the trained matrix alone, which costs less memory; the first two
    then start from the weight as any matrix, not at the orthogonal one nearest to it. Raises ValueError for a vector.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor) or weight.dim() < 2:
        raise ValueError(f"{type(module).__name__} has no matrix {name!r}")
    kind = orthogonal_map or ("matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder")
    if kind not in _MAPS:
        raise ValueError(f"orthogonal_map is one of {', '.join(_MAPS)}, not {orthogonal_map!r}")
    return register_parametrization(module, name, _Orthogonal(weight, kind, use_trivialization), unsafe=True)
