"""How CUDA kernels are laid over operands: pure arithmetic on shapes, strides and addresses, tested without a GPU.

The structures mirror those of ``csrc/cuda``: ``Layout`` (layout.cuh), ``Reduction`` (reduce.cu), ``Rows`` (rows.cuh)
and ``Slot`` (optim.cu). Strides count elements, dimension 0 of a structure is the innermost. No plan depends on the
GPU's size, so that every GPU adds the same numbers in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from wootz.backend.gpu.random import Dropout

__all__ = [
    "ADAM_RULE", "ATTENTION", "ATTENTION_WIDTHS", "BLOCK", "LAYOUT", "LINE", "MAX_DIMS", "REDUCTION", "ROWS",
    "SGD_RULE", "SLOT", "STRUCTURES", "VECTOR_BYTES", "WINDOWS", "GeometryError", "Launch", "Operand", "Reduction",
    "attention", "by_row", "elementwise", "flat", "line", "lines", "norm_parameters", "reduction", "rows", "slots",
    "tiles",
]  # fmt: skip

MAX_DIMS = 8
BLOCK = 256
ROW_BLOCK = 512  # a larger block would leave a thread too few registers
WARP = 32
VECTOR_BYTES = 16
MAX_UNITS = 2**31 - 1
MAX_GRID_X = 2**31 - 1
MAX_GRID_Y = 65535
ELEMENTS_PER_BLOCK = 4096  # of an optimiser step
COLUMNS_PER_BLOCK, LINES_PER_BLOCK = 32, 8  # of a column-wise sum
REDUCTION_BLOCKS = 512  # enough to fill a large GPU; more blocks would only add partial results
TILE_ROWS, TILE_THREADS = 64, 128  # of attention's blocks
ATTENTION_WIDTHS = (64, 128)  # the widest rows that its kernels take
FOLDS_PER_THREAD = 16  # the fewest loads worth a thread of their own

_DIMS_U4, _DIMS_I8 = ("<u4", (MAX_DIMS,)), ("<i8", (MAX_DIMS,))


def _layout(operands: int) -> np.dtype[np.void]:
    fields = [("units", "<u4"), ("tail", "<u4"), ("ndim", "<i4"), ("vector", "<i4"), ("shape", *_DIMS_U4)]
    return np.dtype([*fields, ("stride", "<i8", (operands, MAX_DIMS))], align=True)


LAYOUT: dict[int, np.dtype[np.void]] = {operands: _layout(operands) for operands in (1, 2, 3, 4)}
REDUCTION = np.dtype(
    [
        *[(name, "<u4") for name in ("outputs", "outputs_per_block", "threads_per_output", "output_step", "fold_step")],
        *[(name, "<i4") for name in ("kept_ndim", "reduced_ndim", "vector")],
        *[(name, "<i8") for name in ("length", "chunk")],
        ("kept_shape", *_DIMS_U4),
        ("reduced_shape", *_DIMS_U4),
        ("kept_stride", *_DIMS_I8),
        ("reduced_stride", *_DIMS_I8),
    ],
    align=True,
)
ROWS = np.dtype([("count", "<i8"), ("columns", "<i8"), ("stride", "<i8"), ("vector", "<i4")], align=True)
SLOT = np.dtype(
    [("parameter", "<u8"), ("gradient", "<u8"), ("state", "<u8", (3,)), ("count", "<i8"), ("first_block", "<i8")],
    align=True,
)

# Heads of attention.cu: strides of batch, head and row.
_HEADS = ("<i8", (3,))
ATTENTION = np.dtype(
    [
        *[(name, *_HEADS) for name in ("query", "key", "value", "grad", "mask")],
        ("mask_column", "<i8"),
        *[(name, "<f8") for name in ("scale", "kept")],
        *[(name, "<u8") for name in ("threshold", "seed", "draw")],
        *[
            (name, "<i4")
            for name in ("heads", "queries", "keys", "width", "value_width", "causal", "dropout", "vector")
        ],
    ],
    align=True,
)


def _rule(floats: Sequence[str], flags: Sequence[str]) -> dict[str, np.dtype[np.void]]:
    rest = [*[(f, "<i4") for f in flags], ("live", "<u8")]
    return {c: np.dtype([*[(f, c) for f in floats], *rest], align=True) for c in ("f4", "f8")}


SGD_RULE = _rule(("rate", "momentum", "dampening", "decay"), ("nesterov", "maximize", "first"))
ADAM_RULE = _rule(
    ("rate", "beta1", "beta2", "eps", "decay", "correction1", "correction2_root"), ("decoupled", "maximize")
)

LINE = np.dtype([(name, "<i8") for name in ("length", "step", "out_step", "chunk")])
WINDOWS = np.dtype(
    [
        ("count", "<i8"), ("adaptive", "<i4"),
        *[(name, "<i4", (3,)) for name in ("extent", "out", "kernel", "stride", "padding", "dilation")],
    ],
    align=True,
)  # fmt: skip

# By the names that csrc/cuda gives them.
STRUCTURES: dict[str, np.dtype[np.void]] = {
    **{f"Layout<{operands}>": layout for operands, layout in LAYOUT.items()},
    "Line": LINE, "Reduction": REDUCTION, "Rows": ROWS, "Slot": SLOT, "Windows": WINDOWS,
    "SgdRule<f32>": SGD_RULE["f4"], "SgdRule<f64>": SGD_RULE["f8"],
    "Attention": ATTENTION,
    "AdamRule<f32>": ADAM_RULE["f4"], "AdamRule<f64>": ADAM_RULE["f8"],
}  # fmt: skip


class GeometryError(ValueError):
    """A layout that no launch can describe; the caller makes the operand contiguous first."""


class Operand(NamedTuple):
    """One array of a launch: bytes an element, strides over the common shape (0 where broadcast), first address."""

    itemsize: int
    strides: tuple[int, ...]
    address: int = 0


@dataclass(frozen=True)
class Launch:
    """One kernel launch; ``offsets`` are elements to add to each operand's address where one call took several."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    plan: Any = None
    offsets: tuple[int, ...] = field(default=())


