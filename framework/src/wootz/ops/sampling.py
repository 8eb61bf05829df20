"""Drawing by weights, and filling tensors with random numbers of other distributions than uniform and normal."""

from __future__ import annotations

import math
from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.dtypes import finfo, iinfo
from wootz.errors import DTypeError, ShapeError
from wootz.ops.array_op import array_op, broadcasting
from wootz.ops.random import Generator, rand, randint, randn
from wootz.ops.series import gammainc_of
from wootz.ops.sorting import searchsorted, topk

__all__ = [
    "bernoulli_",
    "cauchy_",
    "exponential_",
    "geometric_",
    "log_normal_",
    "multinomial",
    "poisson",
    "randint_like",
    "random_",
]


def multinomial(
    self: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with probabilities proportional to the weights in self, a vector or rows.

    Without ``replacement`` no index is drawn twice. Raises ValueError for weights that are negative, infinite or NaN,
    that are all zero, or of which too few are not.
    """
    if not self.dtype.is_floating_point:
        raise DTypeError(f"multinomial only supports floating-point dtypes for input, got: {self.dtype.name}")
    if self.dim() not in (1, 2):
        raise ShapeError(f"prob_dist must be 1 or 2 dim, found {self.shape}")
    if num_samples <= 0:
        raise ValueError(f"cannot sample n_sample <= 0 samples, found {num_samples}")
    weights = self.detach().to(_core.float64)
    if not bool((_core.isfinite(weights) & (weights >= 0)).all()):
        raise ValueError("probability tensor contains either `inf`, `nan` or element < 0")
    possible = _core.sum(weights > 0, -1)
    if bool((possible < (1 if replacement else num_samples)).any()):
        raise ValueError(f"invalid multinomial distribution: {num_samples} samples wanted, but only "
                         f"{int(_core.amin(possible).item())} weights are not zero")  # fmt: skip
    if replacement:
        ends = weights.cumsum(-1)
        total = ends.narrow(-1, ends.shape[-1] - 1, 1)
        place = rand((*self.shape[:-1], num_samples), generator=generator, dtype=_core.float64) * total
        last = _core.sum((ends < total).to(_core.int64), -1, True)
        return _core.minimum(searchsorted(ends, place, right=True), last)
    # The first arrivals of exponential clocks that run at the speed of the weights.
    arrival = -_core.log1p(-rand(self.shape, generator=generator, dtype=_core.float64)) / weights
    return topk(arrival, num_samples, -1, largest=False).indices


@array_op(batch=broadcasting)
def _poisson(xp: Any, rate: Any, share: Any) -> Any:
    """The least count that a share of Poisson's distribution does not exceed, by bisection."""
    low, high = xp.full_like(rate, -1), xp.ceil(rate + 40 * xp.sqrt(rate) + 60)
    while bool((high - low > 1).any()):
        middle = xp.floor((low + high) / 2)
        enough = gammainc_of(xp, middle + 1, rate, True) >= share
        low, high = xp.where(enough, low, middle), xp.where(enough, middle, high)
    return xp.where(rate == 0, 0, high)


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Counts of events that come at the rates ``input``, in its dtype. Raises ValueError for a negative rate."""
    if bool((input < 0).any()):
        raise ValueError("invalid Poisson rate, expected rate to be non-negative")
    rate = input.detach().to(_core.float64)
    return _core.cast(_poisson(rate, _uniform(rate, generator)), input.dtype)


def randint_like(
    t: Tensor, low: int, high: int | None = None, *, generator: Generator | None = None, dtype: dtype | None = None,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform integers in [low, high), or [0, low) of one number, in t's shape, dtype and device."""
    low, high = (0, low) if high is None else (low, high)
    made = randint(low, high, t.shape, generator=generator)
    return made.to(dtype or t.dtype).to(t.device if device is None else device)


def _uniform(self: Tensor, generator: Generator | None) -> Tensor:
    return rand(self.shape, generator=generator, dtype=_core.float64)


def exponential_(self: Tensor, lambd: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fills self with waiting times at the rate ``lambd``."""
    if lambd <= 0:
        raise ValueError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return self.copy_(_core.log1p(-_uniform(self, generator)) / -lambd)


def bernoulli_(self: Tensor, p: float | Tensor = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fills self with ones, with probability p (a number, or one for each element), and zeros."""
    least, most = (p.amin().item(), p.amax().item()) if isinstance(p, Tensor) and p.numel() else (p, p)
    if not isinstance(least, Tensor) and not 0 <= least <= most <= 1:
        raise ValueError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    return self.copy_(_uniform(self, generator) < p)


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fills self with how many trials a success of probability p takes."""
    if not 0 < p < 1:
        raise ValueError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    return self.copy_(_core.floor(_core.log1p(-_uniform(self, generator)) / math.log1p(-p)) + 1)


def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fills self with numbers of Cauchy's distribution."""
    return self.copy_(_core.tan((_uniform(self, generator) - 0.5) * math.pi) * sigma + median)


def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None) -> Tensor:
    """Fills self with numbers whose logarithms are normal."""
    return self.copy_(_core.exp(randn(self.shape, generator=generator, dtype=_core.float64) * std + mean))


def random_(
    self: Tensor, low: int = 0, high: int | None = None, *, generator: Generator | None = None
) -> Tensor:  # fmt: skip
    """Fills self with uniform integers in [low, high), or [0, low), or as many as the dtype holds exactly."""
    if high is None:
        low, high = 0, low or _most(self)
    return self.copy_(randint(low, high, self.shape, generator=generator))


def _most(self: Tensor) -> int:
    """One more than the greatest integer up to which the dtype holds every one."""
    if self.dtype == _core.bool:
        return 2
    if self.dtype.is_floating_point:
        return int(2 / finfo(self.dtype).eps) + 1
    return min(iinfo(self.dtype).max, 2**62) + 1
