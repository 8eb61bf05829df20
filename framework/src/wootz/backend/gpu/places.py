"""Kernels that read, write and add at places that indices give, on tensors whose shapes fit."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.geometry import VECTOR_BYTES, Operand
from wootz.backend.gpu.lines import at, sorted_pairs
from wootz.backend.gpu.pointwise import word

__all__ = [
    "LONG",
    "MANY",
    "Ints",
    "add_at",
    "check",
    "count_up",
    "launches",
    "offsets_of",
    "read",
    "room",
    "taken",
    "write",
]

Ints = tuple[int, ...]
LONG, MANY = 1024, 1024  # a line as long is summed by runs of sorted places, unless there are as many lines


def launches(shape: Sequence[int], *strides: Ints) -> list[geometry.Launch]:
    """Launches with an entry for each element of a shape, by every operand's strides."""
    return geometry.elementwise(shape, [Operand(VECTOR_BYTES, s) for s in strides])  # so wide that nothing is packed


def check(index: Tensor, extent: int) -> None:
    """Raises IndexError for any index into nothing."""
    if extent == 0 and index.numel():
        raise IndexError(f"an index into a dimension of size 0: {index.numel()} of them were given")


def read(
    cuda: Cuda, t: Tensor, steps: Ints, index: Tensor, index_steps: Ints, shape: Ints, extent: int, step: int
) -> Tensor:
    """A new tensor of a shape: element by element t's first, ``steps`` on, and ``index`` times ``step`` on."""
    out = cuda.empty(shape, t.dtype)
    if out.numel():
        check(index, extent)
    for launch in launches(shape, tuple(out.stride()), index_steps, steps):
        to, by, given = launch.offsets
        cuda.launch(
            f"gather_{word(t)}_{word(t)}", launch, at(index, by), at(t, given), at(out, to), np.int64(extent),
            np.int64(step), cuda.faults(), launch.plan,
        )  # fmt: skip
    return out


def write(
    cuda: Cuda, out: Tensor, steps: Ints, index: Tensor, index_steps: Ints, values: Tensor, extent: int, step: int
) -> None:
    """The other way: ``values`` go to those places of ``out``."""
    check(index, extent)
    for launch in launches(values.shape, index_steps, tuple(values.stride()), steps):
        by, given, to = launch.offsets
        cuda.launch(
            f"scatter_{word(out)}_{word(out)}", launch, at(index, by), at(values, given), at(out, to),
            np.int64(extent), np.int64(step), cuda.faults(), launch.plan,
        )  # fmt: skip


def count_up(cuda: Cuda, count: int, step: int = 1, first: int = 0) -> Tensor:
    """The integers from ``first`` on, ``step`` apart."""
    out = cuda.empty((count,), _core.int64)
    if count:
        sizes = (np.int64(n) for n in (first, step, count))
        cuda.launch("count_up_i64_i64", geometry.flat(count), *sizes, out)
    return out


def offsets_of(cuda: Cuda, index: Tensor, extent: int, step: int, before: Tensor | None = None) -> Tensor:
    """Checked indices times ``step``, added to ``before`` of the same shape."""
    out = cuda.empty(index.shape, _core.int64)
    check(index, extent)
    other = tuple(out.stride() if before is None else before.stride())
    for launch in launches(index.shape, tuple(out.stride()), tuple(index.stride()), other):
        to, by, given = launch.offsets
        cuda.launch(
            "add_offsets_i64_i64", launch, at(index, by), None if before is None else at(before, given), at(out, to),
            np.int64(extent), np.int64(step), cuda.faults(), launch.plan,
        )  # fmt: skip
    return out


def taken(cuda: Cuda, t: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of t that an index of any shape names, in the place of a dimension."""
    shape, steps = tuple(t.shape), tuple(t.stride())
    after = t.dim() - dim - 1
    return read(
        cuda, t, (*steps[:dim], *(0,) * index.dim(), *steps[dim + 1 :]), index,
        (*(0,) * dim, *index.stride(), *(0,) * after), (*shape[:dim], *index.shape, *shape[dim + 1 :]), t.shape[dim],
        t.stride(dim),
    )  # fmt: skip


def room(t: Tensor) -> int:
    """Elements from the first of a tensor to its last."""
    return 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True)) if t.numel() else 0


def add_at(
    cuda: Cuda, out: Tensor, steps: Sequence[int], places: Tensor, step: int, extent: int, source: Tensor
) -> None:
    """Adds source [places, *lines] to ``out``, ``steps`` apart along the lines, in the same order every time."""
    length, lines, kind = places.numel(), tuple(source.shape[1:]), KINDS[out.dtype.name]
    if source.numel() == 0:
        return
    check(places, extent)
    apart = tuple(source.stride())
    line = geometry.line(length, apart[0], step)
    if length >= LONG and prod(lines) < MANY:
        _add_runs(cuda, out, tuple(steps), offsets_of(cuda, places, extent, 1), source, line)
        return
    for launch in launches(lines, tuple(steps), (0,) * len(lines), apart[1:]):
        to, _, given = launch.offsets
        cuda.launch(
            f"add_at_{kind}_{kind}", launch, places, at(source, given), at(out, to), np.int64(extent), np.int64(1),
            cuda.faults(), line, launch.plan,
        )  # fmt: skip


def _add_runs(cuda: Cuda, out: Tensor, steps: Ints, places: Tensor, source: Tensor, line: Any) -> None:
    _, found = sorted_pairs(cuda, _core.reshape(places, (1, places.numel())))
    order = _core.reshape(found, (places.numel(),)).contiguous()
    ranked, kind = taken(cuda, places, 0, order), KINDS[out.dtype.name]
    for launch in launches(source.shape[1:], steps, tuple(source.stride())[1:]):
        to, given = launch.offsets
        across = geometry.Launch((geometry.flat(places.numel(), 1).grid[0], int(launch.plan["units"]), 1), (256, 1, 1))
        cuda.launch(f"add_runs_{kind}_{kind}", across, ranked, order, at(source, given), at(out, to), line, launch.plan)
