"""Promotion: every pair of dtypes as tensors, 0-d tensors and scalars, against PyTorch or its rules written out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import wootz
from wootz import _core

DTYPES = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64",
    "complex64", "complex128",
]  # fmt: skip
SCALARS: dict[str, Any] = {"bool": True, "int": 3, "float": 1.5, "complex": 1 + 2j}

# PyTorch's table of promote_types; one letter a dtype, in the order of DTYPES.
LETTERS = dict(zip("?Bbhiqetfdcz", DTYPES, strict=True))
TABLE = [
    "?Bbhiqetfdcz", "BBhhiqetfdcz", "bhbhiqetfdcz", "hhhhiqetfdcz", "iiiiiqetfdcz", "qqqqqqetfdcz",
    "eeeeeeeffdcz", "ttttttftfdcz", "fffffffffdcz", "ddddddddddzz", "ccccccccczcz", "zzzzzzzzzzzz",
]  # fmt: skip


def promoted(a: str, b: str) -> str:
    return LETTERS[TABLE[DTYPES.index(a)][DTYPES.index(b)]]


def category(kind: str) -> int:
    return 3 if "complex" in kind else 2 if "float" in kind else 0 if kind == "bool" else 1


def ruled(a: str, b: str, rank_a: int, rank_b: int) -> str:
    """Among ranks (tensor 0, 0-d tensor 1, scalar 2) a lower operand counts only if its category is higher."""
    if rank_a == rank_b:
        return promoted(a, b)
    high, low = (a, b) if rank_a < rank_b else (b, a)
    if category(low) <= category(high):
        return high
    if category(low) == 3 and category(high) == 2:  # the digits stay those of the tensor
        return "complex128" if high == "float64" else "complex64"
    return promoted(high, low)


def operands() -> list[tuple[str, int, Any]]:
    """(dtype, rank, operand)"""
    out: list[tuple[str, int, Any]] = []
    for kind in DTYPES:
        dtype = getattr(wootz, kind)
        out += [(kind, 0, wootz.ones(2, dtype=dtype)), (kind, 1, wootz.ones((), dtype=dtype))]
    default = {"bool": "bool", "int": "int64", "float": "float32", "complex": "complex64"}
    return out + [(default[name], 2, value) for name, value in SCALARS.items()]


def test_every_pair_follows_the_rules() -> None:
    for (a, rank_a, x), (b, rank_b, y) in itertools.product(operands(), repeat=2):
        expected = ruled(a, b, rank_a, rank_b)
        assert wootz.result_type(x, y).name == expected, (a, rank_a, b, rank_b)
        if rank_a == rank_b == 0:
            assert wootz.promote_types(getattr(wootz, a), getattr(wootz, b)).name == promoted(a, b)
        if min(rank_a, rank_b) < 2:
            assert (x * y).dtype.name == expected, (a, rank_a, b, rank_b)
            assert (x == y).dtype is wootz.bool
            by = expected if category(expected) > 1 else "float32"
            assert (x / y).dtype.name == by, (a, rank_a, b, rank_b)


def test_the_rules_are_pytorchs() -> None:
    """All but one: PyTorch has a complex32 for float16 tensors with complex scalars; here it is complex64."""
    torch = pytest.importorskip("torch", reason="the table above stands in for it")
    theirs = {"bool": torch.bool} | {k: getattr(torch, k) for k in DTYPES}
    for a, b in itertools.product(DTYPES, repeat=2):
        assert str(torch.promote_types(theirs[a], theirs[b])) == f"torch.{promoted(a, b)}"

    def give(kind: str, rank: int, value: Any) -> Any:
        return value if rank == 2 else torch.ones(() if rank else 2, dtype=theirs[kind])

    for left, right in itertools.product(operands(), repeat=2):
        if left[1] == right[1] == 2:
            continue
        found = str(torch.result_type(give(*left), give(*right))).replace("complex32", "complex64")
        assert found == f"torch.{wootz.result_type(left[2], right[2]).name}", (left[:2], right[:2])


def test_three_operands_and_in_place() -> None:
    half, number = wootz.ones(2, dtype=wootz.float16), wootz.ones((), dtype=wootz.float64)
    assert _core.lerp(half, half, number).dtype is wootz.float16
    assert _core.where(wootz.tensor([True, False]), half, 2.5).dtype is wootz.float16
    half += wootz.ones(2, dtype=wootz.float64)
    assert half.dtype is wootz.float16 and half.tolist() == [2, 2]
    with pytest.raises(wootz.errors.DTypeError, match=r"complex64 can't be cast to the desired output type float16"):
        half *= 1j


def test_the_default_dtype_is_what_scalars_count_as() -> None:
    before = wootz.get_default_dtype()
    try:
        wootz.set_default_dtype(wootz.float64)
        assert wootz.result_type(wootz.tensor([1]), 1.5) is wootz.float64
        assert (
            wootz.result_type(wootz.tensor([1]), 1j) is wootz.complex128
            and wootz.tensor([1j]).dtype is wootz.complex128
        )
        wootz.set_default_dtype(wootz.bfloat16)
        assert wootz.result_type(wootz.tensor([1]), 1.5) is wootz.bfloat16
        assert wootz.result_type(wootz.tensor([1]), 1j) is wootz.complex64
    finally:
        wootz.set_default_dtype(before)
    for kind in ("int64", "bool", "complex64"):
        with pytest.raises(wootz.errors.DTypeError, match="floating-point"):
            wootz.set_default_dtype(getattr(wootz, kind))


def test_can_cast() -> None:
    assert wootz.can_cast(wootz.float64, wootz.float16) and wootz.can_cast(wootz.int64, wootz.complex64)
    assert not wootz.can_cast(wootz.complex64, wootz.float64) and not wootz.can_cast(wootz.float16, wootz.int64)
    assert not wootz.can_cast(wootz.uint8, wootz.bool) and wootz.can_cast(wootz.bool, wootz.uint8)
