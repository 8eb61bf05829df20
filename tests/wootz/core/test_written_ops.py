"""Every op that is written in Python: against its reference, PyTorch where installed, and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.support.optable import REFERENCES

import wootz
from wootz.autograd import gradcheck, gradgradcheck
from wootz.testing import Op, Sample, ops

# PyTorch 2.13's gradient keeps what the write covers: finite differences say otherwise.
DIFFERENT_GRADIENT = {"as_strided_scatter"}
# They read one triangle, and their gradients are those of symmetric or Hermitian matrices.
SYMMETRIC = {"linalg.cholesky", "linalg.eigh", "linalg.eigvalsh"}
OPS = {op.name: op for op in ops()}
WRITTEN = [op for op in OPS.values() if not op.native]
CASES = [pytest.param(op, s, id=f"{op.name}({s.text})") for op in WRITTEN for s in op.samples]


def arrays(value: Any) -> Any:
    """Arguments or results with arrays in the place of tensors."""
    if isinstance(value, wootz.Tensor):
        return value.detach().numpy()
    if isinstance(value, dict):
        return {k: arrays(v) for k, v in value.items()}
    return type(value)(arrays(x) for x in value) if type(value) in (list, tuple) else value


def outputs(result: Any) -> list[wootz.Tensor]:
    found = list(result) if isinstance(result, (list, tuple)) else [result]
    return [t for t in found if isinstance(t, wootz.Tensor)]


def of_inputs(op: Op, sample: Sample) -> tuple[Callable[..., Any], list[wootz.Tensor]]:
    """The op as a function of its differentiable inputs alone."""
    args, kwargs = sample.arguments(grad=True)
    inputs: list[wootz.Tensor] = []

    def collect(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            parts = [collect(x) for x in value]
            return lambda given: [part(given) for part in parts]
        if isinstance(value, wootz.Tensor) and value.requires_grad:
            place = len(inputs)
            inputs.append(value)
            return lambda given: given[place]
        return lambda given: value

    places, named = [collect(a) for a in args], {k: collect(v) for k, v in kwargs.items()}

    def call(*given: wootz.Tensor) -> Any:
        if op.name in SYMMETRIC:
            given = tuple((t + t.mH) / 2 for t in given)
        found = op(*(place(given) for place in places), **{k: place(given) for k, place in named.items()})
        return [t for t in outputs(found) if t.dtype.is_floating_point or t.dtype.is_complex]

    return call, inputs


@pytest.mark.parametrize(("op", "sample"), [pytest.param(*c.values, id=c.id) for c in CASES if c.values[0].reference])
def test_forward_agrees_with_the_reference(op: Op, sample: Sample) -> None:
    args, kwargs = sample.arguments()
    expected = eval(op.reference, REFERENCES)(*arrays(args), **arrays(kwargs))
    found = op(*args, **kwargs)
    listed = [expected] if isinstance(found, wootz.Tensor) else list(expected)
    for mine, theirs in zip(outputs(found), listed, strict=True):
        assert mine.shape == np.shape(theirs)
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=op.tolerance or 1e-13, atol=op.tolerance or 1e-13)


@pytest.mark.parametrize(
    ("op", "sample"), [pytest.param(*c.values, id=c.id) for c in CASES if c.values[0].differentiable]
)
def test_derivatives_agree_with_finite_differences(op: Op, sample: Sample) -> None:
    call, inputs = of_inputs(op, sample)
    if not inputs:
        pytest.skip("this sample has no input that a gradient flows to")
    assert gradcheck(call, inputs)
    assert gradgradcheck(call, inputs)


@pytest.mark.parametrize("op", [op for op in WRITTEN if op.name != "float_power"], ids=lambda op: op.name)
def test_single_precision_stays_single(op: Op) -> None:
    args, kwargs = op.samples[0].arguments()
    if any(isinstance(x, wootz.dtype) for x in kwargs.values()):
        pytest.skip("this sample names a dtype")

    def narrow(value: Any) -> Any:
        if isinstance(value, wootz.Tensor):
            narrower = {"float64": "float32", "complex128": "complex64"}.get(value.dtype.name)
            return value if narrower is None else value.to(getattr(wootz, narrower))
        return type(value)(map(narrow, value)) if type(value) in (list, tuple) else value

    for out in outputs(op(*map(narrow, args), **{k: narrow(v) for k, v in kwargs.items()})):
        assert out.dtype.name not in ("float64", "complex128")


@pytest.mark.parametrize("op", [op for op in WRITTEN if op.differentiable], ids=lambda op: op.name)
def test_every_differentiable_op_has_samples_that_need_gradients(op: Op) -> None:
    assert any(of_inputs(op, sample)[1] for sample in op.samples)


@pytest.mark.parametrize("op", WRITTEN, ids=lambda op: op.name)
def test_every_op_is_public_documented_and_sampled(op: Op) -> None:
    found = wootz
    for part in op.name.split("."):
        found = getattr(found, part)
    assert found is op.function and op.samples
    assert (op.function.__doc__ or "").strip().split("\n")[0].endswith(".")


@pytest.mark.parametrize("op", [op for op in WRITTEN if op.inplace], ids=lambda op: op.name)
def test_in_place_variants_do_what_the_op_does(op: Op) -> None:
    args, kwargs = op.samples[0].arguments(grad=True)
    expected = op(*args, **kwargs)
    leaf = args[0]
    target = leaf * 1
    assert getattr(target, op.name + "_")(*args[1:], **kwargs) is target
    np.testing.assert_array_equal(target.detach().numpy(), expected.detach().numpy())
    if op.differentiable and leaf.requires_grad:
        np.testing.assert_array_equal(*(arrays(wootz.autograd.grad(t.sum(), leaf)[0]) for t in (target, expected)))


def shared(op: Op) -> Callable[..., Any]:
    """PyTorch's function of the op's name."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to agree with")
    for root in (torch, torch.Tensor, torch.nn.functional):
        found = root
        for part in op.peer.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found  # type: ignore[no-any-return]
    pytest.skip(f"PyTorch has no {op.peer}")


