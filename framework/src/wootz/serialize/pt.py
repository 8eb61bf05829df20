"""Reads what PyTorch's `torch.save` writes: a zip of raw storages and a pickle that puts tensors together.

The pickle is read by a machine that calls nothing but the few functions here (`wootz.serialize.opcodes`); storages are
checked against their sizes, and tensors against their storages, before anything is built.
"""

from __future__ import annotations

import os
import struct
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.dtypes import memory_dtype
from wootz.errors import CheckpointError
from wootz.serialize.opcodes import Marker, read_pickle

__all__ = ["load_pt"]

_MAX_DIMS = 64
# PyTorch's names of element types: its storage classes, and its dtypes.
_STORAGES = {
    "BoolStorage": "bool", "ByteStorage": "uint8", "CharStorage": "int8", "ShortStorage": "int16",
    "IntStorage": "int32", "LongStorage": "int64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32", "DoubleStorage": "float64", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}  # fmt: skip
_DTYPES = (*_STORAGES.values(), "uint16", "uint32", "uint64")  # the last three have no storage class: bytes serve them


def load_pt(path: str | os.PathLike[str]) -> Any:
    """Reads a ``.pt`` or ``.pth`` file of tensors, numbers, strings, lists, tuples and dicts; runs nothing in it.

    Tensors that share a storage in the file share it here. Raises `CheckpointError` for a file that is not exactly
    what PyTorch (1.6 and newer) writes, or whose pickle needs anything else; OSError if it cannot be read.
    """
    target = Path(path)
    with target.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _Archive(archive, os.fstat(file.fileno()).st_size, target.name).read()
        except zipfile.BadZipFile as error:
            raise CheckpointError(
                f"{target.name}: {error}; files of PyTorch before 1.6 are plain pickles: save them with a newer one"
            ) from error
        except CheckpointError:
            raise
        except (NotImplementedError, RuntimeError, EOFError, ValueError, struct.error) as error:
            raise CheckpointError(f"{target.name}: the zip is broken: {error}") from error


