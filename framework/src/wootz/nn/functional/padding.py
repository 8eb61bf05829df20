"""Padding: by a constant, by reflection, by the border or around."""

from __future__ import annotations

from collections.abc import Sequence

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.ops.array_op import filled
from wootz.ops.database import op
from wootz.ops.precision import autocasting

__all__ = ["pad"]

_MODES = ("constant", "reflect", "replicate", "circular")


@op(
    "N(2, 3), (1, 2)", "N(1, 2, 3), (1, 2), 'reflect'", "N(1, 2, 3), (2, 1), 'replicate'",
    "N(1, 2, 3), (1, 2), 'circular'", "N(2, 3), (-1, 1, 0, 2), 'constant', 0.5",
)  # fmt: skip
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pads the last dimensions: (left, right, top, bottom, ...) from the last one backwards; negative numbers crop.

    ``mode`` is constant (with ``value``, 0 by default), reflect, replicate or circular. Raises ShapeError where an
    extent is too small for its mode.
    """
    widths = [int(p) for p in pad]
    if mode not in _MODES:
        raise ValueError(f"mode is one of {', '.join(_MODES)}, not {mode!r}")
    if value and mode != "constant":
        raise ValueError(f"padding mode {mode!r} takes no value, got {value}")
    if len(widths) % 2 or len(widths) > 2 * input.dim():
        raise ValueError(f"pad is pairs of numbers, at most {input.dim()} of them here, not {tuple(widths)}")
    sides = [(input.dim() - 1 - i // 2, widths[i], widths[i + 1]) for i in range(0, len(widths), 2)]
    sides = [side for side in sides if side[1:] != (0, 0)]
    if mode == "constant":
        return _constant(input, sides, value or 0.0)
    return (_gathered if mode == "circular" else _mirrored)(input, sides, mode)


def _gathered(input: Tensor, sides: list[tuple[int, int, int]], mode: str) -> Tensor:
    for dim, left, right in sides:
        places = _indices(input.shape[dim], left, right, mode)
        input = input.index_select(dim, wootz.tensor(places, device=input.device))
    return input


# PyTorch lists these two modes among what float32 is for on the CPU.
_mirrored = autocasting(_gathered, {"cpu": "wide"})


def _constant(input: Tensor, sides: list[tuple[int, int, int]], value: float) -> Tensor:
    for dim, left, right in sides:
        if input.shape[dim] + left + right < 0:
            raise ShapeError(f"pad ({left}, {right}) leaves a negative extent of {input.shape[dim]} in dimension {dim}")
        start, end = max(0, -left), input.shape[dim] - max(0, -right)
        if left < 0 or right < 0:
            input = input.narrow(dim, min(start, end), max(0, end - start))
    grown = [(d, max(0, a), max(0, b)) for d, a, b in sides if a > 0 or b > 0]
    if not grown:
        return input.clone()
    shape = list(input.shape)
    for dim, left, right in grown:
        shape[dim] += left + right
    out = filled(input, shape, value)
    inside = out
    for dim, left, right in grown:
        inside = inside.narrow(dim, left, shape[dim] - left - right)
    inside.copy_(input)
    return out


def _indices(size: int, left: int, right: int, mode: str) -> list[int]:
    """Which element of a dimension each one of its padded version repeats."""
    most = {"reflect": size - 1, "circular": size, "replicate": max(left, right)}[mode]
    if max(left, right) > most or size == 0:
        raise ShapeError(f"{mode} padding of ({left}, {right}) needs an extent larger than {size}")
    places = range(-left, size + right)
    if mode == "circular":
        return [i % size for i in places]
    if mode == "replicate":
        return [min(max(i, 0), size - 1) for i in places]
    return [-i if i < 0 else 2 * (size - 1) - i if i >= size else i for i in places]
