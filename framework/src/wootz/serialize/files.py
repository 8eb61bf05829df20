"""Weights on disk, as safetensors: other frameworks read them, and loading them runs no code."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.dtypes import memory_dtype
from wootz.errors import CheckpointError
from wootz.serialize.header import Entry, read_header

__all__ = ["load", "save"]

# The format's names of the dtypes that tensors have.
_DTYPES = {
    "BOOL": wootz.bool, "U8": wootz.uint8, "U16": wootz.uint16, "U32": wootz.uint32, "U64": wootz.uint64,
    "I8": wootz.int8, "I16": wootz.int16, "I32": wootz.int32, "I64": wootz.int64,
    "F16": wootz.float16, "BF16": wootz.bfloat16, "F32": wootz.float32, "F64": wootz.float64, "C64": wootz.complex64,
}  # fmt: skip
_MAX_DIMS = 16  # of a tensor; the format allows more


def save(
    tensors: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes named tensors, such as a module's ``state_dict()``, to one file.

    The file appears whole or not at all: it is written beside its place under another name, synced and renamed.
    Raises `CheckpointError` if a name is no string, a value no tensor or of a dtype that the format has not
    (complex128), OSError if the file cannot be written.
    """
    for name, tensor in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise CheckpointError(f"{name!r} cannot name a tensor: names are strings other than '__metadata__'")
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"{name!r} is a {type(tensor).__name__}, not a Tensor")
        if tensor.dtype not in _DTYPES.values():
            raise CheckpointError(f"{name!r} is {tensor.dtype}, which safetensors files cannot hold")
    import safetensors  # nothing else needs it: without it wootz can be imported, used, and load files

    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    entries = {
        name: safetensors.TensorSpec(dtype=t.dtype.name, shape=t.shape, data_ptr=t.data_ptr(), data_len=t.nbytes)
        for name, t in dense.items()
    }
    target = Path(path)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        beside.touch(exist_ok=False)
        mode = stat.S_IMODE(beside.stat().st_mode)
        safetensors.serialize_file(entries, beside, metadata=dict(metadata) if metadata else None)
        beside.chmod(mode)  # the package writes for the owner alone; a new file follows the umask
        _sync(beside)
        beside.replace(target)
        _sync(target.parent)
    finally:
        beside.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads the tensors of a safetensors file by name.

    Raises `CheckpointError` if the file is not exactly what the format says, or holds a dtype this build has no tensor
    of; OSError if it cannot be read.
    """
    target = Path(path)
    with target.open("rb") as file:
        entries = read_header(file, os.fstat(file.fileno()).st_size, target.name)
        _check_held(entries, target.name)
        data = file.tell()
        return {
            name: _read(file, data + entry.begin, entry, f"{target.name}: tensor {name!r}")
            for name, entry in entries.items()
        }


def _check_held(entries: Mapping[str, Entry], file: str) -> None:
    """Refuses what the format allows and tensors do not have."""
    for name, entry in entries.items():
        where = f"{file}: tensor {name!r}"
        if entry.dtype not in _DTYPES:
            raise CheckpointError(f"{where} is {entry.dtype}, which wootz has no tensor of")
        if len(entry.shape) > _MAX_DIMS:
            raise CheckpointError(f"{where} has {len(entry.shape)} dimensions; wootz's have at most {_MAX_DIMS}")


def _read(file: BinaryIO, at: int, entry: Entry, where: str) -> Tensor:
    kind = _DTYPES[entry.dtype]
    array = np.empty(entry.shape, memory_dtype(kind))
    file.seek(at)
    if file.readinto(array.reshape(-1)) != array.nbytes:  # type: ignore[attr-defined]  # a file opened for reading
        raise CheckpointError(f"{where}: the file ended while it was read")
    return _core.bitcast(wootz.from_numpy(array), kind)
