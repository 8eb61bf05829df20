"""Everything that training goes on from in one file: models, optimisers, schedules, random numbers, your own values.

A checkpoint is a safetensors file whose metadata holds the structure around the tensors as JSON: it runs nothing when
it is loaded, and any reader of safetensors finds the tensors in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wootz import _core
from wootz._tensor import Tensor
from wootz.errors import CheckpointError
from wootz.serialize.files import load, save
from wootz.serialize.header import read_metadata

__all__ = ["load_checkpoint", "save_checkpoint"]

_KEY, _VERSION = "wootz.checkpoint", 1
_RNG = "rng"


def save_checkpoint(path: str | os.PathLike[str], *, rng: bool = True, **parts: Any) -> None:
    """Writes parts by name to one file, which appears whole or not at all.

    A part is anything with a ``state_dict()``, or tensors, numbers, strings, None, and lists, tuples and dicts of them.
    ``rng`` adds the default random generator's state. Raises `CheckpointError` for anything else.
    """
    states = {name: part.state_dict() if hasattr(part, "state_dict") else part for name, part in parts.items()}
    if rng:
        states[_RNG] = list(_core.random_state())
    write_states(path, states)


def write_states(path: str | os.PathLike[str], states: Mapping[str, Any]) -> None:
    """Writes values by name as a checkpoint."""
    tensors: dict[str, Tensor] = {}
    structure = {name: _outline(state, name, tensors) for name, state in states.items()}
    save(tensors, path, {_KEY: json.dumps({"version": _VERSION, "parts": structure})})


def load_checkpoint(path: str | os.PathLike[str], *, rng: bool = True, **parts: Any) -> dict[str, Any]:
    """Reads a checkpoint; the states of the given parts are loaded into them, in their order, and all are returned.

    ``rng`` goes back to the saved random generator's state, if there is one. Raises `CheckpointError` if the file is
    not exactly a checkpoint or lacks a given part, before anything is changed; `StateDictError` for a part that a
    state does not fit.
    """
    target = Path(path)
    states = read_states(target, _metadata(target))
    if missing := [name for name in parts if name not in states]:
        raise CheckpointError(f"{target.name}: there is no part {missing[0]!r}; there are {', '.join(states)}")
    saved = _random_state(states.pop(_RNG, None), target.name)
    for name, part in parts.items():
        part.load_state_dict(states[name])
    if rng and saved is not None:
        _core.set_random_state(*saved)
    return states


def read_any(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The states of a checkpoint, without the random generator's, or the tensors of any other safetensors file."""
    target = Path(path)
    metadata = _metadata(target)
    if _KEY not in metadata:
        return dict(load(target))
    states = read_states(target, metadata)
    states.pop(_RNG, None)
    return states


def _metadata(target: Path) -> Mapping[str, str]:
    with target.open("rb") as file:
        return read_metadata(file, os.fstat(file.fileno()).st_size, target.name)


def read_states(target: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """A checkpoint's states by name. Raises `CheckpointError` if the file is not exactly a checkpoint."""
    structure, tensors = _structure(metadata, target.name), load(target)
    used: set[str] = set()
    try:
        states = {name: _restore(outline, tensors, used, target.name) for name, outline in structure.items()}
    except RecursionError as error:
        raise CheckpointError(f"{target.name}: the checkpoint's structure is nested without end") from error
    if extra := sorted(set(tensors) - used):
        raise CheckpointError(f"{target.name}: tensor {extra[0]!r} has no place in the checkpoint")
    return states


def _random_state(value: Any, name: str) -> tuple[int, int] | None:
    if value is None:
        return None
    good = isinstance(value, list) and len(value) == 2 and all(type(n) is int and 0 <= n < 2**64 for n in value)
    if not good:
        raise CheckpointError(f"{name}: the random generator's state is two 64-bit numbers, not {value!r:.80}")
    return value[0], value[1]


def _outline(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON: tensors by the name they are saved under, other containers than lists as tagged objects."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, (str, int)) or isinstance(key, bool):
                raise CheckpointError(f"{name!r} has the key {key!r:.80}: keys are strings and ints")
        return {"dict": [[k, _outline(v, _unused(f"{name}.{k}", tensors), tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_outline(v, _unused(f"{name}.{i}", tensors), tensors) for i, v in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    raise CheckpointError(
        f"{name!r} is a {type(value).__name__}: checkpoints hold tensors, numbers, strings, None, lists, tuples, dicts"
    )


def _unused(name: str, tensors: Mapping[str, Tensor]) -> str:
    """The name, or a longer one where the keys 1 and "1" would meet."""
    while name in tensors:
        name += "'"
    return name


def _structure(metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    if _KEY not in metadata:
        raise CheckpointError(f"{name}: a file of weights, not a checkpoint: read it with wootz.load")
    try:
        held = json.loads(metadata[_KEY])
    except (json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{name}: the checkpoint's structure is no JSON: {error}") from error
    if not isinstance(held, dict) or held.get("version") != _VERSION or not isinstance(held.get("parts"), dict):
        version = held.get("version") if isinstance(held, dict) else None
        raise CheckpointError(f"{name}: a checkpoint of version {version!r}; this wootz reads version {_VERSION}")
    parts: dict[str, Any] = held["parts"]
    return parts


def _restore(outline: Any, tensors: Mapping[str, Tensor], used: set[str], name: str) -> Any:
    if isinstance(outline, list):
        return [_restore(item, tensors, used, name) for item in outline]
    if not isinstance(outline, dict):
        return outline
    match outline:
        case {"tensor": str(key), **rest} if not rest and key in tensors and key not in used:
            used.add(key)
            return tensors[key]
        case {"tuple": list(items), **rest} if not rest:
            return tuple(_restore(item, tensors, used, name) for item in items)
        case {"dict": list(pairs), **rest} if not rest and all(_is_pair(pair) for pair in pairs):
            return {key: _restore(value, tensors, used, name) for key, value in pairs}
    raise CheckpointError(f"{name}: the checkpoint's structure has {json.dumps(outline):.80}, which means nothing here")


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and type(pair[0]) in (str, int)
