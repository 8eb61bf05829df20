"""Gradients of outputs with respect to inputs."""

from __future__ import annotations

from collections.abc import Sequence

from wootz import _core
from wootz._core import Tensor
from wootz.errors import GradientError

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
    retain_graph: bool | None = None, create_graph: bool = False, allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """The gradients of ``outputs`` with respect to ``inputs``, summed over outputs; nothing is accumulated.

    Raises `GradientError` for an input that the outputs do not depend on, unless ``allow_unused`` (None in its place)
    or ``materialize_grads`` (zeros).
    """
    retain = create_graph if retain_graph is None else retain_graph
    sources = _listed(inputs)
    found = list(_core.run_gradient(_listed(outputs), _gradients(grad_outputs), sources, retain, create_graph))
    for i, gradient in enumerate(found):
        if gradient is not None:
            continue
        if materialize_grads:
            found[i] = sources[i].detach() * 0
        elif not allow_unused:
            raise GradientError("One of the differentiated Tensors appears to not have been used in the graph. Set "
                                "allow_unused=True if this is the desired behavior.")  # fmt: skip
    return tuple(found)
