"""Einstein sums: parsed, then contracted two operands at a time, the smallest result first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.errors import ShapeError
from wootz.ops.database import op

__all__ = ["einsum"]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _from_lists(args: tuple[Any, ...]) -> tuple[str, list[Tensor]]:
    """``einsum(a, [0, 1], b, [1, 2], [0, 2])`` as an equation."""

    def text(subscripts: Sequence[Any]) -> str:
        return "".join("..." if s is Ellipsis else _LETTERS[s] for s in subscripts)

    operands, lists = list(args[0::2]), list(args[1::2])
    output = f"->{text(operands.pop())}" if len(operands) > len(lists) else ""
    return ",".join(map(text, lists)) + output, operands


def _expanded(subscripts: str, dims: int, longest: int, equation: str) -> str:
    """Subscripts with the ellipsis written out as digits, aligned at the right."""
    head, dots, tail = subscripts.partition("...")
    if not all(c in _LETTERS for c in head + tail):
        raise ValueError(
            f"einsum(): invalid subscript given in {subscripts!r} of {equation!r}: letters and one ellipsis"
        )
    hidden = dims - len(head) - len(tail)
    if hidden < 0 or (hidden and not dots):
        raise ShapeError(f"einsum(): the number of subscripts in {subscripts!r} does not match the number of "
                         f"dimensions of its operand, {dims}")  # fmt: skip
    return head + "".join(chr(ord("0") + longest - hidden + i) for i in range(hidden)) + tail


def _parse(equation: str, operands: Sequence[Tensor]) -> tuple[list[str], str]:
    """Each operand's subscripts, and the output's."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum(): {equation!r} names {len(terms)} operands, but {len(operands)} were given")
    hidden = [t.dim() - len(term.replace("...", "")) for t, term in zip(operands, terms, strict=True) if "..." in term]
    longest = max([0, *hidden])
    inputs = [_expanded(term, t.dim(), longest, equation) for t, term in zip(operands, terms, strict=True)]
    dots = "".join(chr(ord("0") + i) for i in range(longest))
    counts = Counter("".join(inputs))
    if arrow:
        output = right.replace("...", dots)
    else:
        output = dots + "".join(sorted(c for c, n in counts.items() if n == 1 and c in _LETTERS))
    unknown = [c for c in output if c not in counts and c not in dots]
    if unknown or len(set(output)) != len(output):
        raise ValueError(
            f"einsum(): output subscripts {right!r} of {equation!r} must occur in the input, and once each"
        )
    return inputs, output


def _diagonals(t: Tensor, subscripts: str) -> tuple[Tensor, str]:
    """An operand whose subscripts differ: a repeated one stands for the diagonal."""
    for c in dict.fromkeys(subscripts):
        while subscripts.count(c) > 1:
            i = subscripts.index(c)
            j = subscripts.index(c, i + 1)
            if t.shape[i] != t.shape[j]:
                raise ShapeError(
                    f"einsum(): subscript {c!r} is repeated but sizes {t.shape[i]} and {t.shape[j]} differ"
                )
            t = t.diagonal(0, i, j)
            subscripts = subscripts[:i] + subscripts[i + 1 : j] + subscripts[j + 1 :] + c
    return t, subscripts


