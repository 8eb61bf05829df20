"""Memory shared with other libraries: NumPy and PyTorch as partners; pickles and copies."""

from __future__ import annotations

import array
import copy
import gc
import hashlib
import pickle
from typing import Any

import numpy as np
import pytest

import wootz
from wootz import _core, nn

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]


def sample(dtype: str) -> wootz.Tensor:
    return wootz.from_numpy(np.arange(24).reshape(2, 3, 4).astype(dtype))


GEOMETRIES: dict[str, Any] = {
    "whole": lambda t: t, "transposed": lambda t: t.permute(2, 0, 1), "sliced": lambda t: t[:, ::2, 1:],
    "expanded": lambda t: t[:1].expand(5, 3, 4), "0-d": lambda t: t[0, 1, 2], "empty": lambda t: t[:, :0],
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_numpy_sees_our_memory_by_every_door(dtype: str, geometry: str) -> None:
    t = GEOMETRIES[geometry](sample(dtype))
    expected = np.array(t.tolist(), dtype).reshape(t.shape)
    doors = [np.asarray(t), np.from_dlpack(t), np.asarray(_Interface(t)), np.asarray(memoryview(t))]
    for seen in doors:
        assert seen.dtype == expected.dtype and seen.shape == t.shape and np.array_equal(seen, expected)
        assert t.numel() == 0 or seen.ctypes.data == t.data_ptr()


class _Interface:
    """Has the array interface of a tensor and nothing else."""

    def __init__(self, t: wootz.Tensor) -> None:
        self.__array_interface__, self.kept = t.__array_interface__, t


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_we_see_numpys_memory_through_dlpack(dtype: str, geometry: str) -> None:
    a = np.asarray(GEOMETRIES[geometry](sample(dtype)))
    if geometry == "expanded":
        a = np.array(a)  # NumPy calls a broadcast view read-only
    t = wootz.from_dlpack(a)
    assert t.shape == a.shape and np.array_equal(t.numpy(), a) and str(t.dtype) == f"wootz.{dtype}"
    assert t.numel() == 0 or t.data_ptr() == a.ctypes.data


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_torch_and_wootz_share_memory_both_ways(dtype: str, geometry: str) -> None:
    torch = pytest.importorskip("torch", reason="shares memory with PyTorch")
    ours = GEOMETRIES[geometry](sample(dtype))
    theirs = torch.from_dlpack(ours)
    back = wootz.from_dlpack(theirs)
    assert theirs.shape == ours.shape and back.shape == ours.shape and back.dtype == ours.dtype
    assert theirs.tolist() == ours.tolist() == back.tolist()
    if ours.numel():
        assert theirs.data_ptr() == ours.data_ptr() == back.data_ptr()
    legacy = torch.utils.dlpack.to_dlpack(theirs)
    assert wootz.from_dlpack(legacy).tolist() == ours.tolist()


def test_writes_are_seen_on_both_sides_and_memory_lives_as_long_as_anyone_looks() -> None:
    gc.collect()  # what other tests left, or it goes while this one counts
    before = _core.memory_stats()["in_use"]
    t = wootz.zeros(1000)
    seen = np.from_dlpack(t)
    t[3] = 5
    assert seen[3] == 5
    del t
    gc.collect()
    assert seen[3] == 5 and _core.memory_stats()["in_use"] > before
    del seen
    gc.collect()
    assert _core.memory_stats()["in_use"] == before
    a = np.zeros(4)
    ours = wootz.from_dlpack(a)
    del a
    gc.collect()
    assert ours.tolist() == [0.0] * 4


def test_an_unconsumed_capsule_frees_what_it_holds() -> None:
    before = _core.memory_stats()["in_use"]
    for options in ({}, {"max_version": (1, 0)}):
        capsule = wootz.zeros(1000).__dlpack__(**options)
        assert _core.memory_stats()["in_use"] > before
        del capsule
        assert _core.memory_stats()["in_use"] == before


def test_copies_happen_when_asked_for_and_are_refused_when_forbidden() -> None:
    t = wootz.arange(4)
    assert np.from_dlpack(t, copy=True).ctypes.data != t.data_ptr()
    a = np.arange(4.0)
    assert wootz.from_dlpack(a, copy=True).data_ptr() != a.ctypes.data
    assert wootz.from_dlpack(a, copy=False).data_ptr() == a.ctypes.data
    assert wootz.from_dlpack(t, device="cpu").data_ptr() == t.data_ptr()
    assert t.__dlpack_device__() == (1, 0)
    a.flags.writeable = False
    with pytest.raises(BufferError, match="read-only"):
        wootz.from_dlpack(a, copy=False)
    copied = wootz.from_dlpack(a)  # nobody may write into it, so a tensor of it is a copy
    assert copied.data_ptr() != a.ctypes.data and copied.add_(1).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert np.asarray(t, copy=True).ctypes.data != t.data_ptr()
    assert np.asarray(t, dtype="float32").dtype == np.float32
    with pytest.raises(ValueError, match="avoid copy"):
        np.asarray(t, dtype="float32", copy=False)


def test_producers_from_before_version_1_are_understood() -> None:
    class Old:
        def __init__(self, t: wootz.Tensor) -> None:
            self.t = t

        def __dlpack__(self, stream: Any = None) -> Any:
            return self.t.__dlpack__()

    t = wootz.arange(3)
    assert wootz.from_dlpack(Old(t)).data_ptr() == t.data_ptr()


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda: wootz.ones(2, requires_grad=True).__dlpack__(), BufferError, "require gradient"),
        (lambda: wootz.ones(2).__dlpack__(stream=3), BufferError, "no stream"),
        (lambda: wootz.ones(2).__dlpack__(dl_device=(2, 0)), BufferError, "cannot export to device"),
        (lambda: wootz.ones(2).__dlpack__(dl_device=(2, 0), copy=False), BufferError, "copy=False"),
        (lambda: wootz.from_dlpack([1, 2]), TypeError, "object with __dlpack__, got a list"),
        (lambda: wootz.ones(2).__cuda_array_interface__, AttributeError, "no __cuda_array_interface__"),
        (lambda: wootz.from_dlpack(np.zeros(3)[::-1]), ValueError, "negative"),
        (lambda: np.asarray(wootz.ones(2, requires_grad=True)), RuntimeError, "detach"),
        (lambda: memoryview(wootz.ones(2, requires_grad=True)), BufferError, "detach"),
        (lambda: pickle.dumps(wootz.ones(2, requires_grad=True) * 2), RuntimeError, "only leaf tensors"),
    ],
)
def test_what_cannot_be_shared_says_why(act: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        act()
    assert not hasattr(wootz.ones(2), "__cuda_array_interface__")


def test_buffers_of_any_object_become_tensors_and_ours_are_writable_buffers() -> None:
    numbers = array.array("d", [1.0, 2.0, 3.0])
    t = _core.from_buffer(numbers)
    t[0] = 9
    assert numbers[0] == 9.0
    view = memoryview(wootz.arange(6).reshape(2, 3))
    assert view.shape == (2, 3) and view.format == "q" and not view.readonly
    view[1, 2] = 50
    with pytest.raises(BufferError):
        _core.from_buffer(b"bytes are read-only")
    with pytest.raises(BufferError, match="not contiguous"):
        hashlib.sha256(wootz.arange(6).reshape(2, 3).T)  # asks for dense memory
    assert hashlib.sha256(wootz.arange(6)).digest() == hashlib.sha256(np.arange(6)).digest()


class Tagged(wootz.Tensor):
    note: str


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_keep_values_class_and_attributes(protocol: int) -> None:
    p = nn.Parameter(wootz.ones(2))
    tagged = wootz.arange(3).as_subclass(Tagged)
    tagged.note = "kept"
    view = wootz.arange(6).reshape(2, 3).T
    p2, t2, v2, plain = pickle.loads(pickle.dumps((p, tagged, view, wootz.ones(1, requires_grad=True)), protocol))
    assert type(p2) is nn.Parameter and p2.requires_grad and p2.tolist() == [1.0, 1.0]
    assert type(t2) is Tagged and t2.note == "kept" and t2.tolist() == [0, 1, 2]
    assert v2.tolist() == view.tolist() and plain.requires_grad and plain.is_leaf


def test_copies_share_memory_and_deep_copies_do_not() -> None:
    t = wootz.arange(3, dtype=wootz.float32).as_subclass(Tagged)
    t.note = "kept"
    t.requires_grad_()
    shallow, deep = copy.copy(t), copy.deepcopy(t)
    assert shallow.data_ptr() == t.data_ptr() and deep.data_ptr() != t.data_ptr()
    for c in (shallow, deep):
        assert type(c) is Tagged and c.note == "kept" and c.requires_grad and c.is_leaf and c is not t
    y = wootz.ones(2, requires_grad=True) * 2
    assert copy.copy(y).requires_grad and copy.copy(y).data_ptr() == y.data_ptr()
    pair = copy.deepcopy([t, t])
    assert pair[0] is pair[1]
