"""What is known of each op that is written in Python: sample inputs, a reference, whether it has a derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wootz.ops.precision import Rule, autocasting, by_device

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
    autocast: dict[str, str] = field(default_factory=dict)


ROWS: dict[str, Row] = {}


def op(
    *samples: str, reference: str = "", differentiable: bool = True, inplace: bool = False, tolerance: float = 0.0,
    peer: str | None = None, autocast: Rule = "",
) -> Callable[[F], F]:  # fmt: skip
    """Enters a function in the database under its own name; without ``autocast`` the function itself is not touched.

    ``reference`` computes the same from NumPy float64 arrays, ``inplace`` asks for a method ``name_`` beside it, and
    ``peer`` is PyTorch's name for it ("linalg.solve"), empty if PyTorch has none that agrees. ``autocast`` is what
    mixed precision makes of its inputs (see `wootz.ops.precision`).
    """

    def enter(function: F) -> F:
        call = autocasting(function, autocast) if autocast else function
        path = function.__module__.split(".")[1:]
        key = ".".join((*(() if path[0] == "ops" else path[: 2 if path[0] == "nn" else 1]), function.__name__))
        ROWS[key] = Row(
            key, path[-1], call, samples, reference, differentiable, inplace, tolerance, key if peer is None else peer,
            by_device(autocast),
        )  # fmt: skip
        return call

    return enter
