"""Random numbers: counter-based, so that a seed gives the same ones on every machine and for any number of threads."""

from __future__ import annotations

import builtins
import math
import secrets
import struct
import threading
from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.backend import create
from wootz.device import Device
from wootz.dtypes import real_dtype
from wootz.errors import DTypeError, ShapeError
from wootz.ops.creation import make, place, shape_of

__all__ = [
    "Generator",
    "bernoulli",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
]

_MASK = (1 << 64) - 1


def _mix(x: int) -> int:
    """SplitMix64's finaliser (Steele et al. 2014): one 64-bit number to another, one to one."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


class Generator:
    """A stream of random numbers of its own: a seed and the number of draws made. `split` gives independent streams."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream again from ``seed``."""
        self.seed, self.draws = int(seed) & _MASK, 0
        return self

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self.seed

    def get_state(self) -> tuple[int, int]:
        """(seed, draws so far)"""
        return self.seed, self.draws

    def set_state(self, state: tuple[int, int]) -> Generator:
        """Goes back to what `get_state` said."""
        self.seed, self.draws = state
        return self

    def split(self, n: int = 2) -> list[Generator]:
        """``n`` generators whose streams depend on this one's state and their number alone."""
        _, draw = self.next()
        return [Generator(_mix(_mix(self.seed + 0x9E3779B97F4A7C15 * (draw + 1)) + i + 1)) for i in range(n)]

    def next(self) -> tuple[int, int]:
        """Takes one draw: its (seed, number)."""
        with self._lock:
            self.draws += 1
            return self.seed, self.draws - 1


def manual_seed(seed: int) -> None:
    """Starts the default generator again from ``seed``."""
    _core.set_random_state(int(seed) & _MASK, 0)


def initial_seed() -> int:
    """The default generator's seed."""
    return _core.random_state()[0]


def seed() -> int:
    """Starts the default generator again from a seed of the operating system's, which is returned."""
    number = secrets.randbits(64)
    manual_seed(number)
    return number


def get_rng_state() -> Tensor:
    """Where the default generator stands, as 16 bytes in a uint8 tensor for `set_rng_state`."""
    return _core.from_buffer(bytearray(struct.pack("<QQ", *_core.random_state()))).clone()


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default generator where `get_rng_state` found it; other tensors are `ShapeError` or `DTypeError`."""
    if new_state.dtype != _core.uint8:
        raise DTypeError(f"set_rng_state: expected the uint8 tensor of get_rng_state, got {new_state.dtype.name}")
    if new_state.shape != (16,):
        raise ShapeError(f"set_rng_state: expected the 16 bytes of get_rng_state, got shape {new_state.shape}")
    _core.set_random_state(*struct.unpack("<QQ", bytes(new_state.tolist())))


def _stream(generator: Generator | None) -> tuple[int, ...]:
    return () if generator is None else generator.next()


def _parts(
    maker: str, size: Any, kind: dtype | None, limits: tuple[float, float], generator: Generator | None, device: Any
) -> Tensor:
    """Random numbers of a kind; complex ones are pairs of real ones."""
    kind = kind or _core.get_default_dtype()
    if not kind.is_complex:
        return create(maker, device, size, kind, *limits, *_stream(generator))
    shape = (size,) if isinstance(size, builtins.int) else tuple(size)
    pairs = create(maker, device, (*shape, 2), real_dtype(kind), *limits, *_stream(generator))
    return _core.view_as_complex(pairs).detach()


def rand(
    *size: Any, generator: Generator | None = None, dtype: dtype | None = None, device: Device | str | None = None,
    requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1); both parts of complex numbers."""
    made = _parts("uniform", shape_of(size), dtype, (0.0, 1.0), generator, device)
    return made.requires_grad_() if requires_grad else made


def randn(
    *size: Any, generator: Generator | None = None, dtype: dtype | None = None, device: Device | str | None = None,
    requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """Normal with mean 0 and standard deviation 1: of complex numbers, each part has variance 1/2."""
    deviation = math.sqrt(0.5) if dtype is not None and dtype.is_complex else 1.0
    made = _parts("normal", shape_of(size), dtype, (0.0, deviation), generator, device)
    return made.requires_grad_() if requires_grad else made


def normal(
    mean: float, std: float, size: Sequence[int], *, generator: Generator | None = None, dtype: dtype | None = None,
    device: Device | str | None = None,
) -> Tensor:  # fmt: skip
    """Normal with the given mean and standard deviation."""
    kind = dtype or _core.get_default_dtype()
    return make("normal", size, kind, mean, std, *_stream(generator), device=device, requires_grad=False)


def randint(
    low: int, high: int, size: Sequence[int], *, generator: Generator | None = None, dtype: dtype | None = None,
    device: Device | str | None = None,
) -> Tensor:  # fmt: skip
    """Uniform integers in [low, high)."""
    kind = dtype or _core.int64
    return make("randint", size, kind, low, high, *_stream(generator), device=device, requires_grad=False)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: dtype | None = None, device: Device | str | None = None
) -> Tensor:
    """A random permutation of 0 ... n - 1."""
    made = _core.randperm(n, *_stream(generator))
    return place(made if dtype is None else _core.cast(made, dtype), device, False)


def bernoulli(
    p: float | Tensor, size: Sequence[int] | None = None, *, generator: Generator | None = None,
    device: Device | str | None = None,
) -> Tensor:  # fmt: skip
    """Bools that are True with probability p; or of a tensor of probabilities, ones and zeros in its dtype."""
    if isinstance(p, Tensor):
        drawn = create("uniform", p.device, p.shape, _core.float64, 0.0, 1.0, *_stream(generator))
        return _core.cast(_core.lt(drawn, p.detach()), p.dtype)
    if size is None:
        raise TypeError("bernoulli: a number p takes a size; a tensor of probabilities has its own")
    return make("random_mask", size, p, *_stream(generator), device=device, requires_grad=False)


def rand_like(t: Tensor, *, generator: Generator | None = None, dtype: dtype | None = None) -> Tensor:
    """`rand` in t's shape, dtype and device."""
    return rand(t.shape, generator=generator, dtype=dtype or t.dtype, device=t.device)


def randn_like(t: Tensor, *, generator: Generator | None = None, dtype: dtype | None = None) -> Tensor:
    """`randn` in t's shape, dtype and device."""
    return randn(t.shape, generator=generator, dtype=dtype or t.dtype, device=t.device)
