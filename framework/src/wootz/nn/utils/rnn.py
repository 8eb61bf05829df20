"""Sequences of different lengths in one batch: padded, or packed step by step without the padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError

__all__ = [
    "PackedSequence", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence", "unpack_sequence",
    "unpad_sequence",
]  # fmt: skip


class PackedSequence(NamedTuple):
    """The first steps of all sequences, then all second ones, and so on, with the longest sequence first.

    ``batch_sizes[t]`` sequences have a step t. ``sorted_indices`` puts a batch into this order, ``unsorted_indices``
    back; both are None where it was in order.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With ``data`` in another dtype or on another device."""
        return self._replace(data=self.data.to(*args, **kwargs))


def _lengths(lengths: Tensor | Sequence[int]) -> np.ndarray:
    return (lengths.numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)).astype(np.int64)


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Tensors [length, *] as one of [longest, batch, *], filled up on one side."""
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side is 'left' or 'right', not {padding_side!r}")
    longest = max(len(sequence) for sequence in sequences)
    rows = []
    for sequence in sequences:
        fill = wootz.full((longest - len(sequence), *sequence.shape[1:]), padding_value, dtype=sequence.dtype)
        rows.append(wootz.cat([sequence, fill] if padding_side == "right" else [fill, sequence]))
    return wootz.stack(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False
) -> list[Tensor]:
    """The first steps of each sequence, as many as its length says."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(length)] for row, length in zip(rows, _lengths(lengths), strict=True)]


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs [longest, batch, *]. With ``enforce_sorted`` the longest has to come first, else they are sorted here.

    Raises ValueError for lengths that are not in [1, longest], are not sorted, or are not one for each sequence.
    """
    steps = input.transpose(0, 1) if batch_first else input
    sizes = _lengths(lengths)
    if sizes.shape != (steps.shape[1],) or sizes.min() < 1 or sizes.max() > steps.shape[0]:
        raise ValueError(f"{steps.shape[1]} lengths in [1, {steps.shape[0]}] are needed, not {sizes.tolist()}")
    order = back = None
    if enforce_sorted and (np.diff(sizes) > 0).any():
        raise ValueError(f"lengths fall, the longest first, or pass enforce_sorted=False; not {sizes.tolist()}")
    if not enforce_sorted:
        by_length = np.argsort(-sizes, kind="stable")
        order, back = wootz.from_numpy(by_length), wootz.from_numpy(np.argsort(by_length))
        sizes, steps = sizes[by_length], steps.index_select(1, order)
    batch_sizes = (sizes[None] > np.arange(sizes.max())[:, None]).sum(1)
    data = wootz.cat([steps[t, : int(n)] for t, n in enumerate(batch_sizes)])
    return PackedSequence(data, wootz.from_numpy(batch_sizes), order, back)


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs tensors [length, *]."""
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded tensor and the lengths, in the order before packing; ``total_length`` pads further."""
    batch_sizes = [int(n) for n in sequence.batch_sizes.tolist()]
    longest = len(batch_sizes) if total_length is None else total_length
    if longest < len(batch_sizes):
        raise ShapeError(f"total_length is at least the longest sequence, {len(batch_sizes)}, not {total_length}")
    rows = []
    for part in sequence.data.split(batch_sizes):
        shape = (batch_sizes[0] - len(part), *part.shape[1:])
        rows.append(wootz.cat([part, wootz.full(shape, padding_value, dtype=part.dtype)]))
    rows += [wootz.full_like(rows[0].detach(), padding_value)] * (longest - len(rows))
    padded = wootz.stack(rows)
    lengths = wootz.from_numpy((np.array(batch_sizes)[None] > np.arange(batch_sizes[0])[:, None]).sum(1))
    if sequence.unsorted_indices is not None:
        padded, lengths = padded.index_select(1, sequence.unsorted_indices), lengths[sequence.unsorted_indices]
    return (padded.transpose(0, 1) if batch_first else padded), lengths


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that `pack_sequence` packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
