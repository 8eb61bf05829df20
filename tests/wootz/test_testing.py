"""The comparison that other tests rest on: it passes what is close and nothing else."""

import math

import numpy as np
import pytest

import wootz
from wootz.testing import assert_close, make_tensor


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (wootz.ones(2), wootz.ones(2)),
        (wootz.ones(2), wootz.ones(2) + 1e-6),
        (wootz.ones(2, requires_grad=True), np.ones(2, "f4")),
        (1.0, 1.0 + 1e-8),
        (wootz.tensor(3), 3),
        ({"a": [wootz.ones(1), 2.0]}, {"a": [wootz.ones(1), 2.0]}),
        (wootz.zeros(0, 3), wootz.zeros(0, 3)),
        (wootz.tensor([math.inf]), wootz.tensor([math.inf])),
        (wootz.tensor([2**62]), wootz.tensor([2**62])),
    ],
)
def test_close_things_pass(actual, expected):
    assert_close(actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected", "reason"),
    [
        (wootz.ones(2), wootz.ones(2) + 1e-4, r"2 of 2 elements differ .*first at \(0,\)"),
        (wootz.ones(2), wootz.ones(1, 2), "shapes differ"),
        (wootz.ones(2), wootz.ones(2, dtype=wootz.float64), "dtypes differ"),
        (wootz.tensor([math.nan]), wootz.tensor([math.nan]), "differ"),
        (wootz.tensor([math.inf]), wootz.tensor([-math.inf]), "differ"),
        (wootz.tensor([2**62]), wootz.tensor([2**62 + 1]), "differ"),
        ({"a": 1}, {"b": 1}, "keys differ"),
        ([1, 2], [1], "lengths differ"),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 3.0]}, "at 'a' at 1"),
    ],
)
def test_different_things_fail_with_their_reason(actual, expected, reason):
    with pytest.raises(AssertionError, match=reason):
        assert_close(actual, expected)


def test_options():
    assert_close(wootz.tensor([math.nan]), wootz.tensor([math.nan]), equal_nan=True)
    assert_close(wootz.ones(1), wootz.ones(1, dtype=wootz.float64), check_dtype=False)
    assert_close(1.0, 1.4, rtol=0, atol=0.5)
    with pytest.raises(AssertionError, match="here: "):
        assert_close(1.0, 2.0, msg="here")
    with pytest.raises(ValueError, match="both rtol and atol"):
        assert_close(1.0, 1.0, rtol=1.0)


def test_the_verdict_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    rng = np.random.default_rng(0)
    for dtype in ("f4", "f8"):
        for scale in (1e-9, 1e-7, 1e-6, 1e-5, 1e-3):
            a = rng.normal(size=20).astype(dtype)
            b = (a * (1 + rng.normal(size=20) * scale)).astype(dtype)
            verdicts = []
            for lib in (wootz, torch):
                try:
                    lib.testing.assert_close(lib.from_numpy(a), lib.from_numpy(b))
                    verdicts.append(True)
                except AssertionError:
                    verdicts.append(False)
            assert verdicts[0] == verdicts[1]


def test_made_tensors():
    t = make_tensor(3, 4, seed=1)
    assert t.shape == (3, 4) and t.dtype == wootz.float32 and -9 <= t.min().item() <= t.max().item() < 9
    assert make_tensor((3, 4), seed=1).tolist() == t.tolist() != make_tensor((3, 4), seed=2).tolist()
    assert set(make_tensor(50, dtype=wootz.bool).tolist()) == {True, False}
    assert make_tensor(50, dtype=wootz.uint8).dtype == wootz.uint8
    strided = make_tensor(3, 4, noncontiguous=True, requires_grad=True, dtype=wootz.float64, low=0, high=1)
    assert not strided.is_contiguous() and strided.requires_grad and strided.is_leaf and strided.min().item() >= 0
    assert make_tensor().shape == () and make_tensor(0, 2).shape == (0, 2)