def _sizes(terms: Sequence[tuple[Tensor, str]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for t, subscripts in terms:
        for n, c in zip(t.shape, subscripts, strict=True):
            if 1 not in (n, sizes.get(c, 1)) and sizes[c] != n:
                raise ShapeError(f"einsum(): subscript {c!r} has size {n} for one operand and {sizes[c]} for another")
            sizes[c] = n if sizes.get(c, 1) == 1 else sizes[c]
    return sizes


def _summed(t: Tensor, subscripts: str, keep: set[str]) -> tuple[Tensor, str]:
    """Dimensions that nobody else needs summed away."""
    gone = [i for i, c in enumerate(subscripts) if c not in keep]
    if not gone:
        return t, subscripts
    return _core.sum(t, gone), "".join(c for c in subscripts if c in keep)


def _pair(a: tuple[Tensor, str], b: tuple[Tensor, str], keep: set[str]) -> tuple[Tensor, str]:
    """Two operands as one, by a batched matrix product."""
    (x, left), (y, right) = a, b
    sizes = _sizes([a, b])
    common = [c for c in left if c in right]
    batch = [c for c in common if c in keep]
    inner = [c for c in common if c not in keep]
    rows, columns = ([c for c in s if c not in common] for s in (left, right))

    def arranged(t: Tensor, subscripts: str, first: list[str], second: list[str]) -> Tensor:
        order = [*batch, *first, *second]
        t = t.permute([subscripts.index(c) for c in order]) if order else t
        t = t.expand([sizes[c] if c in common else n for c, n in zip(order, t.shape, strict=True)])
        return t.reshape([math.prod(sizes[c] for c in part) for part in (batch, first, second)])

    product = _core.matmul(arranged(x, left, rows, inner), arranged(y, right, inner, columns))
    out = [*batch, *rows, *columns]
    return product.reshape([sizes[c] for c in out]), "".join(out)


def _cheapest(terms: list[tuple[Tensor, str]], output: str) -> tuple[int, int]:
    """The two operands whose product is smallest against what it replaces."""

    def cost(i: int, j: int) -> tuple[int, int]:
        kept = _kept(terms, {i, j}, output)
        sizes = _sizes([terms[i], terms[j]])
        result = math.prod(n for c, n in sizes.items() if c in kept)
        return result - terms[i][0].numel() - terms[j][0].numel(), math.prod(sizes.values())

    pairs = [(i, j) for i in range(len(terms)) for j in range(i + 1, len(terms))]
    return min(pairs, key=lambda pair: cost(*pair))


def _kept(terms: list[tuple[Tensor, str]], used: set[int], output: str) -> set[str]:
    return set(output).union(*(s for k, (_, s) in enumerate(terms) if k not in used))


@op("'ij,jk->ik', N(2, 3), N(3, 4)", "'ij,ij,ij->', N(2, 3), N(2, 3), N(2, 3)", "'ii->i', N(3, 3)", "'ii', N(3, 3)",
    "'bij,bjk->bik', N(2, 2, 3), N(2, 3, 2)", "'...ij,...jk', N(2, 2, 3), N(3, 2)", "'i,j,k->kij', N(2), N(3), N(2)",
    "'ab,bc,cd->ad', N(2, 3), N(3, 4), N(4, 2)", "'ij->', N(2, 3)", "'ij->ji', T(2, 3)", "'ij,jk', N(0, 3), N(3, 2)",
    "'iji,jk->ki', N(2, 3, 2), N(3, 2)", "'ij,jk', N(2, 1), N(3, 2)",
    reference="lambda e, *t: np.einsum(e, *t) if t[0].shape != (2, 1) else np.einsum(e, np.repeat(t[0], 3, 1), t[1])",
    tolerance=1e-12, autocast={"cuda": "low"})  # fmt: skip
def einsum(*args: Any) -> Tensor:
    """The Einstein sum ``einsum("bij,bjk->bik", a, b)``, of any number of operands.

    A subscript repeated within an operand is its diagonal, an ellipsis the dimensions without a name, which broadcast.
    Without ``->``, the subscripts that occur once are the output, in alphabetical order. Also
    ``einsum(a, [0, 1], b, [1, 2], [0, 2])``. Raises `ShapeError` where sizes differ, ValueError for a bad equation.
    """
    equation, operands = (args[0], list(args[1:])) if isinstance(args[0], str) else _from_lists(args)
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = list(operands[0])
    inputs, output = _parse(equation, operands)
    terms = [_diagonals(t, subscripts) for t, subscripts in zip(operands, inputs, strict=True)]
    _sizes(terms)
    terms = [_summed(*term, _kept(terms, {i}, output)) for i, term in enumerate(terms)]
    while len(terms) > 1:
        i, j = _cheapest(terms, output)
        kept = _kept(terms, {i, j}, output)
        made = _pair(_summed(*terms[i], kept | set(terms[j][1])), _summed(*terms[j], kept | set(terms[i][1])), kept)
        terms = [term for k, term in enumerate(terms) if k not in (i, j)] + [made]
    result, subscripts = terms[0]
    out = result.permute([subscripts.index(c) for c in output]) if output else result
    return out if out is not operands[0] else out.clone()
