"""Checks a safetensors header before anything is built from it (format: safetensors 0.x, `docs/format`).

A file is an 8-byte little-endian length, a JSON object of that length, and data. Each entry names a dtype, a shape and
the half-open range of its bytes; together the ranges have to tile the data exactly. A checkpoint comes from anywhere,
so every field is wrong until checked, and nothing in it is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

from wootz.errors import CheckpointError

__all__ = ["ITEMSIZE", "MAX_HEADER", "Entry", "read_header", "read_metadata"]

MAX_HEADER = 100_000_000  # bytes; the format's own limit
MAX_DIMS = 64
ITEMSIZE: Mapping[str, int] = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8,
    "U64": 8, "F64": 8, "C64": 8, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: its dtype's name, shape and byte range within the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(file: BinaryIO, size: int, name: str) -> dict[str, Entry]:
    """The checked entries of an open file of ``size`` bytes; ``name`` is for the error's text.

    Raises `CheckpointError` for anything that the format does not allow.
    """
    header, length = _header(file, size, name)
    header.pop("__metadata__", None)
    entries = {key: _entry(key, value, name) for key, value in header.items()}
    _check_tiling(entries, size - 8 - length, name)
    return entries


def read_metadata(file: BinaryIO, size: int, name: str) -> dict[str, str]:
    """The strings that an open file of ``size`` bytes holds beside its tensors. Raises `CheckpointError`."""
    metadata: dict[str, str] = _header(file, size, name)[0].get("__metadata__", {})
    return metadata


def _header(file: BinaryIO, size: int, name: str) -> tuple[dict[str, Any], int]:
    """The header with its metadata checked, and its length in bytes."""
    length = int.from_bytes(_read(file, 8, name, "its first 8 bytes"), "little")
    if length > min(MAX_HEADER, size - 8):
        limit = f"{size - 8} bytes follow" if size - 8 < MAX_HEADER else f"the limit is {MAX_HEADER}"
        raise CheckpointError(f"{name}: the header claims {length} bytes, but {limit}")
    header = _parse(_read(file, length, name, "its header"), name)
    _check_metadata(header.get("__metadata__", {}), name)
    return header, length


def _read(file: BinaryIO, count: int, name: str, what: str) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise CheckpointError(f"{name}: the file ends within {what}: {count} bytes wanted, {len(data)} found")
    return data


def _parse(text: bytes, name: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held = dict(pairs)
        if len(held) == len(pairs):
            return held
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise CheckpointError(f"{name}: the header names {twice!r} twice")

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{name}: the header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{name}: the header is a JSON {type(header).__name__}, not an object")
    return header


def _check_metadata(metadata: Any, name: str) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{name}: __metadata__ has to map strings to strings")


def _integers(value: Any, count: int | None) -> bool:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        return False
    return all(type(item) is int and 0 <= item < 2**63 for item in value)


def _entry(key: str, value: Any, name: str) -> Entry:
    where = f"{name}: tensor {key!r}"
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: an entry has a dtype, a shape and data_offsets and nothing else")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEMSIZE:
        raise CheckpointError(f"{where}: unknown dtype {dtype!r}; known: {', '.join(ITEMSIZE)}")
    if not _integers(shape, None) or len(shape) > MAX_DIMS:
        raise CheckpointError(f"{where}: a shape is a list of at most {MAX_DIMS} sizes, not {shape!r:.200}")
    if not _integers(offsets, 2) or offsets[0] > offsets[1]:
        raise CheckpointError(f"{where}: data_offsets are a begin and an end, not {offsets!r:.200}")
    begin, end = offsets
    if end - begin != prod(shape) * ITEMSIZE[dtype]:
        raise CheckpointError(f"{where}: {dtype} of shape {shape} is not the {end - begin} bytes of {offsets}")
    return Entry(dtype, tuple(shape), begin, end)


def _check_tiling(entries: Mapping[str, Entry], data: int, name: str) -> None:
    at, before = 0, ""
    for key, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.end > data:
            raise CheckpointError(f"{name}: tensor {key!r} ends at byte {entry.end} of the data, which has {data}")
        if entry.begin < at:
            raise CheckpointError(f"{name}: tensors {before!r} and {key!r} overlap at byte {entry.begin}")
        if entry.begin > at:
            raise CheckpointError(f"{name}: bytes {at} to {entry.begin} of the data belong to no tensor")
        at, before = entry.end, key
    if at != data:
        raise CheckpointError(f"{name}: {data - at} bytes after the last tensor belong to none")
