"""Tensors that change their own geometry, and tensors over memory that something else made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wootz
from wootz.autograd import gradcheck
from wootz.errors import DTypeError, GradientError, ShapeError

VIEWS: list[tuple[str, Callable[[wootz.Tensor], wootz.Tensor], Callable[[np.ndarray], np.ndarray]]] = [
    ("t_", lambda x: x.t_(), lambda a: a.T),
    ("transpose_", lambda x: x.transpose_(0, -1), lambda a: a.T),
    ("swapaxes_", lambda x: x.swapaxes_(0, 1), lambda a: a.T),
    ("swapdims_", lambda x: x.swapdims_(1, 0), lambda a: a.T),
    ("unsqueeze_", lambda x: x.unsqueeze_(1), lambda a: a[:, None]),
    ("squeeze_", lambda x: x.unsqueeze_(0).squeeze_(0), lambda a: a),
    ("as_strided_", lambda x: x.as_strided_((2, 2), (1, 2), 1), lambda a: a.ravel()[[[1, 3], [2, 4]]]),
]  # fmt: skip


def numbers(*shape: int) -> wootz.Tensor:
    return wootz.from_numpy(np.random.default_rng(3).standard_normal(shape))


@pytest.mark.parametrize(("name", "change", "expected"), VIEWS, ids=[v[0] for v in VIEWS])
def test_a_view_taken_in_place_keeps_object_memory_and_history(name: str, change: Any, expected: Any) -> None:
    x = numbers(2, 3)
    before, address, version = x.numpy().copy(), x.data_ptr() - 8 * x.storage_offset(), x._version
    assert change(x) is x
    np.testing.assert_array_equal(x.numpy(), expected(before))
    assert x.data_ptr() - 8 * x.storage_offset() == address and x._version > version

    def through(leaf: wootz.Tensor) -> wootz.Tensor:
        doubled = leaf * 2
        change(doubled)
        return doubled * doubled

    assert gradcheck(through, [numbers(2, 3).requires_grad_()])


def test_a_write_after_an_in_place_view_reaches_the_base_and_its_gradient() -> None:
    leaf = numbers(2, 3).requires_grad_()
    base = leaf * 1
    part = base[:, :2]
    part.t_()
    part[0] = part[0] * 3  # the first column of base
    base.sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), [[3, 1, 1], [3, 1, 1]])  # type: ignore[union-attr]


def test_a_value_that_a_rule_saved_may_not_change_its_shape() -> None:
    leaf = numbers(2, 3).requires_grad_()
    x = leaf * 1
    y = x.exp() * x
    x.t_()
    with pytest.raises(GradientError, match="modified by an in-place operation"):
        y.sum().backward()
    with pytest.raises(GradientError, match="a leaf Tensor that requires grad"):
        leaf.unsqueeze_(0)
    with wootz.no_grad():
        assert leaf.unsqueeze_(0).shape == (1, 2, 3) and leaf.requires_grad


def test_view_with_a_dtype_reads_the_same_bytes() -> None:
    a = np.arange(12, dtype=np.float32).reshape(2, 6)
    x = wootz.from_numpy(a)
    for kind in ("int32", "float64", "complex64", "uint8", "int16"):
        np.testing.assert_array_equal(x.view(getattr(wootz, kind)).numpy(), a.view(kind))
    x.view(wootz.int32)[0, 0] = 0x3F800000
    assert a[0, 0] == 1.0
    assert wootz.view(x, wootz.uint8).view(wootz.float32).tolist() == a.tolist()
    with pytest.raises(ShapeError, match="whole numbers of complex128"):
        x.view(wootz.complex128)
    with pytest.raises(ShapeError, match=r"stride\(-1\) must be 1"):
        x.T.view(wootz.uint8)
    with pytest.raises(ShapeError, match="cannot be 0"):
        wootz.tensor(1.0).view(wootz.float64)
    assert not x.clone().requires_grad_().view(wootz.int32).requires_grad


def test_resize_keeps_what_fits_and_moves_when_it_grows() -> None:
    x = wootz.arange(6.0)
    address = x.data_ptr()
    assert x.resize_(2, 2) is x and x.tolist() == [[0, 1], [2, 3]] and x.data_ptr() == address
    assert x.resize_(6).tolist() == [0, 1, 2, 3, 4, 5]
    assert x.resize_((2, 4)).shape == (2, 4) and x.flatten()[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert x.resize_as_(wootz.ones(3, 1)).tolist() == [[0], [1], [2]]
    with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
        wootz.ones(2, requires_grad=True).resize_(3)


def test_set_points_a_tensor_at_other_memory() -> None:
    source, x = wootz.arange(6.0), wootz.zeros(2)
    assert x.set_(source) is x and x.is_set_to(source)
    assert x.set_(source, 1, (2, 2), (2, 1)).tolist() == [[1, 2], [3, 4]] and not x.is_set_to(source)
    assert x.set_(source.untyped_storage(), 2, (3,)).tolist() == [2, 3, 4]
    x.fill_(9)
    assert source.tolist() == [0, 1, 9, 9, 9, 5]
    assert x.set_().shape == (0,)
    with pytest.raises(DTypeError, match="expected a source of float32"):
        x.set_(wootz.arange(3))


def test_a_storage_is_the_bytes_that_views_share() -> None:
    x = wootz.arange(6, dtype=wootz.int16)
    s, part = x.untyped_storage(), x[2:].untyped_storage()
    assert s.data_ptr() == part.data_ptr() == x.data_ptr() and s.nbytes() == len(part) == s.size() == 12
    assert s.tolist() == [0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0] and s[2] == 1
    s[2] = 7
    assert x[1].item() == 7 and wootz.is_storage(s) and not wootz.is_storage(x) and s.device.type == "cpu"
    assert x.const_data_ptr() == x.data_ptr() and "size 12" in repr(s)


def test_diagonals_are_filled_as_numpy_fills_them() -> None:
    for shape, wrap in [((3, 4), False), ((7, 3), False), ((7, 3), True), ((3, 3, 3), False)]:
        expected = np.zeros(shape)
        np.fill_diagonal(expected, 5, wrap)
        assert wootz.zeros(*shape).fill_diagonal_(5, wrap).tolist() == expected.tolist()
    with pytest.raises(ShapeError, match="one extent"):
        wootz.zeros(2, 3, 4).fill_diagonal_(1)


def test_elements_go_through_python_functions() -> None:
    x = wootz.arange(6.0).reshape(2, 3)
    assert x.T.apply_(lambda v: v + 1).tolist() == [[1, 4], [2, 5], [3, 6]]
    assert x.map_(wootz.tensor([1.0, 10, 100]), lambda a, b: a * b).tolist() == [[1, 20, 300], [4, 50, 600]]
    with pytest.raises(TypeError, match="detach"):
        wootz.ones(1, requires_grad=True).apply_(abs)


def test_strides_may_be_asked_for_and_told() -> None:
    x = wootz.ones(2).new_empty_strided((2, 3), (1, 4), dtype=wootz.float64)
    assert x.shape == (2, 3) and x.stride() == (1, 4) and x.dtype is wootz.float64
    assert x.dim_order() == (1, 0) and wootz.ones(2, 3, 4).permute(2, 0, 1).dim_order() == (1, 2, 0)


def test_asarray_shares_memory_where_it_can() -> None:
    a = np.arange(4.0)
    for share in (
        wootz.asarray(a),
        wootz.asarray(wootz.from_numpy(a)),
        wootz.asarray(memoryview(a), dtype=wootz.float64),
    ):
        share[0] += 1
    assert a[0] == 3
    assert wootz.asarray([1, 2]).dtype is wootz.int64 and wootz.asarray(2.0, requires_grad=True).requires_grad
    copy = wootz.asarray(a, copy=True)
    copy[1] = 50
    assert a[1] == 1 and wootz.asarray(a, dtype=wootz.float32).dtype is wootz.float32
    for obj, kind in (([1, 2], None), (a, wootz.float32)):
        with pytest.raises(ValueError, match="can't alias"):
            wootz.asarray(obj, dtype=kind, copy=False)


def test_a_buffer_is_read_from_an_offset_and_refused_beyond_its_end() -> None:
    data = bytearray(np.arange(5, dtype=np.int32).tobytes())
    x = wootz.frombuffer(data, dtype=wootz.int32, count=2, offset=4)
    assert x.tolist() == [1, 2]
    x[0] = 9
    assert np.frombuffer(data, np.int32)[1] == 9
    assert wootz.frombuffer(data, dtype=wootz.bfloat16).shape == (10,)
    for text, options in [
        ("must not be greater", {"count": 6}), ("multiple of", {"offset": 3}), ("offset", {"offset": 20}),
        ("offset", {"offset": -4}), ("must not be 0", {"count": 0}),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=text):
            wootz.frombuffer(data, dtype=wootz.int32, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="read-only"):
        wootz.frombuffer(bytes(data), dtype=wootz.int32)


def test_a_file_is_mapped_and_written_to_only_if_shared(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    np.arange(4, dtype=np.float32).tofile(path)
    own = wootz.from_file(path, size=4)
    own[0] = 7
    assert np.fromfile(path, np.float32)[0] == 0 and own.tolist() == [7, 1, 2, 3]
    both = wootz.from_file(path, shared=True, size=6, dtype=wootz.float32)
    both[5] = 3
    del both
    assert np.fromfile(path, np.float32).tolist() == [0, 1, 2, 3, 0, 3]


def test_copies_share_nothing_with_their_source() -> None:
    x = wootz.zeros(2, 3)
    for copy in (wootz.view_copy(x, (3, 2)), wootz.t_copy(x), wootz.expand_copy(x, (2, 3)), *wootz.split_copy(x, 1)):
        copy.fill_(1)
    assert not x.any() and wootz.view_copy(x, wootz.int32).dtype is wootz.int32
