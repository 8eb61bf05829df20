"""Rows and classes by index."""

from __future__ import annotations

import numpy as np

import wootz
from wootz._tensor import Tensor
from wootz.errors import DTypeError
from wootz.ops.database import op

__all__ = ["embedding", "embedding_bag", "one_hot"]


@op("I(5, 2, 3), N(5, 2)", "I(5, 3), N(5, 2), 1")
def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of ``weight`` by index; those of ``padding_idx`` get no gradient."""
    rows = wootz.embedding(weight, input)
    if padding_idx is None:
        return rows
    padding = (input == padding_idx % weight.shape[0]).unsqueeze(-1)
    return wootz.where(padding, rows.detach(), rows)


@op("I(3, 2, 2), 4", differentiable=False)
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at each class index of an int tensor [*], in a new last dimension of ``num_classes`` (-1: as needed)."""
    if tensor.dtype.is_floating_point:
        raise DTypeError(f"one_hot expects class indices of an integer dtype, got {tensor.dtype}")
    if tensor.numel():
        low, high = int(tensor.min().item()), int(tensor.max().item())
        if low < 0 or 0 <= num_classes <= high:
            raise ValueError(f"class values lie in [0, {max(num_classes, 1)}), found {low if low < 0 else high}")
        num_classes = high + 1 if num_classes == -1 else num_classes
    if num_classes <= 0:
        raise ValueError(f"num_classes must be given and positive for an empty tensor, got {num_classes}")
    classes = wootz.arange(num_classes, dtype=tensor.dtype, device=tensor.device)
    return (tensor.unsqueeze(-1) == classes).to(wootz.int64)


@op("I(5, 2, 3), N(5, 2), mode='sum'", "I(5, 6), N(5, 2), wootz.tensor([0, 2, 2])", "I(5, 2, 3), N(5, 2), mode='max'")
def embedding_bag(
    input: Tensor, weight: Tensor, offsets: Tensor | None = None, mode: str = "mean",
    per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """The sum, mean or max of each bag's rows of ``weight``.

    Bags are the rows of ``input`` [N, L], or the stretches of a vector that begin at ``offsets`` [N]. Rows
    ``padding_idx`` do not count; an empty bag gives zeros. ``per_sample_weights`` multiply the rows of a sum; with
    ``include_last_offset`` the last offset is the end.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"mode is 'sum', 'mean' or 'max', not {mode!r}")
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights.shape != input.shape):
        raise ValueError("per_sample_weights have the input's shape, and are for mode 'sum'")
    place, counts = _bags(input, offsets, include_last_offset)
    flat = input.reshape((-1,))
    rows = flat[place] if flat.numel() else place
    if padding_idx is not None:
        counts = counts & (rows != padding_idx % weight.shape[0])
    found = wootz.embedding(weight, wootz.where(counts, rows, 0))
    if per_sample_weights is not None and flat.numel():
        found = found * per_sample_weights.reshape((-1,))[place].unsqueeze(-1)
    held = counts.unsqueeze(-1)
    if mode == "max":
        largest = wootz.where(held, found, float("-inf")).amax(1)
        return wootz.where(counts.any(1, True), largest, 0.0)
    total = wootz.where(held, found, 0.0).sum(1)
    return total if mode == "sum" else total / counts.to(total.dtype).sum(1, True).clamp(min=1)


def _bags(input: Tensor, offsets: Tensor | None, include_last: bool) -> tuple[Tensor, Tensor]:
    """Where in the flattened input each bag's elements are, [N, longest], and which of those places count."""
    if (input.dim() == 2) == (offsets is not None) or input.dim() not in (1, 2):
        raise ValueError("bags are rows of [N, L], or a vector and the offsets at which they begin")
    if offsets is None:
        place = np.arange(input.numel()).reshape(input.shape)
        return wootz.from_numpy(place), wootz.from_numpy(np.ones(place.shape, bool))
    starts = offsets.numpy()
    ends = starts[1:] if include_last else np.append(starts[1:], input.numel())
    starts = starts[: len(ends)]
    if len(starts) and (starts[0] != 0 or (starts > ends).any() or ends[-1] > input.numel()):
        raise ValueError(f"offsets begin with 0 and rise to at most {input.numel()}")
    steps = np.arange(max((ends - starts).max(initial=0), 1))
    counts = steps[None] < (ends - starts)[:, None]
    return wootz.from_numpy(np.where(counts, starts[:, None] + steps, 0)), wootz.from_numpy(counts)
