"""The op table in float16, bfloat16 and complex64, values and gradients, against the installed PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support.optable import Sample, rows, to_arrays

import wootz

torch = pytest.importorskip("torch", reason="the other tests compare with float64 and finite differences")

# What PyTorch calls or takes otherwise, or gives in a type (complex32) that is not here.
OTHER = {
    "complex",
    "view_as_complex",
    "var",
    "embedding",
    "cast",
    "copy",
    "fill",
    "linear",
    "sum_to_size",
    "index_put",
    "to_device",
}
LOOSE = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "complex64": 2e-6}


def shared() -> list[dict[str, Any]]:
    found = []
    for row in rows():
        name = row["name"]
        public = hasattr(torch, name) or hasattr(torch.Tensor, name)
        if public and name not in OTHER and not name.endswith(("_backward", "_scatter")):
            found.append(row)
    return found


def theirs(value: Any, grad: bool = True) -> Any:
    if isinstance(value, wootz.Tensor):
        wide = value.detach().double() if value.dtype in (wootz.float16, wootz.bfloat16) else value.detach()
        t = torch.from_numpy(np.array(wide.numpy())).to(getattr(torch, value.dtype.name))
        return t.requires_grad_(value.requires_grad and grad)
    return [theirs(v) for v in value] if isinstance(value, list) else value


def leaves(args: list[Any]) -> list[Any]:
    flat = [t for a in args for t in (a if isinstance(a, list) else [a])]
    return [t for t in flat if hasattr(t, "requires_grad") and t.requires_grad and t.is_leaf]


def array(t: Any) -> np.ndarray:
    if isinstance(t, wootz.Tensor):
        return np.asarray(to_arrays(t))
    t = t.detach()
    return np.asarray((t.double() if t.dtype in (torch.float16, torch.bfloat16) else t).resolve_conj().numpy())


def close(found: Any, expected: Any, kind: str, slack: float) -> None:
    """Equal within `slack` roundings of the type; PyTorch's own values are rounded at intermediate steps too."""
    a, b = array(found), array(expected)
    assert a.shape == b.shape
    size = np.abs(b[np.isfinite(b)]).max(initial=1.0)
    np.testing.assert_allclose(a, b, rtol=slack * LOOSE[kind], atol=slack * LOOSE[kind] * size)


def call(module: Any, tensor: type, row: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    op = getattr(module, row["name"], None) or getattr(tensor, row["name"])
    return op(*args, **kwargs)


CASES = [(row, kind) for row in shared() for kind in LOOSE]


@pytest.mark.parametrize(("row", "kind"), CASES, ids=lambda x: x if isinstance(x, str) else x["name"])
def test_values_and_gradients_are_pytorchs(row: dict[str, Any], kind: str) -> None:
    sample = Sample(row, row["samples"][0], 0)
    args, kwargs = sample.arguments(grad=bool(row["differentiable"]), dtype=kind)
    if "X(" in sample.text or (kind == "complex64" and not (row["complex"] or not row["pointwise"])):
        pytest.skip("not an op of this dtype")
    if row["pointwise"].startswith("integral") or (row["name"], kind) == ("logsumexp", "complex64"):
        pytest.skip("not an op of this dtype")
    other = [theirs(a) for a in args]
    try:
        expected = call(torch, torch.Tensor, row, other, kwargs)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        pytest.skip(f"PyTorch does not do it: {str(error)[:60]}")
    found = call(wootz, wootz.Tensor, row, args, kwargs)
    assert str(expected.dtype).removeprefix("torch.") == found.dtype.name
    close(found, expected, kind, 2)
    if not (found.requires_grad and expected.requires_grad):
        return
    assert found.requires_grad == expected.requires_grad
    found.backward(wootz.ones(found.shape, dtype=found.dtype))
    expected.backward(torch.ones_like(expected))
    for ours, their in zip(leaves(args), leaves(other), strict=True):
        if their.grad is None:
            continue
        assert ours.grad.dtype is ours.dtype
        close(ours.grad, their.grad, kind, 6)


def test_most_of_the_table_is_compared() -> None:
    assert len(shared()) > 90