@dataclass(frozen=True)
class Reduction:
    """A fold in one launch, or in two over ``splits`` partial results of the compute type."""

    first: Launch
    splits: int = 1
    final: Launch | None = None


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _power_of_two(n: int) -> int:
    return 1 << max(0, n - 1).bit_length()


class _Dim(NamedTuple):
    extent: int
    strides: tuple[int, ...]


def _merge(dims: Sequence[_Dim]) -> list[_Dim]:
    """Joins neighbours (innermost first) that every operand walks as if they were one dimension."""
    merged: list[_Dim] = []
    for extent, strides in dims:
        if extent == 1:
            continue
        if merged and all(s == t * merged[-1].extent for s, t in zip(strides, merged[-1].strides, strict=True)):
            merged[-1] = _Dim(merged[-1].extent * extent, merged[-1].strides)
            continue
        merged.append(_Dim(extent, strides))
    if len(merged) > MAX_DIMS:
        raise GeometryError(f"{len(merged)} dimensions remain after merging, the kernels take {MAX_DIMS}")
    return merged


def _dims(shape: Sequence[int], operands: Sequence[Operand]) -> list[_Dim]:
    """The common dimensions, innermost first: the output's smallest stride decides, the shape's order breaks ties."""
    dims = [_Dim(shape[i], tuple(o.strides[i] for o in operands)) for i in reversed(range(len(shape)))]
    return _merge(sorted(dims, key=lambda d: tuple(map(abs, d.strides))))


def _aligned(operand: Operand, stride: Sequence[int], lanes: int) -> bool:
    """Whether packs of ``lanes`` elements can be accessed at once: ``stride`` is this operand's, innermost first."""
    if stride[0] == 0:
        return True
    return operand.address % (operand.itemsize * lanes) == 0 and all(s % lanes == 0 for s in stride[1:])


