"""One pair of functions for what programs save: weights, or a dict of states around them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wootz._tensor import Tensor
from wootz.errors import CheckpointError
from wootz.serialize import files
from wootz.serialize.checkpoint import read_any, write_states
from wootz.serialize.pt import load_pt

__all__ = ["load", "save"]


def save(obj: Mapping[str, Any], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a dict to one file, which appears whole or not at all: tensors by name as plain safetensors, to which
    ``metadata`` can be added; and dicts, lists, tuples, numbers and strings with tensors among them as a checkpoint.

    Raises `CheckpointError` for what files cannot hold, such as modules (save their ``state_dict()``) and complex128.
    """
    if not isinstance(obj, Mapping):
        raise CheckpointError(f"a dict is saved, not a {type(obj).__name__}: of a module or an optimiser state_dict()")
    if metadata or all(isinstance(value, Tensor) for value in obj.values()):
        files.save(obj, path, metadata)
    elif strange := [name for name in obj if not isinstance(name, str)]:
        raise CheckpointError(f"{strange[0]!r} cannot name a state: names are strings")
    else:
        write_states(path, obj)


def load(path: str | os.PathLike[str], map_location: Any = None, *, weights_only: bool = True) -> Any:
    """Reads what `save` wrote, any other safetensors file, or a ``.pt`` file of PyTorch's. Runs nothing from a file.

    ``map_location`` is a device for all tensors, ``weights_only`` exists for PyTorch's sake. Raises `CheckpointError`
    if the file is not exactly what its format says; OSError if it cannot be read.
    """
    if callable(map_location) or isinstance(map_location, Mapping):
        raise TypeError(f"map_location is a device, not a {type(map_location).__name__}")
    with Path(path).open("rb") as file:
        zipped = file.read(4) == b"PK\3\4"
    found = load_pt(path) if zipped else read_any(path)
    return found if map_location is None else _moved(found, map_location)


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(part, device) for key, part in value.items()}
    return type(value)(_moved(part, device) for part in value) if type(value) in (list, tuple) else value
