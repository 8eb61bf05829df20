"""What tensors print as, against PyTorch's own output where it is installed, and against it as written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wootz
from wootz._repr import get_printoptions, printoptions

R = np.random.default_rng(7)
FLOATS: dict[str, np.ndarray] = {
    "whole": np.arange(6.0).reshape(2, 3),
    "digits": R.standard_normal((3, 4)),
    "negative whole": np.array([-1.0, 20.0, 0.0]),
    "small": np.array([1e-5, 1.0]),
    "large": np.array([1e9, 1.0]),
    "spread": np.array([0.001, 2000.5]),
    "zeros": np.zeros((2, 2)),
    "nan and inf": np.array([np.nan, 1.5, -np.inf, np.inf]),
    "only nan": np.array([np.nan, np.nan]),
    "whole nan": np.array([np.nan, 3.0]),
    "scalar": np.array(3.14159),
    "whole scalar": np.array(2.0),
    "tiny scalar": np.array(1e-7),
    "negative zero": np.array([-0.0, 1.0]),
    "large whole": np.array([100000.0, 3.0]),
    "1e8": np.array([1e8 + 1, 2.0]),
    "cube": R.standard_normal((2, 2, 3)),
    "empty": np.zeros(0),
    "empty matrix": np.zeros((0, 3)),
    "wide": R.standard_normal((2, 30)),
    "long": np.arange(2000.0),
    "square": R.standard_normal((60, 60)),
    "deep": R.standard_normal((2, 3, 4, 5)),
    "one": np.array([0.1]),
    "tall": R.standard_normal((1100, 1)),
    "narrow edge": R.standard_normal((7, 300)),
    "five dims": np.arange(32.0).reshape(2, 2, 2, 2, 2),
    "fits": R.standard_normal((1, 8)),
}
OTHERS: dict[str, np.ndarray] = {
    "ints": np.array([[1, -20], [300, 4]]),
    "bools": np.array([True, False]),
    "int scalar": np.array(7),
    "bytes": np.arange(3, dtype=np.uint8),
    "int32": np.arange(3, dtype=np.int32),
    "many ints": np.arange(5000).reshape(50, 100),
    "empty ints": np.zeros(0, np.int64),
    "bool matrix": R.integers(0, 2, (3, 40)).astype(bool),
}
COMPLEX: dict[str, np.ndarray] = {
    "complex": R.standard_normal(3) + 1j * R.standard_normal(3),
    "whole complex": np.array([1 + 2j, -3 - 40j]),
    "complex scalar": np.array(1.5 - 2j),
    "complex wide": R.standard_normal((2, 9)) * (1 + 1000j),
    "imaginary zero": np.array([1 + 0j, 2.5]),
}
OPTIONS: list[dict[str, Any]] = [
    {}, {"precision": 2}, {"linewidth": 40}, {"edgeitems": 1, "threshold": 5}, {"sci_mode": True}, {"sci_mode": False},
    {"profile": "short"}, {"profile": "full"}, {"precision": 8, "linewidth": 120},
]  # fmt: skip


def both(array: np.ndarray, dtype: str | None = None) -> tuple[str, str]:
    torch = pytest.importorskip("torch", reason="compares with what PyTorch prints")
    ours, theirs = wootz.from_numpy(array.copy()), torch.from_numpy(array.copy())
    if dtype:
        ours, theirs = ours.to(getattr(wootz, dtype)), theirs.to(getattr(torch, dtype))
    return repr(ours), repr(theirs).replace("torch.", "wootz.")


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_floating_point_tensors_print_as_pytorchs(name: str, dtype: str) -> None:
    ours, theirs = both(FLOATS[name], dtype)
    assert ours == theirs


@pytest.mark.parametrize("name", [*OTHERS, *COMPLEX])
def test_integers_bools_and_complex_numbers_print_as_pytorchs(name: str) -> None:
    ours, theirs = both((OTHERS | COMPLEX)[name])
    assert ours == theirs


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_print_options_do_what_they_do_in_pytorch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="compares with what PyTorch prints")
    for array in (FLOATS | OTHERS | COMPLEX).values():
        if array.size > 1100 and options.get("profile") == "full":
            continue  # pages of numbers
        torch.set_printoptions(profile="default")
        torch.set_printoptions(**options)
        try:
            with printoptions(**options):
                ours, theirs = both(array)
        finally:
            torch.set_printoptions(profile="default")
        assert ours == theirs


def test_suffixes_say_what_is_not_implied() -> None:
    x = wootz.ones(2, requires_grad=True)
    assert repr(x) == "tensor([1., 1.], requires_grad=True)"
    assert repr(x * 2).startswith("tensor([2., 2.], grad_fn=<mul")
    assert repr(wootz.zeros(2, dtype=wootz.float64)) == "tensor([0., 0.], dtype=wootz.float64)"
    assert repr(wootz.zeros(0, 2)) == "tensor([], size=(0, 2))"
    assert repr(wootz.arange(12).float()) == "tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11.])"


def test_options_are_kept_and_checked() -> None:
    before = get_printoptions()
    with printoptions(precision=1):
        assert repr(wootz.tensor(0.25)) == "tensor(0.2)" and get_printoptions()["precision"] == 1
    assert get_printoptions() == before
    with pytest.raises(ValueError, match="profile must be one of default, short, full"):
        wootz.set_printoptions(profile="long")
