"""Every op of the database inside vmap against a loop, and which ops vmap still runs once an example."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import wootz
import wootz.fft
import wootz.linalg
import wootz.special
from wootz import _core
from wootz.func import vmap
from wootz.func.batching import RULES
from wootz.ops import array_op
from wootz.testing import Op, Sample, ops

# Ops that vmap runs once an example, and why.
LOOPS = {
    "as_strided_backward": "its geometry is of one example's memory",
    "dropout": "its mask is counted from one example's first element",
    "permutation": "takes a vector of exchanges for a matrix",
    "unique": "differently many results", "histc": "counts over a whole tensor",
    "histogram": "counts over a whole tensor", "bincount": "counts over a whole tensor",
    "histogramdd": "counts over a whole tensor",    "ldl_solve": "follows the exchanges of one matrix at a time",
}  # fmt: skip
EXAMPLES = 3


# Ops that read values to decide on shapes or branches, which vmap refuses.
REFUSED = frozenset((
    "allclose", "argwhere", "bincount", "equal", "histc", "index_copy", "index_fill", "linalg.lstsq",
    "linalg.matrix_exp", "masked_scatter",
    "masked_select", "mvlgamma", "nanquantile", "nonzero_static", "quantile", "repeat_interleave", "segment_reduce",
    "tensor_split", "unique", "unique_consecutive",
    *(f"nn.functional.{name}" for name in (
        "binary_cross_entropy", "ctc_loss", "embedding_bag", "gaussian_nll_loss", "multilabel_margin_loss",
    )),
    *(f"special.{kind}_polynomial_{letter}" for kind, letter in (
        ("chebyshev", "t"), ("chebyshev", "u"), ("chebyshev", "v"), ("chebyshev", "w"), ("hermite", "h"),
        ("hermite", "he"), ("laguerre", "l"), ("legendre", "p"),
    )),
))  # fmt: skip


def array_ops() -> Iterator[array_op.ArrayOp]:
    for package in (wootz.ops, wootz.linalg):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            yield from (
                x for x in vars(importlib.import_module(module.name)).values() if isinstance(x, array_op.ArrayOp)
            )
    for module in (wootz.fft, wootz.special):
        yield from (x for x in vars(module).values() if isinstance(x, array_op.ArrayOp))


def test_few_ops_run_once_an_example_and_each_has_a_reason() -> None:
    table = (line.split()[:2] for line in _core.op_signatures().splitlines())
    native = {name for name, kind in table if kind not in ("pointwise", "view") and name not in RULES}
    written = {op.name for op in array_ops() if op._batch is None}
    assert native | written == set(LOOPS)


def leaves(tree: Any) -> Iterator[wootz.Tensor]:
    if isinstance(tree, wootz.Tensor):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for x in tree:
            yield from leaves(x)


def other(x: wootz.Tensor, i: int) -> wootz.Tensor:
    """Another example of the same kind."""
    if x.dtype.is_floating_point or x.dtype.is_complex:
        return x.detach() * (1 + 0.03 * i)
    return x.flip(tuple(range(x.dim()))) if i % 2 and x.dim() else x


def tensors_of(op: Op, sample: Sample) -> tuple[list[Any], dict[str, Any], list[int]]:
    args, kwargs = sample.arguments()
    return args, kwargs, [i for i, a in enumerate(args) if isinstance(a, wootz.Tensor)]


def cases() -> Iterator[Any]:
    for op in ops():
        if op.native or op.name in REFUSED:
            continue
        for sample in op.samples:
            places = tensors_of(op, sample)[2]
            for pattern in dict.fromkeys((tuple(places), tuple(places[:1]))):
                if pattern:
                    yield pytest.param(op, sample, pattern, id=f"{op.name}({sample.text})-{len(pattern)}")


@pytest.mark.parametrize(("op", "sample", "pattern"), list(cases()))
def test_vmap_of_every_written_op_is_a_loop(op: Op, sample: Sample, pattern: tuple[int, ...]) -> None:
    args, kwargs, _ = tensors_of(op, sample)
    examples = [[other(a, i) if k in pattern else a for k, a in enumerate(args)] for i in range(EXAMPLES)]
    expected = [list(leaves(op(*e, **kwargs))) for e in examples]
    batch = [wootz.stack([e[k] for e in examples]) if k in pattern else a for k, a in enumerate(args)]
    in_dims = tuple(0 if k in pattern else None for k in range(len(args)))
    found = list(leaves(vmap(lambda *a: tuple(leaves(op(*a, **kwargs))), in_dims=in_dims)(*batch)))
    for k, f in enumerate(found):
        want = np.stack([e[k].detach().numpy() for e in expected])
        assert f.shape == want.shape and f.dtype == expected[0][k].dtype
        np.testing.assert_allclose(f.detach().numpy(), want, rtol=1e-9, atol=1e-11)
