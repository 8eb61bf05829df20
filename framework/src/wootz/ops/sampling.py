"""Drawing by weights."""

from __future__ import annotations

from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.errors import DTypeError, ShapeError
from wootz.ops.random import Generator, rand, randint
from wootz.ops.sorting import searchsorted, topk

__all__ = ["multinomial", "randint_like"]


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


def randint_like(
    t: Tensor, low: int, high: int | None = None, *, generator: Generator | None = None, dtype: dtype | None = None,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform integers in [low, high), or [0, low) of one number, in t's shape, dtype and device."""
    low, high = (0, low) if high is None else (low, high)
    made = randint(low, high, t.shape, generator=generator)
    return made.to(dtype or t.dtype).to(t.device if device is None else device)
