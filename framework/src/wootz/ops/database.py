"""What is known of each op that is written in Python: sample inputs, a reference, whether it has a derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

__all__: list[str] = []

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Row:
    """One op. Samples and reference are texts in the notation of the native table (see `wootz.testing.ops`)."""

    name: str
    family: str
    function: Callable[..., Any]
    samples: tuple[str, ...]
    reference: str
    differentiable: bool
    inplace: bool
    tolerance: float
    peer: str


ROWS: dict[str, Row] = {}


def op(
    *samples: str, reference: str = "", differentiable: bool = True, inplace: bool = False, tolerance: float = 0.0,
    peer: str | None = None,
) -> Callable[[F], F]:  # fmt: skip
    """Enters a function in the database under its own name; the function itself is not touched.

    ``reference`` computes the same from NumPy float64 arrays, ``inplace`` asks for a method ``name_`` beside it, and
    ``peer`` is PyTorch's name for it ("linalg.solve"), empty if PyTorch has none that agrees.
    """

    def enter(function: F) -> F:
        name, path = function.__name__, function.__module__.split(".")
        family = path[-1]
        key = name if path[1] == "ops" else f"{path[1]}.{name}"
        ROWS[key] = Row(
            key, family, function, samples, reference, differentiable, inplace, tolerance, key if peer is None else peer
        )
        return function

    return enter
