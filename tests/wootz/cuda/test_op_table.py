"""Every row of the op table on an emulated GPU: the real dispatcher, launch geometry and kernel sources.

The CPU's results, which tests/wootz/core holds against NumPy and finite differences, are what is expected here.
"""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest
from tests.support.devices import compare, on_gpu
from tests.support.optable import FRAMEWORK, Sample, rows, samples

import wootz
from wootz import _core
from wootz.backend import gpu
from wootz.backend.gpu import pointwise

SAMPLES = list(samples())
ROWS = rows()
RETURNS = {
    row["name"]: row.get("pointwise", "")
    for path in (FRAMEWORK / "ops").glob("*.toml")
    for row in tomllib.loads(path.read_text("utf-8"))["op"]
}


def operands(row: dict[str, Any]) -> int:
    return row["signature"].count("Tensor") + row["signature"].count("Operand") - 1


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.row["name"] != "to_device"], ids=str)
def test_values_and_two_derivatives_are_the_cpus(sample: Sample, cupy: Any) -> None:
    compare(sample)


def test_every_op_of_the_table_runs_on_cuda() -> None:
    """Views are the core's on every device; everything else has to be here."""
    missing = [row["name"] for row in ROWS if not row["view"] and row["name"] not in gpu.OPS]
    assert missing == [], f"give these a CUDA implementation in wootz/backend/gpu: {missing}"


@pytest.mark.parametrize("row", [r for r in ROWS if r["pointwise"]], ids=lambda r: r["name"])
def test_the_dispatcher_types_results_as_the_table_says(row: dict[str, Any]) -> None:
    name = row["name"]
    returns = RETURNS[name].partition(" -> ")[2] or "same"
    assert returns == (
        "float"
        if name in pointwise.FLOATING
        else "bool"
        if name in pointwise.BOOLEAN
        else "real"
        if name in pointwise.REAL
        else "same"
    )


@pytest.mark.parametrize("row", [r for r in ROWS if r["inplace"]], ids=lambda r: r["name"])
def test_in_place_variants_do_what_the_op_does(row: dict[str, Any], cupy: Any) -> None:
    args, kwargs = Sample(row, row["samples"][0], 1).arguments()
    if row["pointwise"] == "integral":
        args = [a.to(wootz.int64) for a in args]
    expected = getattr(_core, row["name"])(*args, **kwargs).numpy()
    target, *rest = [on_gpu(a) for a in args]
    version, address = target._version, target.data_ptr()
    assert getattr(target, row["name"] + "_")(*rest, **kwargs) is target
    np.testing.assert_allclose(target.cpu().numpy(), expected, rtol=1e-12, atol=1e-13)
    assert target._version > version and target.data_ptr() == address


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r["pointwise"] and not r["pointwise"].startswith("complex")], ids=lambda r: r["name"]
)
def test_pointwise_ops_do_not_care_how_memory_lies(row: dict[str, Any], cupy: Any) -> None:
    random = np.random.default_rng(3)
    count = operands(row)
    integral = row["pointwise"].startswith("integral")
    arrays = [random.integers(0, 5, (5, 18)) if integral else random.uniform(0.1, 0.9, (5, 18)) for _ in range(count)]
    if row["name"] == "where":
        arrays[0] = arrays[0] > 0.5
    op = getattr(_core, row["name"])
    dense = op(*(wootz.from_numpy(a).cuda() for a in arrays)).cpu().numpy()
    transposed = [wootz.from_numpy(np.ascontiguousarray(a.T)).cuda().T for a in arrays]
    strided = [wootz.from_numpy(np.repeat(a, 3, 1)).cuda()[:, ::3] for a in arrays]
    for layout in (transposed, strided):
        np.testing.assert_array_equal(op(*layout).cpu().numpy(), dense)


KERNEL_TYPES = {
    "all": "bool int8 int32 int64 float32 float64", "number": "int16 int64 float32", "integral": "bool uint8 int64",
    "float": "int32 float32", "complex": "complex64",
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "kind"),
    [(r, k) for r in ROWS if r["pointwise"] for k in KERNEL_TYPES[r["pointwise"].split(" ")[0]].split()],
    ids=lambda x: x if isinstance(x, str) else x["name"],
)
def test_every_dtype_agrees_with_the_cpu(row: dict[str, Any], kind: str, cupy: Any) -> None:
    random = np.random.default_rng(4)
    count = operands(row)
    if kind.startswith("complex"):
        arrays = [(random.standard_normal(37) + 1j * random.standard_normal(37)).astype(kind) for _ in range(count)]
    elif kind.startswith("float"):
        arrays = [random.uniform(0.1, 0.9, 37).astype(kind) for _ in range(count)]
    else:
        arrays = [random.integers(*((0, 2) if kind == "bool" else (1, 5)), 37).astype(kind) for _ in range(count)]
    if row["name"] == "where":
        arrays[0] = arrays[0] > 0.5
    if kind == "bool" and row["name"] == "sub":
        pytest.skip("there is no boolean subtraction")
    op = getattr(_core, row["name"])
    expected = op(*map(wootz.from_numpy, arrays)).numpy()
    found = op(*(wootz.from_numpy(a).cuda() for a in arrays)).cpu().numpy()
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=5e-6, atol=1e-7, equal_nan=True)