def to_torch(value: Any, grad: bool) -> Any:
    import torch

    if isinstance(value, wootz.Tensor):
        return torch.tensor(value.detach().numpy()).requires_grad_(grad and value.requires_grad)
    if isinstance(value, wootz.dtype):
        return getattr(torch, value.name)
    if isinstance(value, dict):
        return {k: to_torch(v, grad) for k, v in value.items()}
    return type(value)(to_torch(x, grad) for x in value) if type(value) in (list, tuple) else value


def floats(result: Any, kind: type) -> list[Any]:
    listed = list(result) if isinstance(result, (list, tuple)) else [result]
    return [t for t in listed if isinstance(t, kind) and t.requires_grad]


@pytest.mark.parametrize(
    ("op", "sample"),
    [pytest.param(op, s, id=f"{op.name}({s.text})") for op in OPS.values() if op.peer for s in op.samples],
)
def test_values_and_gradients_agree_with_pytorch(op: Op, sample: Sample) -> None:
    function = shared(op)
    import torch

    args, kwargs = sample.arguments(grad=True)
    theirs_args, theirs_kwargs = to_torch(args, True), to_torch(kwargs, True)
    mine = op(*args, **kwargs)
    try:
        theirs = function(*theirs_args, **theirs_kwargs)
    except TypeError as refused:
        pytest.skip(f"PyTorch does not take these arguments: {refused}")
    compare(mine, theirs, op)
    live, other = floats(mine, wootz.Tensor), floats(theirs, torch.Tensor)
    if not (live and other and op.differentiable) or op.name in DIFFERENT_GRADIENT:
        return
    sum(map(size, live)).backward()
    try:
        sum(map(size, other)).backward()
    except RuntimeError as refused:
        pytest.skip(f"PyTorch has no derivative here: {refused}")
    for a, b in zip(flat(args, kwargs), flat(theirs_args, theirs_kwargs), strict=True):
        if a.requires_grad and a.is_leaf and b.grad is not None:
            found = a.grad if a.grad is not None else wootz.zeros_like(a)
            wootz.testing.assert_close(found, b.grad.numpy(force=True), rtol=1e-6, atol=1e-8, equal_nan=True)


def size(t: Any) -> Any:
    """The sum of squares, in either library."""
    complex_one = "complex" in str(t.dtype)
    return (t.real * t.real).sum() + (t.imag * t.imag).sum() if complex_one else (t * t).sum()


def flat(args: Any, kwargs: Any) -> list[Any]:
    found: list[Any] = []
    for value in [*args, *kwargs.values()]:
        if isinstance(value, (list, tuple)):
            found += flat(value, {})
        elif hasattr(value, "requires_grad"):
            found.append(value)
    return found


def compare(mine: Any, theirs: Any, op: Op) -> None:
    if isinstance(mine, (list, tuple)):
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            compare(a, b, op)
    elif isinstance(mine, wootz.Tensor):
        assert str(theirs.dtype).removeprefix("torch.") == mine.dtype.name
        found = mine.detach().numpy()
        expected = theirs.detach().resolve_conj().numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=max(op.tolerance, 1e-11), atol=max(op.tolerance, 1e-12))
    else:
        assert mine == theirs
