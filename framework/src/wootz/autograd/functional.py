"""Derivatives of functions at a point, for code that does not want `wootz.func`: PyTorch's ``autograd.functional``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.errors import GradientError

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Tensor | tuple[Tensor, ...]
Function = Callable[..., Any]


def _tuple(values: Any, what: str) -> tuple[Tensor, ...]:
    found = (values,) if isinstance(values, Tensor) else tuple(values)
    for x in found:
        if not isinstance(x, Tensor):
            raise TypeError(f"{what}: expected a tensor or a tuple of tensors, got a {type(x).__name__}")
    return found


def _variables(inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """New tensors to differentiate by; with ``create_graph`` they keep the inputs' history."""
    if create_graph:
        return tuple(_core.variable(x) for x in inputs)
    return tuple(x.detach().requires_grad_() for x in inputs)


class _Recording:
    def __enter__(self) -> None:
        self.before = _core.set_grad_enabled(True)

    def __exit__(self, *exc: object) -> None:
        _core.set_grad_enabled(self.before)


def _zeros(x: Tensor) -> Tensor:
    return _core.full(x.shape, 0.0, x.dtype).to(x.device)


def _grads(
    outputs: list[Tensor], gradients: list[Tensor | None], inputs: tuple[Tensor, ...], create_graph: bool, strict: bool
) -> tuple[Tensor, ...]:
    live = [(y, g) for y, g in zip(outputs, gradients, strict=True) if y.requires_grad]
    found: Any = [None] * len(inputs)
    if live:
        found = _core.run_gradient([y for y, _ in live], [g for _, g in live], inputs, True, create_graph)
    if strict and any(g is None for g in found):
        raise GradientError("strict=True, and the outputs do not depend on one of the inputs")
    return tuple(_zeros(x) if g is None else g for g, x in zip(found, inputs, strict=True))


def _vector(v: Any, like: tuple[Tensor, ...], what: str) -> list[Tensor | None]:
    if v is None:
        if len(like) == 1 and like[0].numel() == 1:
            return [_zeros(like[0]) + 1]
        raise ValueError(f"{what}: v may be left out only for a single one-element tensor")
    given = _tuple(v, what)
    if len(given) != len(like) or any(g.shape != x.shape for g, x in zip(given, like, strict=False)):
        raise ValueError(f"{what}: v must have the shapes {[x.shape for x in like]}, got {[g.shape for g in given]}")
    return list(given)


def _like(values: tuple[Any, ...], model: Any) -> Any:
    return values[0] if isinstance(model, Tensor) else values


def _done(values: Any, create_graph: bool) -> Any:
    if create_graph:
        return values
    return values.detach() if isinstance(values, Tensor) else tuple(_done(v, False) for v in values)


def vjp(func: Function, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), v times its Jacobian)."""
    with _Recording():
        at = _variables(_tuple(inputs, "vjp"), create_graph)
        out = func(*at)
        outputs = _tuple(out, "vjp")
        found = _grads(list(outputs), _vector(v, outputs, "vjp"), at, create_graph, strict)
    return _done(out, create_graph), _done(_like(found, inputs), create_graph)


def jvp(func: Function, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), its Jacobian times v)."""
    with _Recording():
        at = _variables(_tuple(inputs, "jvp"), create_graph)
        out = func(*at)
        outputs = _tuple(out, "jvp")
        factors = tuple(_zeros(y).requires_grad_() for y in outputs)
        products = _grads(list(outputs), list(factors), at, True, strict)
        found = _grads(list(products), _vector(v, at, "jvp"), factors, create_graph, False)
    return _done(out, create_graph), _done(_like(found, out), create_graph)


def jacobian(
    func: Function, inputs: Tensors, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The Jacobian: for an output of shape (*o) and an input of shape (*i), a tensor (*o, *i); tuples as the outputs
    and inputs are. Row by row, or at once with ``vectorize``; ``strategy`` "forward-mode" goes column by column.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(f"jacobian: strategy must be 'reverse-mode' or 'forward-mode', not {strategy!r}")
    given = _tuple(inputs, "jacobian")
    if strategy == "forward-mode" or vectorize:
        return _done(_vectorized(func, inputs, given, strategy), create_graph)
    with _Recording():
        at = _variables(given, create_graph)
        out = func(*at)
        rows = tuple(_like(_rows(y, at, create_graph, strict), inputs) for y in _tuple(out, "jacobian"))
    return _done(_like(rows, out), create_graph)


def _vectorized(func: Function, inputs: Any, given: tuple[Tensor, ...], strategy: str) -> Any:
    from wootz.func import jacfwd, jacrev

    transform = jacfwd if strategy == "forward-mode" else jacrev
    argnums = 0 if isinstance(inputs, Tensor) else tuple(range(len(given)))
    return transform(func, argnums)(*given)


def _rows(y: Tensor, at: tuple[Tensor, ...], create_graph: bool, strict: bool) -> tuple[Tensor, ...]:
    flat = y.reshape((-1,))
    found = [_grads([flat[i]], [None], at, create_graph, strict) for i in range(y.numel())]
    if not found:
        return tuple(_core.full((*y.shape, *x.shape), 0.0, x.dtype) for x in at)
    return tuple(
        _core.stack(list(parts)).reshape((*y.shape, *x.shape))
        for parts, x in zip(zip(*found, strict=True), at, strict=True)
    )


def _scalar(func: Function, name: str) -> Function:
    def checked(*at: Tensor) -> Tensor:
        out = func(*at)
        if not isinstance(out, Tensor) or out.numel() != 1:
            raise GradientError(f"{name}: the function must return a tensor of a single element")
        return out.reshape(())

    return checked


def hessian(
    func: Function, inputs: Tensors, create_graph: bool = False, strict: bool = False, vectorize: bool = False
) -> Any:
    """The second derivatives of a scalar function: (*i, *j) for each pair of inputs."""
    scalar = _scalar(func, "hessian")

    def slope(*at: Tensor) -> Any:
        found = _grads([scalar(*at)], [None], at, True, strict)
        return _like(found, inputs)

    return jacobian(slope, inputs, create_graph, strict, vectorize)


def hvp(func: Function, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), its Hessian times v), by differentiating twice in reverse."""
    return _product(func, inputs, v, create_graph, strict, "hvp")


def vhp(func: Function, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), v times its Hessian)."""
    return _product(func, inputs, v, create_graph, strict, "vhp")


def _product(func: Function, inputs: Any, v: Any, create_graph: bool, strict: bool, name: str) -> Any:
    with _Recording():
        at = _variables(_tuple(inputs, name), create_graph)
        out = _scalar(func, name)(*at)
        slopes = _grads([out], [None], at, True, strict)
        found = _grads(list(slopes), _vector(v, at, name), at, create_graph, False)
    return _done(out, create_graph), _done(_like(found, inputs), create_graph)
