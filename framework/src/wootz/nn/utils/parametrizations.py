"""Ready-made parametrisations: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

import wootz
from wootz._tensor import Tensor
from wootz.nn import functional as F
from wootz.nn.module import Module
from wootz.nn.utils.orthogonal import orthogonal
from wootz.nn.utils.parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def norm_except(value: Tensor, dim: int | None) -> Tensor:
    """Lengths over all dimensions but one, kept; over all for None."""
    dims = [d for d in range(value.dim()) if dim is None or d != dim % value.dim()]
    return value.square().sum(dims, True).sqrt() if dims else value.abs()


class _WeightNorm(Module):
    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, length: Tensor, direction: Tensor) -> Tensor:
        return direction * (length / norm_except(direction, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """A weight as length ``original0`` times direction ``original1`` (Salimans & Kingma 2016): a length for each index
    of ``dim``, or one for all for None.
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        if n_power_iterations < 1:
            raise ValueError(f"n_power_iterations is at least 1, not {n_power_iterations}")
        self.dim, self.eps, self.n_power_iterations = dim % max(1, weight.dim()), eps, n_power_iterations
        if weight.dim() > 1:
            matrix = self._matrix(weight.detach())
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, F.normalize(wootz.randn(size, dtype=weight.dtype), dim=0, eps=eps))
            self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        return (weight.movedim(self.dim, 0) if self.dim else weight).flatten(1)

    def _iterate(self, matrix: Tensor, times: int) -> None:
        with wootz.no_grad():
            for _ in range(times):
                self._u.copy_(F.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.t().mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # the next iteration writes over them
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int = 0
) -> Module:
    """A weight over its largest singular value, which power iteration follows in training (Miyato et al. 2018).

    ``dim`` is the dimension of outputs; the others are joined to a matrix's columns.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise KeyError(f"{type(module).__name__} has no tensor {name!r}")
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
