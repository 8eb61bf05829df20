"""Activation checkpointing: less memory for more computing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.amp.autocast import autocast
from wootz.autograd.graph import saved_tensors_hooks
from wootz.errors import GradientError

__all__ = ["checkpoint", "checkpoint_sequential"]


class _Enough(Exception):
    """Everything that backward needs was computed again."""


class _Region:
    """One call: how to run it again, how many tensors the tape saved in it, and those of the latest second run."""

    def __init__(self, run: Callable[[], Any], preserve_rng_state: bool) -> None:
        self.run = run
        self.random = _core.random_state() if preserve_rng_state else None
        self.precision = {device: _core.autocast_state(device) for device in ("cpu", "cuda")}
        self.meta: list[tuple[tuple[int, ...], Any]] = []
        self.again: dict[int, Tensor] = {}

    def pack(self, t: Tensor) -> int:
        self.meta.append((t.shape, t.dtype))
        return len(self.meta) - 1

    def unpack(self, number: int) -> Tensor:
        if number not in self.again:
            self.recompute()
        # Each is handed out once: with retain_graph, a second backward computes them again.
        return self.again.pop(number)

    def recompute(self) -> None:
        self.again.clear()
        count = 0

        def collect(t: Tensor) -> None:
            nonlocal count
            self._check(count, t)
            self.again[count] = t.detach()
            count += 1
            if count == len(self.meta):
                raise _Enough

        now, grad = _core.random_state(), _core.set_grad_enabled(True)
        try:
            if self.random is not None:
                _core.set_random_state(*self.random)
            with ExitStack() as held:
                for device, (enabled, kind, caches) in self.precision.items():
                    held.enter_context(autocast(device, kind, enabled, caches))
                held.enter_context(saved_tensors_hooks(collect, _never))
                self.run()
        except _Enough:
            pass
        finally:
            _core.set_grad_enabled(grad)
            _core.set_random_state(*now)
        if count != len(self.meta):
            raise GradientError(f"checkpoint: the forward pass saved {len(self.meta)} tensors, the second one {count}. "
                                "The function must do the same thing both times")  # fmt: skip

    def _check(self, number: int, t: Tensor) -> None:
        if number >= len(self.meta) or self.meta[number] == (t.shape, t.dtype):
            return
        shape, dtype = self.meta[number]
        raise GradientError(f"checkpoint: saved tensor {number} was {dtype} of shape {shape} in the forward pass and "
                            f"{t.dtype} of shape {t.shape} on running it again. The function must do the same thing "
                            "both times")  # fmt: skip


def _never(packed: Any) -> Tensor:
    raise GradientError("checkpoint: backward was called inside the function while it is run again")


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, whose intermediate values are not kept: backward runs the function again for them.

    The default random generator gives the second run the same numbers. The function must not depend on anything else
    that changes. Works with nesting, `autograd.grad`, create_graph and arguments that need no gradient.
    ``use_reentrant`` exists for PyTorch's sake; only False is supported.
    """
    if use_reentrant:
        raise ValueError("checkpoint: use_reentrant=True is not supported; leave it out")
    region = _Region(lambda: function(*args, **kwargs), preserve_rng_state)
    if not _core.is_grad_enabled():
        return function(*args, **kwargs)
    with saved_tensors_hooks(region.pack, region.unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Iterable[Callable[..., Any]], segments: int, input: Any, use_reentrant: bool = False,
    preserve_rng_state: bool = True,
) -> Any:  # fmt: skip
    """The functions (or the children of a Sequential) one after the other, in ``segments`` checkpoints."""
    chain = list(functions)
    if not 1 <= segments <= max(len(chain), 1):
        raise ValueError(f"checkpoint_sequential: segments must be from 1 to {len(chain)}, got {segments}")
    step = len(chain) // segments

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def segment(x: Any) -> Any:
            for f in chain[start:end]:
                x = f(x)
            return x

        return segment

    for k in range(segments):
        end = len(chain) if k == segments - 1 else (k + 1) * step
        input = checkpoint(
            run(k * step, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state
        )
    return input
