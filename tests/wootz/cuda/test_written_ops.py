"""Every op written in Python on an emulated GPU: the CPU's values, and no tensor left behind on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support.devices import on_gpu

import wootz
from wootz.testing import Op, Sample, ops

# A sample of each, the last: it has the most options. What takes no tensor is made where it is told to be.
WRITTEN = [(op, op.samples[-1]) for op in ops() if not op.native and op.samples]


def tensors(value: Any) -> list[wootz.Tensor]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for x in value for t in tensors(x)]
    return [value] if isinstance(value, wootz.Tensor) else []


def place(value: Any) -> Any:
    return tuple(place(x) for x in value) if isinstance(value, tuple) else on_gpu(value)


TAKING = [(op, sample) for op, sample in WRITTEN if tensors(sample.arguments())]


@pytest.mark.parametrize(("op", "sample"), TAKING, ids=[op.name for op, _ in TAKING])
def test_values_are_the_cpus(op: Op, sample: Sample, cupy: Any) -> None:
    args, kwargs = sample.arguments()
    wootz.manual_seed(1)
    expected = tensors(op(*args, **kwargs))
    args, kwargs = sample.arguments()
    wootz.manual_seed(1)
    try:
        found = tensors(op(*map(place, args), **{key: place(value) for key, value in kwargs.items()}))
    except AttributeError as error:
        if not str(error).startswith("the emulated CuPy has no"):
            raise
        pytest.skip(str(error).partition(":")[0])
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.device.type == "cuda"
        np.testing.assert_allclose(ours.detach().cpu().numpy(), theirs.detach().numpy(), rtol=1e-6, atol=1e-7)