class _Archive:
    """An open file: its entries, and the storages read so far."""

    def __init__(self, archive: zipfile.ZipFile, size: int, name: str) -> None:
        self.archive, self.name = archive, name
        self.entries = {entry.filename: entry for entry in archive.infolist()}
        self.storages: dict[str, bytearray] = {}
        self._check(size)

    def fail(self, problem: str) -> CheckpointError:
        return CheckpointError(f"{self.name}: {problem}")

    def _check(self, size: int) -> None:
        listed = self.archive.infolist()
        if len(self.entries) != len(listed):
            raise self.fail("the zip names an entry twice")
        for entry in listed:
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise self.fail(f"{entry.filename!r} is compressed, which PyTorch never does")
        if sum(entry.file_size for entry in listed) > size:
            raise self.fail("the entries are together larger than the file: they overlap")
        pickles = [n for n in self.entries if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(pickles) != 1:
            raise self.fail(f"one entry is named FOLDER/data.pkl in a file of torch.save; here {len(pickles)} are")
        self.folder = pickles[0].removesuffix("data.pkl")
        if f"{self.folder}constants.pkl" in self.entries:
            raise self.fail("a TorchScript program, not weights: save the module's state_dict() instead")
        if self._bytes("byteorder", b"little").strip() != b"little":
            raise self.fail("numbers are big-endian: save the file on a little-endian machine")

    def _bytes(self, name: str, default: bytes | None = None) -> bytes:
        entry = self.entries.get(self.folder + name)
        if entry is None:
            if default is None:
                raise self.fail(f"there is no entry {self.folder + name!r}")
            return default
        if entry.header_offset < 0:
            raise self.fail(f"{entry.filename!r} begins before the file does")
        return self.archive.read(entry)

    def read(self) -> Any:
        names: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): self.tensor, ("torch._utils", "_rebuild_parameter"): _parameter,
            ("torch._utils", "_rebuild_tensor_v3"): self.tensor_of_bytes, ("torch", "Size"): _size,
            ("torch.storage", "UntypedStorage"): Marker("uint8"), ("torch", "device"): _device,
            ("collections", "OrderedDict"): _ordered,
        }  # fmt: skip
        names |= {("torch", storage): Marker(dtype) for storage, dtype in _STORAGES.items()}
        names |= {("torch", dtype): Marker(dtype) for dtype in _DTYPES}
        return read_pickle(self._bytes("data.pkl"), names, self.storage, f"{self.name}: data.pkl")

    def storage(self, reference: Any) -> _Storage:
        """The storage that the pickle refers to as ("storage", type, key, device, number of elements)."""
        if type(reference) is not tuple or len(reference) != 5 or reference[0] != "storage":
            raise self.fail("a storage is referred to in an unknown way")
        _, kind, key, _, numel = reference
        if not isinstance(kind, Marker) or not isinstance(key, str) or not key.isdecimal():
            raise self.fail("a storage is referred to by something that is no type or no number")
        if key not in self.storages:
            self.storages[key] = bytearray(self._bytes(f"data/{key}"))
        dtype = getattr(wootz, kind.name)
        if _bytes_of(numel, dtype.itemsize) != len(self.storages[key]):
            size = len(self.storages[key])
            raise self.fail(f"storage {key} is to have {_brief(numel)} elements of {kind.name}, and has {size} bytes")
        return _Storage(self.storages[key], dtype, numel)

    def tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None,
        metadata: Any = None,
    ) -> Tensor:  # fmt: skip
        if not isinstance(storage, _Storage):
            raise self.fail("a tensor is made of something that is no storage")
        numbers = [offset, *size, *stride] if type(size) is tuple and type(stride) is tuple else [None]
        if any(type(n) is not int or not 0 <= n < 2**63 for n in numbers) or len(size) != len(stride):
            raise self.fail("a tensor's offset, sizes and strides are 64-bit numbers of at least 0, as many of both")
        if len(size) > _MAX_DIMS:
            raise self.fail(f"a tensor of {len(size)} dimensions; at most {_MAX_DIMS} are read")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if prod(size) and last >= storage.numel:
            raise self.fail(f"a tensor reaches element {last} of a storage of {storage.numel}")
        if prod(size) > storage.numel:
            raise self.fail(f"a tensor repeats elements, {prod(size)} from {storage.numel}: clone() it before saving")
        out = storage.whole().as_strided(size, stride, offset) if prod(size) else wootz.zeros(size, dtype=storage.dtype)
        return out.requires_grad_() if requires_grad is True and out.dtype.is_floating_point else out

    def tensor_of_bytes(
        self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any,
        metadata: Any = None,
    ) -> Tensor:  # fmt: skip
        if not isinstance(storage, _Storage) or not isinstance(dtype, Marker):
            raise self.fail("a tensor is made of something that is no storage or of no type")
        kind, count = getattr(wootz, dtype.name), len(storage.data)
        if count % kind.itemsize:
            raise self.fail(f"a storage of {count} bytes is to hold elements of {dtype.name}")
        typed = _Storage(storage.data, kind, count // kind.itemsize)
        return self.tensor(typed, offset, size, stride, requires_grad)


class _Storage:
    """Bytes of the file as elements of a type."""

    def __init__(self, data: bytearray, dtype: Any, numel: int) -> None:
        self.data, self.dtype, self.numel = data, dtype, numel

    def whole(self) -> Tensor:
        if self.dtype == wootz.bool:  # any byte but 0 is True; a bool holds 0 or 1
            return wootz.from_numpy(np.frombuffer(self.data, np.uint8) != 0)
        return _core.bitcast(wootz.from_numpy(np.frombuffer(self.data, memory_dtype(self.dtype))), self.dtype)


def _parameter(data: Any, requires_grad: Any = True, hooks: Any = None) -> Tensor:
    if not isinstance(data, Tensor):
        raise CheckpointError("a parameter is made of something that is no tensor")
    return data.requires_grad_(bool(requires_grad)) if data.dtype.is_floating_point else data


def _ordered() -> dict[str, Any]:
    return {}


def _size(value: Any) -> tuple[int, ...]:
    return tuple(value)


def _device(kind: Any, index: Any = None) -> str:
    if not isinstance(kind, str) or type(index) not in (int, type(None)):
        raise CheckpointError("a device is made of something that is no name and number")
    return kind if index is None else f"{kind}:{index}"


def _bytes_of(numel: Any, itemsize: int) -> int:
    """The size of a storage that claims so many elements; -1 for what is no count."""
    return numel * itemsize if type(numel) is int and numel >= 0 else -1


def _brief(value: Any) -> str:
    """A number, or the name of a type: what a file holds is not printed, which could take time without end."""
    return str(value) if type(value) is int and value.bit_length() <= 64 else f"a {type(value).__name__} for"
