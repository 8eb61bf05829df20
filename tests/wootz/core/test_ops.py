"""Every row of the op table: forward against NumPy in float64, two derivatives against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support.optable import Sample, rows, samples, to_arrays

import wootz
from wootz import _core
from wootz.autograd import gradcheck, gradgradcheck

SAMPLES = list(samples())
NAMES = [str(s) for s in SAMPLES]


def flat_call(sample: Sample) -> tuple[Any, list[wootz.Tensor]]:
    """The op as a function of its differentiable inputs alone."""
    args, kwargs = sample.arguments(grad=True)
    inputs: list[wootz.Tensor] = []

    def collect(value: Any) -> Any:
        if isinstance(value, list):
            return [collect(x) for x in value]
        if isinstance(value, wootz.Tensor) and value.requires_grad:
            inputs.append(value)
            return len(inputs) - 1, "input"
        return value

    shape = [collect(a) for a in args]
    named = {k: collect(v) for k, v in kwargs.items()}

    def fill(value: Any, given: tuple[Any, ...]) -> Any:
        if isinstance(value, list):
            return [fill(x, given) for x in value]
        return given[value[0]] if isinstance(value, tuple) and len(value) == 2 and value[1] == "input" else value

    def call(*given: wootz.Tensor) -> Any:
        return sample.op()(*(fill(a, given) for a in shape), **{k: fill(v, given) for k, v in named.items()})

    return call, inputs


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s.row["reference"]], ids=[str(s) for s in SAMPLES if s.row["reference"]]
)
def test_forward_agrees_with_numpy(sample: Sample) -> None:
    args, kwargs = sample.arguments()
    expected = np.asarray(sample.reference()(*to_arrays(args), **to_arrays(kwargs)))
    found = sample.op()(*args, **kwargs).numpy()
    assert found.shape == expected.shape
    tolerance = sample.row["tolerance"] or 1e-14
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s.row["differentiable"]], ids=[str(s) for s in SAMPLES if s.row["differentiable"]]
)
def test_derivatives_agree_with_finite_differences(sample: Sample) -> None:
    call, inputs = flat_call(sample)
    if not inputs:
        pytest.skip("this sample has no input that a gradient flows to")
    assert gradcheck(call, inputs)
    assert gradgradcheck(call, inputs)


@pytest.mark.parametrize("row", [r for r in rows() if r["differentiable"]], ids=lambda r: r["name"])
def test_every_differentiable_op_has_samples_that_need_gradients(row: dict[str, Any]) -> None:
    assert any(flat_call(Sample(row, text, 0))[1] for text in row["samples"])


@pytest.mark.parametrize("row", [r for r in rows() if r["pointwise"]], ids=lambda r: r["name"])
def test_pointwise_ops_do_not_care_how_memory_lies(row: dict[str, Any]) -> None:
    """Dense, transposed, strided and broadcast operands give the same bits."""
    random = np.random.default_rng(3)
    count = row["signature"].count("Tensor") + row["signature"].count("Operand") - 1
    integral = row["pointwise"].startswith("integral")
    arrays = [random.integers(0, 5, (7, 70)) if integral else random.uniform(0.1, 0.9, (7, 70)) for _ in range(count)]
    if row["pointwise"].startswith("complex"):
        arrays = [a + 1j * a[::-1] for a in arrays]
    if row["name"] == "where":
        arrays[0] = arrays[0] > 0.5
    op = getattr(_core, row["name"])
    dense = op(*map(wootz.from_numpy, arrays)).numpy()
    for layout in (
        [wootz.from_numpy(np.asfortranarray(a)) for a in arrays],
        [wootz.from_numpy(np.repeat(a, 3, 1))[:, ::3] for a in arrays],
    ):
        np.testing.assert_array_equal(op(*layout).numpy(), dense)
    rows_only = [wootz.from_numpy(a[:1].copy()) for a in arrays[1:]]
    expected = op(wootz.from_numpy(arrays[0]), *(wootz.from_numpy(np.repeat(a[:1], 7, 0)) for a in arrays[1:])).numpy()
    np.testing.assert_array_equal(op(wootz.from_numpy(arrays[0]), *rows_only).numpy(), expected)


@pytest.mark.parametrize("row", [r for r in rows() if r["inplace"]], ids=lambda r: r["name"])
def test_in_place_variants_do_what_the_op_does(row: dict[str, Any]) -> None:
    sample = Sample(row, row["samples"][0], 1)
    args, kwargs = sample.arguments()
    if row["pointwise"] == "integral":
        args = [a.to(wootz.int64) for a in args]
    expected = sample.op()(*args, **kwargs).numpy()
    target = args[0].clone()
    version, address = target._version, target.data_ptr()
    assert getattr(target, row["name"] + "_")(*args[1:], **kwargs) is target
    np.testing.assert_array_equal(target.numpy(), expected)
    assert target._version > version and target.data_ptr() == address


@pytest.mark.parametrize("row", [r for r in rows() if r["view"]], ids=lambda r: r["name"])
def test_views_share_memory_and_versions(row: dict[str, Any]) -> None:
    sample = Sample(row, row["samples"][0], 1)
    args, kwargs = sample.arguments()
    view = sample.op()(*args, **kwargs)
    version = args[0]._version
    args[0].fill_(7)
    pairs = 7 + 7j if view.dtype.is_complex else 7
    assert np.all(view[..., 0].numpy() == 7 if row["name"] == "view_as_real" else view.numpy() == pairs)
    assert args[0]._version == version + 1 == view._version
    assert view._base is args[0]
    if row["name"] != "expand":  # its elements share memory among themselves
        view.fill_(8)
        assert (np.isin(args[0].numpy(), (8, 8 + 8j))).any()


KERNEL_TYPES = {
    "all": "bool uint8 int8 int16 int32 int64 float32 float64",
    "number": "uint8 int8 int16 int32 int64 float32 float64",
    "integral": "bool uint8 int8 int16 int32 int64", "float": "float32 float64", "complex": "complex64 complex128",
}  # fmt: skip


def typed(row: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    types = row["pointwise"].split(" ")[0]
    return [(row, t) for t in KERNEL_TYPES[types].split()]


@pytest.mark.parametrize(
    ("row", "kind"),
    [c for r in rows() if r["pointwise"] for c in typed(r)],
    ids=lambda x: x if isinstance(x, str) else x["name"],
)
def test_every_dtype_agrees_with_numpy(row: dict[str, Any], kind: str) -> None:
    if not row["reference"]:
        pytest.skip("no reference over plain arrays")
    random = np.random.default_rng(4)
    count = row["signature"].count("Tensor") + row["signature"].count("Operand") - 1
    if not kind.startswith(("bool", "int", "uint")):
        arrays = [random.uniform(0.1, 0.9, 37).astype(kind) for _ in range(count)]
    else:
        arrays = [random.integers(*((0, 2) if kind == "bool" else (1, 5)), 37).astype(kind) for _ in range(count)]
    if row["name"] == "where":
        arrays[0] = arrays[0] > 0.5
    if row["name"] == "sub" and kind == "bool":
        pytest.skip("NumPy has no boolean subtraction")
    found = getattr(_core, row["name"])(*map(wootz.from_numpy, arrays)).numpy()
    wide = [a.astype({"f": np.float64, "c": np.complex128}.get(a.dtype.kind, a.dtype)) for a in arrays]
    expected = np.asarray(Sample(row, "", 0).reference()(*wide))
    if not kind.startswith(("bool", "int", "uint")):
        narrow = kind in ("float32", "complex64")
        np.testing.assert_allclose(found, expected, rtol=2e-6 if narrow else 1e-13, atol=1e-7 if narrow else 1e-14)
    else:
        np.testing.assert_array_equal(found, expected.astype(found.dtype))
