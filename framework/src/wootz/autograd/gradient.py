"""Gradients of outputs with respect to inputs."""

from __future__ import annotations

from collections.abc import Sequence

from wootz import _core
from wootz._core import Tensor
from wootz.errors import GradientError, ShapeError

__all__ = ["backward", "grad"]

Tensors = Tensor | Sequence[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(given: Tensor | Sequence[Tensor | None] | None) -> list[Tensor | None] | None:
    return [given] if isinstance(given, Tensor) else None if given is None else list(given)


def backward(
    tensors: Tensors, grad_tensors: Tensor | Sequence[Tensor | None] | None = None, retain_graph: bool | None = None,
    create_graph: bool = False, inputs: Tensors | None = None,
) -> None:  # fmt: skip
    """Adds the gradients of ``tensors`` to ``.grad`` of the leaves below (of ``inputs`` only, where given).

    Raises `GradientError` where a tensor needs no gradient, has several elements and no gradient was given, or was used
    up by an earlier backward without ``retain_graph``.
    """
    retain = create_graph if retain_graph is None else retain_graph
    chosen = None if inputs is None else _listed(inputs)
    _core.run_backward(_listed(tensors), _gradients(grad_tensors), chosen, retain, create_graph)


def grad(
    outputs: Tensors, inputs: Tensors, grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None, create_graph: bool = False, only_inputs: bool = True,
    allow_unused: bool | None = None, is_grads_batched: bool = False, materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """The gradients of ``outputs`` with respect to ``inputs``, summed over outputs; nothing is accumulated.

    Raises `GradientError` for an input that the outputs do not depend on, unless ``allow_unused`` (None in its place)
    or ``materialize_grads`` (zeros). With ``is_grads_batched``, every gradient in ``grad_outputs`` has one more
    dimension in front: one backward runs for all of them, and the results have it too. ``only_inputs`` exists for
    PyTorch's sake.
    """
    retain = create_graph if retain_graph is None else retain_graph
    sources = _listed(inputs)
    run = _batched if is_grads_batched else _core.run_gradient
    found = list(run(_listed(outputs), _gradients(grad_outputs), sources, retain, create_graph))
    for i, gradient in enumerate(found):
        if gradient is not None:
            continue
        if materialize_grads:
            found[i] = _core.full(sources[i].shape, 0.0, sources[i].dtype).to(sources[i].device)
        elif not allow_unused:
            raise GradientError("One of the differentiated Tensors appears to not have been used in the graph. Set "
                                "allow_unused=True if this is the desired behavior.")  # fmt: skip
    return tuple(found)


def _batched(
    outputs: list[Tensor], gradients: list[Tensor | None] | None, inputs: list[Tensor], retain: bool, create: bool
) -> tuple[Tensor | None, ...]:
    sizes = {g.size(0) for g in gradients or () if g is not None}
    if len(sizes) != 1:
        raise ShapeError(
            f"grad: with is_grads_batched, grad_outputs need one common first dimension, got sizes {sorted(sizes)}"
        )
    size = sizes.pop()
    level = _core.vmap_push(size, "error")
    try:
        inside = [None if g is None else _core.vmap_enter(g, level, size) for g in gradients or ()]
        found = _core.run_gradient(outputs, inside, inputs, retain, create)
        return tuple(None if g is None else _core.vmap_leave(g, level, size) for g in found)
    finally:
        _core.vmap_pop()
