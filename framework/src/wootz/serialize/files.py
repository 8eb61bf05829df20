"""Weights on disk, as safetensors: other frameworks read them, and loading them runs no code."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

import wootz
from wootz._tensor import Tensor
from wootz.errors import CheckpointError
from wootz.serialize.header import read_header

__all__ = ["load", "save"]

# What the file's dtype is in NumPy: the tensors this build can hold.
_DTYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "I16": "i2", "I32": "i4", "I64": "i8", "F32": "f4", "F64": "f8"}


def save(
    tensors: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes named tensors, such as a module's ``state_dict()``, to one file.

    The file appears whole or not at all: it is written beside its place under another name, synced and renamed.
    Raises `CheckpointError` if a name is no string or a value no tensor, OSError if the file cannot be written.
    """
    for name, tensor in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise CheckpointError(f"{name!r} cannot name a tensor: names are strings other than '__metadata__'")
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"{name!r} is a {type(tensor).__name__}, not a Tensor")
    arrays = {name: np.require(tensor.detach().numpy(), requirements="C") for name, tensor in tensors.items()}
    target = Path(path)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        beside.touch(exist_ok=False)
        mode = stat.S_IMODE(beside.stat().st_mode)
        safetensors.numpy.save_file(arrays, beside, dict(metadata) if metadata else None)
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
    for name, entry in entries.items():
        if entry.dtype not in _DTYPES:
            raise CheckpointError(f"{target.name}: tensor {name!r} is {entry.dtype}, which wootz has no tensor of")
    try:
        with safetensors.safe_open(target, framework="numpy") as file:
            return {name: wootz.from_numpy(file.get_tensor(name)) for name in entries}
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{target.name}: {error}") from error
