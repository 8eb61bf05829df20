"""Derivatives as functions of functions: what comes out can be transformed again.

Everything is reverse mode on the tape. A derivative is taken by variables of its own, which stand for the arguments and
keep their history, so that calls nest. A product with the Jacobian (`jvp`) is the derivative of a product with its
transpose by the factor: that is linear, and every op's rule can be differentiated.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.errors import GradientError
from wootz.func.tree import tree_leaves, tree_map, tree_unflatten
from wootz.func.vectorize import vmap

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp"]

Argnums = int | tuple[int, ...]


class _Nesting(threading.local):
    depth = 0


_nesting = _Nesting()


class _Inside:
    """Records, whatever the caller's grad mode; results of inner transforms stay on the tape."""

    def __enter__(self) -> None:
        self.before = _core.set_grad_enabled(True)
        _nesting.depth += 1

    def __exit__(self, *exc: object) -> None:
        _nesting.depth -= 1
        _core.set_grad_enabled(self.before)


def _outside(tree: Any) -> Any:
    """Results as the caller gets them: on the tape only where somebody can differentiate them further."""
    if _nesting.depth and _core.is_grad_enabled():
        return tree

    def release(x: Any) -> Any:
        if not isinstance(x, Tensor) or not x.requires_grad:
            return x
        return x if _core.is_grad_enabled() and _core.reaches_leaf([x]) else x.detach()

    return tree_map(release, tree)


def _variables(tree: Any, name: str) -> Any:
    def variable(x: Any) -> Tensor:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected tensors to differentiate by, got a {type(x).__name__}")
        return _core.variable(x)

    return tree_map(variable, tree)


def _gradient(outputs: list[Tensor], cotangents: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Of the outputs by the inputs, zero where there is no path; on the tape."""
    live = [(y, c) for y, c in zip(outputs, cotangents, strict=True) if y.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if live:
        found = _core.run_gradient([y for y, _ in live], [c for _, c in live], inputs, True, True)
    return [_zeros(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


def _filled(x: Tensor, value: float) -> Tensor:
    return _core.full(x.shape, value, x.dtype).to(x.device)


def _zeros(x: Tensor) -> Tensor:
    return _filled(x, 0.0)


def _tensors(tree: Any, name: str) -> list[Tensor]:
    leaves = list(tree_leaves(tree))
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"{name}: the function must return tensors, got a {type(leaf).__name__}")
    return leaves


def _split_aux(result: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise TypeError(f"{name}: with has_aux=True the function must return (output, aux)")
    return result


def _matching(given: Any, like: list[Tensor], name: str) -> list[Tensor]:
    leaves = list(tree_leaves(given))
    if len(leaves) != len(like):
        raise ValueError(f"{name}: expected {len(like)} tensors, got {len(leaves)}")
    for g, x in zip(leaves, like, strict=True):
        if not isinstance(g, Tensor) or g.shape != x.shape:
            raise ValueError(
                f"{name}: expected a tensor of shape {x.shape}, got {getattr(g, 'shape', type(g).__name__)}"
            )
    return leaves


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(func(*primals), pull), where ``pull(cotangents)`` is the product of cotangents with the Jacobian: one gradient a
    primal. With ``has_aux``, func returns (output, aux) and the result is (output, pull, aux).
    """
    with _Inside():
        inputs = _variables(primals, "vjp")
        out, aux = _split_aux(func(*inputs), has_aux, "vjp")
        outputs = _tensors(out, "vjp")
    sources = list(tree_leaves(inputs))

    def pull(cotangents: Any, *more: Any) -> Any:
        given = _matching((cotangents, *more) if more else cotangents, outputs, "vjp: the cotangents")
        with _Inside():
            found = iter(_gradient(outputs, given, sources))
        return _outside(tree_unflatten(primals, found))

    result = _outside(out)
    return (result, pull, _outside(aux)) if has_aux else (result, pull)


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, has_aux: bool = False) -> Any:
    """(func(*primals), the product of its Jacobian with the tangents), and aux with ``has_aux``."""
    if not (isinstance(primals, tuple) and isinstance(tangents, tuple)):
        raise TypeError("jvp: primals and tangents must be tuples, one entry an argument of the function")
    with _Inside():
        inputs = _variables(primals, "jvp")
        sources = list(tree_leaves(inputs))
        given = _matching(tangents, sources, "jvp: the tangents")
        out, aux = _split_aux(func(*inputs), has_aux, "jvp")
        outputs = _tensors(out, "jvp")
        factors = [_core.variable(_zeros(y)) if y.dtype.is_floating_point else _zeros(y) for y in outputs]
        products = _gradient(outputs, factors, sources)
        pushed = iter(_push(products, given, factors))
    result = _outside(tree_unflatten(out, pushed))
    return (_outside(out), result, _outside(aux)) if has_aux else (_outside(out), result)


def _push(products: list[Tensor], tangents: list[Tensor], factors: list[Tensor]) -> list[Tensor]:
    where = [i for i, f in enumerate(factors) if f.requires_grad]
    found = iter(_gradient(products, tangents, [factors[i] for i in where]))
    return [next(found) if i in where else factors[i] for i in range(len(factors))]


