"""Every op with its sample inputs, its reference and what holds of it: what drives the tests, for other tools too.

    for op in wootz.testing.ops():
        for sample in op.samples:
            args, kwargs = sample.arguments()
            op(*args, **kwargs)

A sample is a text: `N(2, 3)` draws normal numbers (away from 0), `P` positive ones, `U` ones in (-0.9, 0.9), `C`
numbers that no gradient flows to, `I(high, 2)` integers below high, `B` bools, `T(3, 4)` a transposed matrix, `S(3, 4)`
one of every second column, `Z` numbers with zeros among them, `D` numbers of which some are equal, `M(2, 3, 3)`
well-conditioned matrices, `H` symmetric positive definite ones, and `X` complex numbers. `N()` is 0-d.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.ops.database import ROWS

__all__ = ["Op", "Sample", "ops"]


class _Draw:
    """The names that samples are written in; every tensor drawn that a gradient can flow to is float64."""

    def __init__(self, seed: int, grad: bool) -> None:
        self._random, self._grad = np.random.default_rng(seed), grad

    def _tensor(self, array: Any) -> Tensor:
        return wootz.from_numpy(np.array(array, dtype=np.float64)).requires_grad_(self._grad)

    def N(self, *shape: int) -> Tensor:
        # Away from 0, where many functions have a kink.
        x = self._random.standard_normal(shape)
        return self._tensor(x + np.copysign(0.1, x))

    def T(self, rows: int, columns: int) -> Tensor:
        return wootz.from_numpy(self._random.standard_normal((columns, rows))).T.requires_grad_(self._grad)

    def S(self, rows: int, columns: int) -> Tensor:
        base = wootz.from_numpy(self._random.standard_normal((rows, 2 * columns)))
        return base[:, ::2].requires_grad_(self._grad)

    def Z(self, *shape: int) -> Tensor:
        x = self._random.standard_normal(shape)
        x[..., 0] = 0
        return self._tensor(x)

    def M(self, *shape: int) -> Tensor:
        x = self._random.uniform(-1, 1, shape)
        return self._tensor(x + 2 * shape[-1] ** 0.5 * np.eye(shape[-2], shape[-1]))

    def H(self, *shape: int) -> Tensor:
        x = self._random.uniform(-1, 1, shape)
        return self._tensor(x @ x.swapaxes(-1, -2) + np.eye(shape[-1]))

    def X(self, *shape: int) -> Tensor:
        parts = self._random.standard_normal(shape) + 1j * self._random.standard_normal(shape)
        return wootz.from_numpy(np.asarray(parts)).requires_grad_(self._grad)

    def names(self) -> dict[str, Any]:
        r = self._random
        return {
            **{name: getattr(self, name) for name in "NTSZMHX"},
            "P": lambda *s: self._tensor(r.uniform(0.5, 2.0, s)),
            "U": lambda *s: self._tensor(r.uniform(-0.9, 0.9, s)),
            "C": lambda *s: wootz.from_numpy(np.asarray(r.standard_normal(s))),
            "D": lambda *s: wootz.from_numpy(np.asarray(r.integers(0, 3, s), np.float64)),
            "I": lambda high, *s: wootz.from_numpy(np.asarray(r.integers(0, high, s))),
            "B": lambda *s: wootz.from_numpy(np.asarray(r.integers(0, 2, s), dtype=bool)),
            "wootz": wootz,
            "nan": float("nan"),
            "inf": float("inf"),
        }  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One call of an op: its text, and the number that seeds it."""

    text: str
    number: int

    def arguments(self, grad: bool = False) -> tuple[list[Any], dict[str, Any]]:
        """Fresh positional and keyword arguments, the same every time; with ``grad``, floats require gradients."""
        names = _Draw(self.number, grad).names() | {"call": lambda *a, **k: (list(a), k)}
        return eval(f"call({self.text})", {"__builtins__": {}}, names)  # type: ignore[no-any-return]  # noqa: S307


@dataclass(frozen=True)
class Op:
    """An op by its name below `wootz` ("matmul", "linalg.solve"), callable as it is.

    ``reference`` is Python text that computes the same from NumPy float64 arrays, empty where there is none; ``peer``
    is PyTorch's name for the op, empty where the two differ; ``autocast`` what `wootz.autocast` makes of its inputs, by
    type of device: "low", "wide", "widest" or "same".
    """

    name: str
    family: str
    function: Callable[..., Any]
    samples: tuple[Sample, ...]
    reference: str
    differentiable: bool
    inplace: bool
    tolerance: float
    native: bool
    peer: str
    autocast: dict[str, str]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def _native() -> list[Op]:
    return [
        Op(
            name=row["name"],
            family=row["family"],
            function=getattr(_core, row["name"]),
            samples=_numbered(row["samples"]),
            reference=row["reference"],
            differentiable=bool(row["differentiable"]),
            inplace=row["inplace"],
            tolerance=row["tolerance"],
            native=True,
            peer=row["name"] if row["public"] else "",
            autocast=row["autocast"],
        )
        for row in json.loads(_core._table)
    ]


def _numbered(samples: list[str] | tuple[str, ...]) -> tuple[Sample, ...]:
    return tuple(Sample(text, number) for number, text in enumerate(samples))


def ops() -> list[Op]:
    """Every op: the native table's, and those written in Python."""
    written = [
        Op(
            row.name, row.family, row.function, _numbered(row.samples), row.reference, row.differentiable, row.inplace,
            row.tolerance, False, row.peer, row.autocast,
        )
        for row in ROWS.values()
    ]  # fmt: skip
    return _native() + written
