"""Elements, channels or activations at random set to zero."""

from __future__ import annotations

import wootz
from wootz import Generator, _core
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.ops.database import op

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

_SELU_FLOOR = -1.7580993408473766  # what SELU tends to on the left: minus its scale times its alpha


def _kept(input: Tensor, p: float, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
    """1 with probability 1 - ``p``, else 0, in the input's type and place."""
    return wootz.bernoulli(1 - p, shape, generator=generator, device=input.device).to(input.dtype)


def _drops(p: float, training: bool) -> bool:
    if not 0 <= p <= 1:
        raise ValueError(f"p is a probability, not {p}")
    return training and p > 0


def _drop(input: Tensor, p: float, shape: tuple[int, ...], inplace: bool, generator: Generator | None) -> Tensor:
    mask = _kept(input, p, shape, generator) * (1 / (1 - p) if p < 1 else 0.0)
    return input.mul_(mask) if inplace else input * mask


@op("N(2, 3), 0.0", "N(2, 3), 0.5, False")
def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """In training, zeroes elements with probability ``p`` and scales the others by 1 / (1 - p).

    The gradient draws the same numbers again, so that nothing is kept for it.
    """
    if not _drops(p, training):
        return input
    # Inside vmap the mask is drawn as vmap's ``randomness`` says.
    if not input.dtype.is_floating_point or _core.vmap_depth():
        return _drop(input, p, input.shape, inplace, generator)
    dropped = _core.dropout(input, p, *signed_state(generator))
    return input.copy_(dropped) if inplace else dropped


def signed_state(generator: Generator | None) -> tuple[int, int]:
    """Seed and number of a generator's next draw, 64 bits each, as the op table's ints hold them."""
    seed, draw = _core.next_random_state() if generator is None else generator.next()
    return _signed(seed), _signed(draw)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


def _channels(input: Tensor, n: int, unbatched: bool) -> tuple[int, ...]:
    if input.dim() not in ((n + 1, n + 2) if unbatched else (n + 2,)):
        raise ShapeError(f"dropout{n}d expects an input of {n + 2} dimensions, got shape {tuple(input.shape)}")
    lead = input.dim() - n
    return (*input.shape[:lead], *[1] * n)


@op("N(2, 3, 2), 0.0", "N(2, 3, 2), 0.5, False")
def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """`dropout` of whole channels of [N, C, L] (or [C, L])."""
    shape = _channels(input, 1, True)
    return _drop(input, p, shape, inplace, generator) if _drops(p, training) else input


@op("N(2, 3, 2, 1), 0.0", "N(2, 3, 2, 1), 0.5, False")
def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """`dropout` of whole channels of [N, C, H, W] (or [C, H, W])."""
    shape = _channels(input, 2, True)
    return _drop(input, p, shape, inplace, generator) if _drops(p, training) else input


@op("N(1, 2, 2, 1, 2), 0.0", "N(1, 2, 2, 1, 2), 0.5, False")
def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """`dropout` of whole channels of [N, C, D, H, W] (or [C, D, H, W])."""
    shape = _channels(input, 3, True)
    return _drop(input, p, shape, inplace, generator) if _drops(p, training) else input


def _alpha(input: Tensor, p: float, shape: tuple[int, ...], inplace: bool, generator: Generator | None) -> Tensor:
    """Drops to SELU's lowest value; an affine map brings mean and variance back (Klambauer et al. 2017)."""
    if p == 1:
        return input.mul_(0) if inplace else input * 0
    scale = (1 / ((1 - p) * (1 + p * _SELU_FLOOR**2))) ** 0.5
    mask = _kept(input, p, shape, generator)
    shift = (1 - mask) * (_SELU_FLOOR * scale) - scale * _SELU_FLOOR * p
    return input.mul_(mask * scale).add_(shift) if inplace else input * (mask * scale) + shift


@op("N(2, 3), 0.5")
def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """Dropout that keeps mean and variance of standardised activations, for SELU networks."""
    return _alpha(input, p, input.shape, inplace, generator) if _drops(p, training) else input


@op("N(2, 3), 0.5")
def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """`alpha_dropout` of whole channels of [N, C, ...]."""
    if input.dim() < 2:
        raise ShapeError(f"feature_alpha_dropout expects at least 2 dimensions, got shape {tuple(input.shape)}")
    shape = (*input.shape[:2], *[1] * (input.dim() - 2))
    return _alpha(input, p, shape, inplace, generator) if _drops(p, training) else input
