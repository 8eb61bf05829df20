"""Capsules that lie: every field of DLPack that could lead outside of memory is checked before it is believed."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import wootz
from wootz import _core
from wootz.errors import DeviceError, DTypeError, ShapeError


class Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]  # ctypes' way


class Type(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device", Device), ("ndim", ctypes.c_int32), ("dtype", Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
    ]  # fmt: skip


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    _fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", Deleter)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p), ("deleter", Deleter),
        ("flags", ctypes.c_uint64), ("tensor", DLTensor),
    ]  # fmt: skip


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Attack:
    """A well-made capsule of four float32 numbers, to be spoiled field by field."""

    def __init__(self, versioned: bool = False, name: bytes | None = None) -> None:
        self.numbers = np.arange(4, dtype=np.float32)
        self.shape, self.strides = (ctypes.c_int64 * 20)(2, 2), (ctypes.c_int64 * 20)(2, 1)
        self.deleted = 0
        self.deleter = Deleter(self._delete)
        self.managed = Versioned() if versioned else Managed()
        self.managed.deleter = self.deleter
        if versioned:
            self.managed.major = 1
        t = self.managed.tensor
        t.data, t.device, t.ndim, t.dtype = self.numbers.ctypes.data, Device(1, 0), 2, Type(2, 32, 1)
        t.shape, t.strides = self.shape, self.strides
        self.name = name or (b"dltensor_versioned" if versioned else b"dltensor")
        self.capsule = new_capsule(ctypes.addressof(self.managed), self.name, None)

    def _delete(self, _: Any) -> None:
        self.deleted += 1


def test_a_well_made_capsule_is_taken_once_and_given_back_once() -> None:
    for versioned in (False, True):
        attack = Attack(versioned)
        t = wootz.from_dlpack(attack.capsule)
        assert t.tolist() == [[0.0, 1.0], [2.0, 3.0]] and attack.deleted == 0
        with pytest.raises(ValueError, match="consumed already"):
            wootz.from_dlpack(attack.capsule)
        view = t[0]
        del t
        assert attack.deleted == 0
        del view
        assert attack.deleted == 1


def spoil(field: str, value: Any) -> Attack:
    attack = Attack()
    owner: Any = attack.managed.tensor
    *path, last = field.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, value)
    return attack


def shaped(*shape: int, strides: tuple[int, ...] | None = None) -> Attack:
    attack = Attack()
    attack.shape[: len(shape)] = shape
    attack.managed.tensor.ndim = len(shape)
    if strides is None:
        attack.managed.tensor.strides = None
    else:
        attack.strides[: len(strides)] = strides
    return attack


HOSTILE: dict[str, tuple[Any, type[Exception], str]] = {
    "wrong name": (lambda: Attack(name=b"dltensor_v2"), ValueError, "named 'dltensor_v2'"),
    "used name": (lambda: Attack(name=b"used_dltensor"), ValueError, "consumed already"),
    "no memory": (lambda: spoil("data", None), ValueError, "no memory"),
    "no shape": (lambda: spoil("shape", None), ValueError, "no shape"),
    "device": (lambda: spoil("device.type", 7), DeviceError, "device type 7"),
    "device number": (lambda: spoil("device", Device(2, 4000)), DeviceError, "device number"),
    "type code": (lambda: spoil("dtype.code", 99), DTypeError, "type code 99"),
    "bits": (lambda: spoil("dtype.bits", 3), DTypeError, "3 bits"),
    "lanes": (lambda: spoil("dtype.lanes", 4), DTypeError, "4 lanes"),
    "many dimensions": (lambda: spoil("ndim", 1000), ShapeError, "1000 dimensions"),
    "negative dimensions": (lambda: spoil("ndim", -1), ShapeError, "-1 dimensions"),
    "negative extent": (lambda: shaped(2, -3), ShapeError, "-3|negative"),
    "overflowing shape": (lambda: shaped(2**40, 2**40), ShapeError, "1099511627776|elements|too"),
    "negative stride": (lambda: shaped(2, 2, strides=(-2, 1)), ValueError, "negative"),
    "overflowing strides": (lambda: shaped(2**30, 2, strides=(2**40, 1)), ValueError, "outside of any memory"),
    "misaligned": (lambda: spoil("offset", 2), ValueError, "aligned"),
}


@pytest.mark.parametrize("lie", HOSTILE)
def test_a_lie_is_refused_and_stays_its_owners(lie: str) -> None:
    make, kind, message = HOSTILE[lie]
    attack = make()
    with pytest.raises(kind, match=message):
        wootz.from_dlpack(attack.capsule)
    assert attack.deleted == 0  # the capsule was not taken over, so it is not ours to free


def test_versions_to_come_are_refused() -> None:
    attack = Attack(versioned=True)
    attack.managed.major = 2
    with pytest.raises(ValueError, match="DLPack version 2"):
        wootz.from_dlpack(attack.capsule)


def test_read_only_memory_is_never_written() -> None:
    attack = Attack(versioned=True)
    attack.managed.flags = 1
    t = wootz.from_dlpack(attack.capsule)
    t.add_(100)
    assert attack.numbers.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_what_is_no_capsule_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a capsule"):
        _core.from_dlpack("dltensor")

    class Liar:
        def __dlpack__(self, **_: Any) -> Any:
            return 12

    with pytest.raises(TypeError, match="expected a capsule"):
        wootz.from_dlpack(Liar())