def _vectorises(dims: Sequence[_Dim], operands: Sequence[Operand], lanes: int) -> bool:
    inner = dims[0]
    # of several inputs one may be broadcast along a pack; a kernel of one input has no code for that
    fitting = (0, 1) if len(operands) > 2 else (1,)
    if lanes == 1 or inner.strides[0] != 1 or any(s not in fitting for s in inner.strides):
        return False
    if len(dims) > 1 and inner.extent % lanes:
        return False
    return all(_aligned(o, [d.strides[k] for d in dims], lanes) for k, o in enumerate(operands))


def elementwise(shape: Sequence[int], operands: Sequence[Operand]) -> list[Launch]:
    """Launches of an element-wise kernel; operand 0 is the output, which overlaps itself nowhere.

    One launch, none for an empty shape, several only for more elements than one launch can count.
    Raises `GeometryError` for more than `MAX_DIMS` dimensions that do not merge.
    """
    if prod(shape) == 0:
        return []
    dims = _dims(shape, operands) or [_Dim(1, (1,) * len(operands))]
    return _elementwise(dims, operands, (0,) * len(operands))


def _elementwise(dims: list[_Dim], operands: Sequence[Operand], offsets: tuple[int, ...]) -> list[Launch]:
    lanes = VECTOR_BYTES // max(o.itemsize for o in operands)
    vector = _vectorises(dims, operands, lanes)
    width = lanes if vector else 1
    inner = dims[0]
    shape = [inner.extent // width, *[d.extent for d in dims[1:]]]
    units = prod(shape)
    tail = inner.extent % width
    if units + tail > MAX_UNITS:
        return _halves(dims, operands, offsets)
    plan = np.zeros((), LAYOUT[len(operands)])
    plan["units"], plan["tail"], plan["ndim"], plan["vector"] = units, tail, len(dims), vector
    plan["shape"][: len(dims)] = shape
    plan["stride"][:, : len(dims)] = np.transpose([d.strides for d in dims])
    plan["stride"][:, 0] *= width
    return [Launch((_ceil(units + tail, BLOCK), 1, 1), (BLOCK, 1, 1), plan[()], offsets)]


def _halves(dims: list[_Dim], operands: Sequence[Operand], offsets: tuple[int, ...]) -> list[Launch]:
    outer = dims[-1]
    half = outer.extent // 2 // VECTOR_BYTES * VECTOR_BYTES or outer.extent // 2
    after = tuple(o + half * s for o, s in zip(offsets, outer.strides, strict=True))
    return [
        *_elementwise([*dims[:-1], _Dim(half, outer.strides)], operands, offsets),
        *_elementwise([*dims[:-1], _Dim(outer.extent - half, outer.strides)], operands, after),
    ]


def lines(shape: Sequence[int], strides: Sequence[Sequence[int]], warps: bool = False, chunks: int = 1) -> list[Launch]:
    """Launches with an entry for each of the lines that ``shape`` counts, by every operand's strides to a line's start.

    An entry is a thread's, or a warp's; ``chunks`` of them share a line.
    """
    made = elementwise(shape, [Operand(VECTOR_BYTES, tuple(s)) for s in strides])  # so wide that nothing is packed
    if not warps:
        return made
    per_block = BLOCK // WARP
    return [
        replace(launch, grid=(_ceil(int(launch.plan["units"]), per_block), chunks, 1), block=(WARP, per_block, 1))
        for launch in made
    ]


def line(length: int, step: int, out_step: int = 0, chunk: int | None = None) -> Any:
    """What a launch over lines is told of each: its elements, and how far apart they are in the input and output."""
    plan = np.zeros((), LINE)
    plan["length"], plan["step"], plan["out_step"], plan["chunk"] = length, step, out_step, chunk or length
    return plan[()]


def flat(count: int, per_thread: int = 4) -> Launch:
    """A launch over ``count`` elements in order, of which each thread takes ``per_thread`` at a time (dropout)."""
    return Launch((min(max(1, _ceil(count, BLOCK * per_thread)), MAX_GRID_X), 1, 1), (BLOCK, 1, 1))


def reduction(shape: Sequence[int], strides: Sequence[int], dims: Sequence[int], operand: Operand) -> Reduction:
    """A fold of ``dims`` of a strided input into contiguous outputs (the kept dimensions in their order).

    ``operand`` gives the input's itemsize and address. A long fold into few outputs is split: the first launch writes
    ``[splits, outputs]`` partial results of the compute type and ``final`` folds those.
    """
    reduced = {d % len(shape) for d in dims} if shape else set()
    kept = _merge([_Dim(shape[i], (strides[i],)) for i in reversed(range(len(shape))) if i not in reduced])
    folded = _merge(sorted((_Dim(shape[i], (strides[i],)) for i in reduced), key=lambda d: abs(d.strides[0])))
    return _reduction(kept, folded, operand)


def _reduction(kept: list[_Dim], folded: list[_Dim], operand: Operand) -> Reduction:
    outputs, length = prod(d.extent for d in kept), prod(d.extent for d in folded)
    if outputs > MAX_UNITS or (len(folded) > 1 and length > MAX_UNITS):
        raise GeometryError(f"a fold of {length} elements into {outputs} outputs exceeds 32-bit indices")
    lanes = VECTOR_BYTES // operand.itemsize
    by_column = bool(kept) and kept[0].strides[0] == 1 and not (folded and folded[0].strides[0] == 1)
    vector = (
        not by_column
        and len(folded) == 1
        and folded[0].strides[0] == 1
        and operand.address % VECTOR_BYTES == 0
        and all(d.strides[0] % lanes == 0 for d in kept)
    )
    threads = min(BLOCK, max(_power_of_two(_ceil(length, 4 * lanes)), lanes))
    per_block, threads = (COLUMNS_PER_BLOCK, LINES_PER_BLOCK) if by_column else (BLOCK // threads, threads)
    blocks = _ceil(outputs, per_block)
    chunk, splits = _split(length, blocks, threads * FOLDS_PER_THREAD * (lanes if vector else 1))
    plan = np.zeros((), REDUCTION)
    plan["outputs"], plan["outputs_per_block"], plan["threads_per_output"] = outputs, per_block, threads
    plan["output_step"], plan["fold_step"] = (1, per_block) if by_column else (threads, 1)
    plan["kept_ndim"], plan["reduced_ndim"], plan["vector"] = len(kept), max(1, len(folded)), vector
    plan["length"], plan["chunk"] = length, chunk
    for name, group in (("kept", kept), ("reduced", folded)):
        plan[f"{name}_shape"][: len(group)] = [d.extent for d in group]
        plan[f"{name}_stride"][: len(group)] = [d.strides[0] for d in group]
    first = Launch((max(1, blocks), splits, 1), (BLOCK, 1, 1), plan[()])
    if splits == 1:
        return Reduction(first)
    partial = Operand(max(4, operand.itemsize), ())
    column = [_Dim(outputs, (1,))] if outputs > 1 else []
    return Reduction(first, splits, _reduction(column, [_Dim(splits, (outputs,))], partial).first)


def _split(length: int, blocks: int, least: int) -> tuple[int, int]:
    """Elements a block folds, and how many blocks share one output. Chunks start on a vector boundary."""
    wanted = min(REDUCTION_BLOCKS // max(1, blocks), _ceil(length, least), MAX_GRID_Y)
    if wanted <= 1:
        return length, 1
    chunk = _ceil(_ceil(length, wanted), VECTOR_BYTES) * VECTOR_BYTES
    return chunk, _ceil(length, chunk)


def rows(count: int, columns: int, stride: int, itemsize: int, addresses: Sequence[int]) -> Launch:
    """A launch over the rows of a matrix: a warp a row where rows are short, else a block a row.

    ``stride`` is the input's; outputs are contiguous. ``addresses`` are of every array that is walked row by row.
    """
    lanes = VECTOR_BYTES // itemsize
    aligned = columns % lanes == 0 and (count <= 1 or stride % lanes == 0)
    plan = np.zeros((), ROWS)
    plan["count"], plan["columns"], plan["stride"] = count, columns, stride
    plan["vector"] = aligned and all(address % VECTOR_BYTES == 0 for address in addresses)
    if columns <= 1024:
        per_block = BLOCK // WARP
        return Launch((min(max(1, _ceil(count, per_block)), MAX_GRID_X), 1, 1), (WARP, per_block, 1), plan[()])
    threads = min(ROW_BLOCK, max(64, _power_of_two(columns // (4 * lanes))))
    return Launch((min(max(1, count), MAX_GRID_X), 1, 1), (threads, 1, 1), plan[()])


def norm_parameters(count: int, columns: int, stride: int) -> tuple[Launch, int]:
    """The launch that sums a norm's weight gradient over rows, and the partial results (lines) it writes."""
    blocks = _ceil(columns, COLUMNS_PER_BLOCK)
    lines = max(1, min(_ceil(count, 4 * LINES_PER_BLOCK), REDUCTION_BLOCKS // max(1, blocks)))
    plan = np.zeros((), ROWS)
    plan["count"], plan["columns"], plan["stride"] = count, columns, stride
    return Launch((blocks, lines, 1), (COLUMNS_PER_BLOCK, LINES_PER_BLOCK, 1), plan[()]), lines


def slots(counts: Sequence[int]) -> tuple[Launch, list[int]]:
    """One launch over tensors of ``counts`` elements, none of them empty, and each tensor's first block."""
    firsts, blocks = [], 0
    for count in counts:
        firsts.append(blocks)
        blocks += _ceil(count, ELEMENTS_PER_BLOCK)
    if blocks > MAX_GRID_X:
        raise GeometryError(f"{blocks} blocks are needed, one launch takes {MAX_GRID_X}")
    return Launch((blocks, 1, 1), (BLOCK, 1, 1)), firsts


def attention(
    lengths: tuple[int, int], widths: tuple[int, int], heads: int, operands: Mapping[str, Operand], scale: float,
    causal: bool, dropout: Dropout,
) -> Any:  # fmt: skip
    """What attention's kernels have to know: numbers of queries and keys, widths of keys and values, heads a batch.

    ``operands`` are four-dimensional: query, key, value and where there are any grad and mask.
    """
    plan = np.zeros((), ATTENTION)
    for name, operand in operands.items():
        plan[name] = operand.strides[:3]
    if "mask" in operands:
        plan["mask_column"] = operands["mask"].strides[3]
    walked = [operand for name, operand in operands.items() if name != "mask"]
    packs = all(width * walked[0].itemsize % VECTOR_BYTES == 0 for width in widths)
    starts = all(at * o.itemsize % VECTOR_BYTES == 0 for o in walked for at in o.strides[:3])
    plan["vector"] = packs and starts and all(o.address % VECTOR_BYTES == 0 for o in walked)
    plan["queries"], plan["keys"] = lengths
    plan["width"], plan["value_width"] = widths
    plan["heads"], plan["scale"], plan["causal"] = heads, scale, causal
    plan["dropout"], plan["threshold"], plan["kept"] = dropout.p > 0, dropout.threshold, dropout.kept
    plan["seed"], plan["draw"] = dropout.numbers
    return plan[()]


def tiles(rows: int, heads: int) -> Launch:
    """A launch over ``rows`` queries (or keys) of each head of a batch: a block takes a tile of them."""
    blocks = _ceil(rows, TILE_ROWS) * heads
    if blocks > MAX_GRID_X:
        raise GeometryError(f"{blocks} blocks are needed, one launch takes {MAX_GRID_X}")
    return Launch((blocks, 1, 1), (TILE_THREADS, 1, 1))


def by_row(count: int) -> Launch:
    """A launch over ``count`` rows whose size no plan tells: a block a row."""
    return Launch((min(max(1, count), MAX_GRID_X), 1, 1), (WARP, BLOCK // WARP, 1))
