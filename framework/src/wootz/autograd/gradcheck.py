"""Derivatives against finite differences, as part of the library: whoever writes a rule can check it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.autograd.gradient import grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Outputs = Callable[..., Tensor | Sequence[Tensor]]


class GradcheckError(RuntimeError):
    """Analytical and numerical derivatives differ."""


def _outputs(fn: Outputs, inputs: Sequence[Any]) -> list[Tensor]:
    result = fn(*inputs)
    found = [result] if isinstance(result, Tensor) else list(result)
    return [t for t in found if t.dtype.is_floating_point or t.dtype.is_complex]


def _differentiable(inputs: Sequence[Any]) -> list[int]:
    where = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not where:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the them have "
                         "requires_grad=True.")  # fmt: skip
    if any(inputs[i].dtype not in (_core.float64, _core.complex128) for i in where):
        raise ValueError(
            "gradcheck needs float64 or complex128 inputs: finite differences of anything narrower say little"
        )
    return where


def _beside(array: Any, t: Tensor) -> Tensor:
    """An array's numbers as a tensor on t's device."""
    return _core.from_buffer(np.array(array)).to(t.device)


def _numerical(fn: Outputs, inputs: Sequence[Any], i: int, probes: list[np.ndarray], eps: float) -> np.ndarray:
    """The slope of Re <probes, outputs> by central differences, element by element.

    Of a complex input it is the slope by the real part plus i times that by the imaginary part: Wirtinger's derivative
    by the conjugate, doubled, which is what gradients of complex tensors are.
    """
    base = inputs[i].numpy(force=True).copy()
    slope: np.ndarray = np.zeros_like(base)
    for at in np.ndindex(*base.shape):
        for direction in (1, 1j) if base.dtype.kind == "c" else (1,):
            ahead, behind = (_evaluated(fn, inputs, i, base, at, step * direction) for step in (eps, -eps))
            rise = sum(float(np.sum(np.conj(p) * (a - b)).real) for p, a, b in zip(probes, ahead, behind, strict=True))
            slope[at] += direction * rise / (2 * eps)
    return slope


def _evaluated(
    fn: Outputs, inputs: Sequence[Any], i: int, base: np.ndarray, at: tuple[int, ...], step: complex
) -> list[np.ndarray]:
    """The outputs with one element of ``inputs[i]`` moved by a step."""
    moved = base.copy()
    moved[at] += step
    shifted = list(inputs)
    shifted[i] = _beside(moved, inputs[i])
    before = _core.set_grad_enabled(False)
    try:
        return [o.numpy(force=True).copy() for o in _outputs(fn, shifted)]
    finally:
        _core.set_grad_enabled(before)


def _random_like(o: Tensor, random: np.random.Generator) -> np.ndarray:
    values = random.standard_normal(o.shape)
    if o.dtype.is_complex:
        values = values + 1j * random.standard_normal(o.shape)
    return np.array(values)


def gradcheck(
    fn: Outputs, inputs: Tensor | Sequence[Any], *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    seed: int = 0, raise_exception: bool = True,
) -> bool:  # fmt: skip
    """Whether the gradients of ``fn`` agree with central differences, for every input that requires grad.

    Inputs are float64 or complex128. Outputs are weighted with random numbers, so that one sweep checks the whole
    vector-Jacobian product. Raises `GradcheckError` with both gradients, unless ``raise_exception`` is false;
    ValueError if nothing can be checked.
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    where = _differentiable(given)
    outputs = _outputs(fn, given)
    random = np.random.default_rng(seed)
    probes = [_random_like(o, random) for o in outputs]
    live = [(o, p) for o, p in zip(outputs, probes, strict=True) if o.requires_grad]
    if not live:
        raise ValueError("no output of the function requires grad")
    weights = [_beside(p, o) for o, p in live]
    found = grad([o for o, _ in live], [given[i] for i in where], weights, allow_unused=True)
    for i, gradient in zip(where, found, strict=True):
        analytical = np.zeros(given[i].shape) if gradient is None else gradient.numpy(force=True)
        numerical = _numerical(fn, given, i, probes, eps)
        if analytical.shape == numerical.shape and np.allclose(
            analytical, numerical, rtol=rtol, atol=atol, equal_nan=True
        ):
            continue
        if not raise_exception:
            return False
        raise GradcheckError(f"the gradient of input {i} is\n{analytical}\nbut central differences give\n{numerical}")
    return True


def gradgradcheck(
    fn: Outputs, inputs: Tensor | Sequence[Any], *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    seed: int = 0, raise_exception: bool = True,
) -> bool:  # fmt: skip
    """`gradcheck` of the gradient of ``fn``: with respect to the inputs and to the gradients of the outputs."""
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    where = _differentiable(given)
    random = np.random.default_rng(seed + 1)
    weights = [_beside(_random_like(o, random), o).requires_grad_() for o in _outputs(fn, given) if o.requires_grad]
    if not weights:
        raise ValueError("no output of the function requires grad")

    def first(*args: Any) -> list[Tensor]:
        """Always recorded: the derivative itself is what is measured."""
        before = _core.set_grad_enabled(True)
        try:
            points = [
                x.detach().requires_grad_() if i in where and not x.requires_grad else x
                for i, x in enumerate(args[: len(given)])
            ]
            live = [o for o in _outputs(fn, points) if o.requires_grad]
            found = grad(
                live,
                [points[i] for i in where],
                args[len(given) :],
                create_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            return [g for g in found if g is not None]
        finally:
            _core.set_grad_enabled(before)

    checked = [*given, *weights]
    if not any(g.requires_grad for g in first(*checked)):
        return True
    return gradcheck(first, checked, eps=eps, atol=atol, rtol=rtol, seed=seed, raise_exception=raise_exception)
