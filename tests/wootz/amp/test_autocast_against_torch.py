"""Every op under autocast on the CPU: the dtypes of its results are those of the installed PyTorch, values are near."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import wootz
from wootz.testing import Op, ops

torch = pytest.importorskip("torch", reason="the other tests compare with casts by hand")

MODES = [("float32",), ("bfloat16",), ("bfloat16", "float32"), ("float32", "bfloat16")]
# What differs, and why.
OTHER = {
    "einsum": "PyTorch multiplies elements where nothing is summed, and float32 stays float32",
    "linalg.pinv": "PyTorch multiplies its float32 factors in bfloat16",
    "linalg.solve_triangular": "two dtypes are refused here, as they are without autocast",
    "nn.functional.max_pool3d": "PyTorch lists it, but not with its indices",
}
# PyTorch's values are infinite in bfloat16, or one choice of signs of several.
FREE = {"linalg.matrix_exp", "linalg.svd", "linalg.eigh", "linalg.qr"}


def theirs_of(peer: str) -> Any:
    for root in (torch, torch.Tensor, torch.nn.functional):
        found = root
        for part in peer.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found
    return None


def cast(value: Any, library: Any, kinds: Iterator[str]) -> Any:
    """The arguments in either library, floats in the next of ``kinds``."""
    if isinstance(value, wootz.Tensor):
        name = value.dtype.name
        name = next(kinds) if name == "float64" else "complex64" if name == "complex128" else name
        made = value.detach() if library is wootz else torch.tensor(value.detach().numpy())
        return made.to(getattr(library, name))
    if isinstance(value, wootz.dtype):
        return getattr(library, value.name)
    if isinstance(value, dict):
        return {key: cast(part, library, kinds) for key, part in value.items()}
    return type(value)(cast(part, library, kinds) for part in value) if type(value) in (list, tuple) else value


def tensors(result: Any) -> list[Any]:
    if isinstance(result, (list, tuple)):
        return [t for part in result for t in tensors(part)]
    return [result] if isinstance(result, (wootz.Tensor, torch.Tensor)) else []


def array(t: Any) -> np.ndarray:
    t = t.detach()
    half = str(t.dtype).endswith("bfloat16")
    t = t.float() if half else t
    return np.asarray(t.resolve_conj().numpy() if isinstance(t, torch.Tensor) else t.numpy())


def name_of(t: Any) -> str:
    return str(t.dtype).split(".")[-1]


@pytest.mark.parametrize("op", [op for op in ops() if op.peer and op.name not in OTHER], ids=lambda op: op.name)
def test_dtypes_are_pytorchs_and_values_near(op: Op) -> None:
    function = theirs_of(op.peer)
    if function is None:
        pytest.skip(f"PyTorch has no {op.peer}")
    compared = 0
    for sample, kinds in itertools.product(op.samples, MODES):
        args, kwargs = sample.arguments()
        try:
            with torch.autocast("cpu"):
                given = iter(itertools.cycle(kinds))
                theirs = tensors(function(*cast(args, torch, given), **cast(kwargs, torch, given)))
        except (RuntimeError, TypeError, NotImplementedError, ValueError):
            continue  # no kernel for the type there, or other arguments
        given = iter(itertools.cycle(kinds))
        with wootz.autocast("cpu"):
            mine = tensors(op(*cast(args, wootz, given), **cast(kwargs, wootz, given)))
        assert [name_of(t) for t in mine] == [name_of(t) for t in theirs], (sample, kinds)
        compared += 1
        for a, b in zip(mine, theirs, strict=True):
            if op.name not in FREE and (b.dtype.is_floating_point or b.dtype.is_complex):
                expected = array(b)
                size = np.abs(expected[np.isfinite(expected)]).max(initial=0)
                np.testing.assert_allclose(array(a), expected, rtol=0.03, atol=0.03 * size, err_msg=sample.text)
    if not compared:
        pytest.skip("PyTorch takes these samples in other types only")