def _chosen(args: tuple[Any, ...], argnums: Argnums, name: str) -> tuple[int, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise IndexError(f"{name}: argnums {argnums}, but the function was given {len(args)} arguments")
    if len({n % len(args) for n in numbers}) < len(numbers):
        raise ValueError(f"{name}: argnums {argnums} name an argument twice")
    return tuple(n % len(args) for n in numbers)


def _of_chosen(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], argnums: Argnums, name: str
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """func as a function of the chosen arguments only, and those."""
    numbers = _chosen(args, argnums, name)

    def partial(*values: Any) -> Any:
        full = list(args)
        for n, value in zip(numbers, values, strict=True):
            full[n] = value
        return func(*full, **kwargs)

    return partial, tuple(args[n] for n in numbers)


def _packed(values: Any, argnums: Argnums) -> Any:
    return values[0] if isinstance(argnums, int) else tuple(values)


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns (gradient, value) of the scalar ``func``; (gradient, (value, aux)) with ``has_aux``."""

    @functools.wraps(func)
    def both(*args: Any, **kwargs: Any) -> Any:
        partial, chosen = _of_chosen(func, args, kwargs, argnums, "grad")
        with _Inside():
            inputs = _variables(chosen, "grad")
            value, aux = _split_aux(partial(*inputs), has_aux, "grad")
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: the function must return a tensor, got a {type(value).__name__}")
            if value.dim() != 0:
                raise GradientError(f"grad: the function must return a scalar, not shape {value.shape}. jacrev is "
                                    "for the derivative of several values")  # fmt: skip
            found = iter(_gradient([value], [_filled(value, 1.0)], list(tree_leaves(inputs))))
        gradients = _outside(_packed(tree_unflatten(chosen, found), argnums))
        return gradients, (_outside(value), _outside(aux)) if has_aux else _outside(value)

    return both


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of the scalar ``func`` with respect to the arguments ``argnums``.

    An argument may be a structure of tensors, whose gradient has the same structure. With ``has_aux``, func returns
    (value, aux) and the result is (gradient, aux). Raises `GradientError` where func returns no scalar.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def _basis(x: Tensor) -> Tensor:
    """(n, *x.shape): the n unit tensors of x's shape."""
    n = x.numel()
    eye = _core.cast(
        _core.eq(_core.arange(0, n, 1, _core.int64), _core.arange(0, n, 1, _core.int64).unsqueeze(1)), x.dtype
    )
    return eye.reshape((n, *x.shape)).to(x.device)


def jacrev(
    func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable[..., Any]:
    """A function that returns the Jacobian of ``func``, row by row (fast where there are fewer outputs than inputs).

    For an output of shape (*o) and an argument of shape (*i), a tensor (*o, *i); structures of outputs outside,
    structures of arguments inside. All rows run at once, ``chunk_size`` at a time where given.
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        partial, chosen = _of_chosen(func, args, kwargs, argnums, "jacrev")
        out, pull, *aux = vjp(partial, *chosen, has_aux=has_aux)
        outputs = list(tree_leaves(out))

        def rows(i: int) -> Any:
            y = outputs[i]

            def row(cotangent: Tensor) -> Any:
                given = iter([cotangent if k == i else _zeros(o) for k, o in enumerate(outputs)])
                return pull(tree_unflatten(out, given))

            stacked = vmap(row, chunk_size=chunk_size)(_basis(y))
            return _packed(tree_map(lambda g: g.reshape((*y.shape, *g.shape[1:])), stacked), argnums)

        numbers = iter(range(len(outputs)))
        result = tree_map(lambda _: rows(next(numbers)), out)
        return (result, aux[0]) if has_aux else result

    return jacobian


def jacfwd(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """A function that returns the Jacobian of ``func`` as `jacrev` does, column by column (fast where there are fewer
    inputs than outputs).
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        partial, chosen = _of_chosen(func, args, kwargs, argnums, "jacfwd")
        inputs = list(tree_leaves(chosen))

        def columns(i: int) -> tuple[Any, Any]:
            x = inputs[i]

            def column(tangent: Tensor) -> Any:
                given = iter([tangent if k == i else _zeros(o) for k, o in enumerate(inputs)])
                pushed = jvp(partial, chosen, tree_unflatten(chosen, given), has_aux=has_aux)
                return (pushed[1], pushed[2]) if has_aux else (pushed[1], ())

            stacked, aux = vmap(column, randomness=randomness)(_basis(x))
            shaped = tree_map(lambda g: g.movedim(0, -1).reshape((*g.shape[1:], *x.shape)), stacked)
            return shaped, tree_map(lambda a: a[0], aux)

        parts = [columns(i) for i in range(len(inputs))]
        result = _by_output(iter([p[0] for p in parts]), parts[0][0], chosen, argnums)
        return (result, parts[0][1]) if has_aux else result

    return jacobian


def _by_output(parts: Iterator[Any], out: Any, chosen: Any, argnums: Argnums) -> Any:
    """One structure of outputs an input leaf, turned into one structure of inputs an output leaf."""
    columns = [list(tree_leaves(p)) for p in parts]
    places = iter(range(len(columns[0])))

    def inner(_: Any) -> Any:
        k = next(places)
        return _packed(tree_unflatten(chosen, iter([c[k] for c in columns])), argnums)

    return tree_map(inner, out)


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that returns the second derivatives of ``func``: forward over reverse."""
    return jacfwd(jacrev(func, argnums), argnums)
