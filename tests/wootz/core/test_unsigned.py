"""uint16, uint32 and uint64: storage, casts, PyTorch's promotion, arithmetic modulo their size, interchange."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wootz
from wootz.errors import DTypeError

KINDS = ["uint16", "uint32", "uint64"]
OTHERS = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64", "complex64"]


def numbers(kind: str) -> np.ndarray:
    top = np.iinfo(kind).max
    return np.array([0, 1, 7, 300, top // 2, top // 2 + 1, top - 1, top], kind)


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_and_dlpack_share_the_memory(kind: str) -> None:
    a = numbers(kind)
    x = wootz.from_numpy(a)
    assert x.dtype.name == kind and not x.dtype.is_signed and x.tolist() == a.tolist() and x[-1].item() == a[-1]
    x[0] = 5
    assert a[0] == 5 and np.from_dlpack(x)[0] == 5
    assert wootz.from_dlpack(a).dtype is x.dtype and int(x[-1]) == int(a[-1])
    assert (wootz.iinfo(x.dtype).min, wootz.iinfo(x.dtype).max) == (0, np.iinfo(kind).max)
    assert str(int(a[-1])) in repr(x)


@pytest.mark.parametrize(("kind", "other"), [(k, o) for k in KINDS for o in [*OTHERS, *KINDS]])
def test_casts_are_numpys(kind: str, other: str) -> None:
    x = wootz.from_numpy(numbers(kind))
    np.testing.assert_array_equal(x.to(getattr(wootz, other)).numpy(), numbers(kind).astype(other))
    source = np.array([0, 1, 100, 1], other)
    np.testing.assert_array_equal(wootz.from_numpy(source).to(x.dtype).numpy(), source.astype(kind))


def test_casts_wrap_and_large_floats_keep_their_value() -> None:
    assert wootz.tensor([-1, -2]).to(wootz.uint64).tolist() == [2**64 - 1, 2**64 - 2]
    assert wootz.tensor([65537]).to(wootz.uint16).tolist() == [1]
    assert wootz.tensor([2.0**63, 1e19], dtype=wootz.float64).to(wootz.uint64).tolist() == [2**63, 10**19]
    assert wootz.tensor([1.5, 3], dtype=wootz.float16).to(wootz.uint32).tolist() == [1, 3]
    assert wootz.tensor([7], dtype=wootz.uint16).half().tolist() == [7]


def test_promotion_is_pytorchs_and_refuses_other_integers() -> None:
    for kind, other in itertools.product(KINDS, ["bool", "uint8", "int64", "complex64", *KINDS]):
        a, b = getattr(wootz, kind), getattr(wootz, other)
        if a is b:
            assert wootz.promote_types(a, b) is a
            continue
        with pytest.raises(DTypeError, match="Promotion for uint16, uint32, uint64 types is not supported"):
            wootz.promote_types(a, b)
    for kind, other in itertools.product(KINDS, ["float16", "bfloat16", "float32", "float64"]):
        assert wootz.promote_types(getattr(wootz, other), getattr(wootz, kind)).name == other
    x = wootz.ones(2, dtype=wootz.uint32)
    assert (x + 1).dtype is (x + wootz.tensor(3)).dtype is x.dtype and (x * 1.5).dtype is wootz.float32
    assert (x / 2).dtype is wootz.float32


@pytest.mark.parametrize("kind", KINDS)
def test_arithmetic_is_numpys(kind: str) -> None:
    a, b = numbers(kind), numbers(kind)[::-1].copy()
    b[b == 0] = 3
    x, y = wootz.from_numpy(a), wootz.from_numpy(b)
    checks: list[tuple[Any, Any]] = [
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x // y, a // b), (x % y, a % b), (x & y, a & b),
        (x | y, a | b), (x ^ y, a ^ b), (~x, ~a), (x < y, a < b), (x >= y, a >= b), (x == y, a == b),
        (wootz.maximum(x, y), np.maximum(a, b)), (x.clamp(1, 300), a.clip(1, 300)), (-x, -a), (x << 1, a << 1),
        (wootz.where(x > 5, x, y), np.where(a > 5, a, b)), (wootz.sort(x).values, np.sort(a)), (x >> 1, a >> 1),
        (wootz.unique(x), np.unique(a)), (wootz.cat([x, y]), np.concatenate([a, b])), (x[x > 5], a[a > 5]),
        (x.reshape(2, 4).T.contiguous(), a.reshape(2, 4).T), (wootz.flip(x, (0,)), a[::-1]),
        (wootz.add(x, y, alpha=-1), a - b),
    ]  # fmt: skip
    for number, (found, expected) in enumerate(checks):
        np.testing.assert_array_equal(found.numpy(), expected, err_msg=str(number))
        assert found.dtype.name == expected.dtype.name
    assert x.max().item() == a.max() and x.min().item() == a.min() and x.argmax().item() == a.argmax()
    assert x[:4].sum().item() == 308 and x[:4].sum().dtype is wootz.int64 and x.any().item()
    x += 1
    np.testing.assert_array_equal(x.numpy(), numbers(kind) + np.array(1, kind))


def test_large_integers_need_uint64_by_name() -> None:
    assert wootz.tensor(2**64 - 1, dtype=wootz.uint64).item() == 2**64 - 1
    assert wootz.tensor([2**63 + 5], dtype=wootz.uint64).tolist() == [2**63 + 5]
    with pytest.raises(OverflowError, match=r"ask for dtype=wootz\.uint64"):
        wootz.tensor([2**63 + 5])


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_pickles_hold_them(kind: str, tmp_path: Path) -> None:
    import pickle

    x = wootz.from_numpy(numbers(kind))
    wootz.serialize.save({"x": x}, tmp_path / "x.safetensors")
    for back in (wootz.serialize.load(tmp_path / "x.safetensors")["x"], pickle.loads(pickle.dumps(x)), x.clone()):
        assert back.dtype is x.dtype and back.tolist() == x.tolist()


def test_a_hash_is_the_exclusive_or_of_bits() -> None:
    a = np.array([1.5, -2.0, 3.25])
    expected = np.bitwise_xor.reduce(a.view(np.uint64))
    found = wootz.hash_tensor(wootz.from_numpy(a))
    assert found.dtype is wootz.uint64 and found.item() == int(expected)
