"""New tensors on a GPU: filled, and random with the CPU's numbers, since number i depends on seed, draw and i alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.gpu.pointwise import cast, fill, wide_type
from wootz.dtypes import dtype
from wootz.errors import DTypeError

__all__ = ["MAKERS", "OPS", "Dropout"]

_WORD = 2**64 - 1


class Dropout(NamedTuple):
    """A probability, and seed and draw of the numbers that decide, as the op table's ints hold them."""

    p: float
    seed: int
    draw: int

    @property
    def threshold(self) -> np.uint64:
        """What is kept has 53 bits below this."""
        return np.uint64(math.ceil((1 - self.p) * 2.0**53))

    @property
    def kept(self) -> float:
        """The factor of what is kept."""
        return 1 / (1 - self.p) if self.p < 1 else 0.0

    @property
    def numbers(self) -> tuple[np.uint64, np.uint64]:
        """Seed and draw as kernels take them."""
        return np.uint64(self.seed & _WORD), np.uint64(self.draw & _WORD)


def _state(cuda: Cuda, given: Sequence[int]) -> tuple[np.uint64, np.uint64, Tensor | None]:
    """The generator's (seed, draw), or the next draw of the default generator, which the CPU's ops share; and what a
    graph adds to it."""
    seed, draw = given or _core.next_random_state()
    return np.uint64(seed), np.uint64(draw), cuda.shift()


def _launch(cuda: Cuda, symbol: str, out: Tensor, *arguments: Any) -> Tensor:
    if out.numel():
        cuda.launch(symbol, geometry.flat(out.numel()), out, np.int64(out.numel()), *arguments)
    return out


def _real(op: str) -> Callable[..., Tensor]:
    def make(cuda: Cuda, size: Sequence[int], kind: dtype, first: float, second: float, *state: int) -> Tensor:
        if not kind.is_floating_point:
            raise DTypeError(f"{op}: expected a floating point dtype, got {kind.name}")
        if op == "uniform" and not first <= second:
            raise ValueError("uniform: expected low <= high")
        if op == "normal" and not second >= 0:
            raise ValueError("normal expects std >= 0.0")
        wide = kind if kind.name in ("float32", "float64") else _core.float32
        out = cuda.empty(size, wide)
        _launch(cuda, f"{op}_f64_{KINDS[wide.name]}", out, np.float64(first), np.float64(second), *_state(cuda, state))
        return out if wide == kind else cast(cuda, out, kind)

    return make


def _randint(cuda: Cuda, size: Sequence[int], kind: dtype, low: int, high: int, *state: int) -> Tensor:
    if not low < high:
        raise ValueError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    out = cuda.empty(size, _core.int64)
    _launch(cuda, "randint_i64_i64", out, np.int64(low), np.uint64(high - low), *_state(cuda, state))
    return out if kind == _core.int64 else cast(cuda, out, kind)


def _mask(cuda: Cuda, size: Sequence[int], p: float, *state: int) -> Tensor:
    if not 0 <= p <= 1:
        raise ValueError("probability has to be between 0 and 1")
    out = cuda.empty(size, _core.bool)
    return _launch(cuda, "random_mask_f64_boolean", out, np.float64(p), *_state(cuda, state))


def _dropout(cuda: Cuda, x: Tensor, p: float, seed: int, draw: int) -> Tensor:
    if not 0 <= p <= 1:
        raise ValueError("dropout: p is a probability, between 0 and 1")
    if not x.dtype.is_floating_point:
        raise DTypeError(f"dropout: expected a floating point dtype, got {x.dtype.name}")
    x, out, kind = x.contiguous(), cuda.empty(x.shape, x.dtype), KINDS[x.dtype.name]
    drop = Dropout(p, seed, draw)
    if out.numel():
        cuda.launch(
            f"dropout_{kind}_{kind}", geometry.flat(out.numel(), 2), x, out, np.int64(out.numel()),
            drop.threshold, np.dtype(wide_type(x.dtype).name).type(drop.kept), *drop.numbers, cuda.shift(),
        )  # fmt: skip
    return out


def _empty(cuda: Cuda, size: Sequence[int], kind: dtype | None = None) -> Tensor:
    return cuda.empty(size, kind or _core.get_default_dtype())


def _full(cuda: Cuda, size: Sequence[int], value: Any, kind: dtype | None = None) -> Tensor:
    out = cuda.empty(size, kind or _core.scalar(value).dtype)
    fill(cuda, out, value.item() if isinstance(value, Tensor) else value)
    return out


MAKERS: dict[str, Callable[..., Tensor]] = {
    "empty": _empty, "full": _full, "uniform": _real("uniform"), "normal": _real("normal"), "randint": _randint,
    "random_mask": _mask,
}  # fmt: skip
OPS: dict[str, Callable[..., Tensor]] = {"dropout": _dropout}
