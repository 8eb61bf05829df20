"""Weights that are spread over several safetensors files, with an index as Hugging Face writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from wootz._tensor import Tensor
from wootz.errors import CheckpointError
from wootz.serialize.files import load

__all__ = ["load_sharded"]

_INDEX = "model.safetensors.index.json"


def load_sharded(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads the tensors of an index ``*.index.json``, or of a folder that holds `model.safetensors.index.json`.

    Raises `CheckpointError` if the index is not what the format says, names a file outside its folder, or does not
    agree with the files; OSError if one cannot be read.
    """
    index = Path(path)
    index = index / _INDEX if index.is_dir() else index
    places = _places(index)
    tensors: dict[str, Tensor] = {}
    for file in sorted(set(places.values())):
        held = load(index.parent / file)
        expected = {name for name, place in places.items() if place == file}
        if missing := sorted(expected - set(held)):
            raise CheckpointError(f"{index.name}: {missing[0]!r} should be in {file}, which does not hold it")
        if more := sorted(set(held) - expected):
            raise CheckpointError(f"{index.name}: {file} holds {more[0]!r}, which the index does not place there")
        tensors.update(held)
    return tensors


def _places(index: Path) -> dict[str, str]:
    """Which file each tensor is in."""
    try:
        parsed: Any = json.loads(index.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{index.name}: the index is no JSON: {error}") from error
    places = parsed.get("weight_map") if isinstance(parsed, dict) else None
    if not isinstance(places, dict):
        raise CheckpointError(f"{index.name}: an index is an object with a weight_map")
    for name, file in places.items():
        plain = isinstance(file, str) and file.endswith(".safetensors") and Path(file).name == file and "\0" not in file
        if not plain:
            raise CheckpointError(
                f"{index.name}: {name!r} is placed in {file!r}, which is no .safetensors file beside it"
            )
    return places
