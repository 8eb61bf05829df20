"""Rows and classes by index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.autograd import Function, no_grad
from wootz.errors import DTypeError
from wootz.ops.database import op

__all__ = ["embedding", "embedding_bag", "one_hot"]


class _Weighted(Function):
    """Hands rows through, and their gradients times a factor."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return rows

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.saved_tensors[0], None


@dataclass(frozen=True)
class _Table:
    """Rows of a weight as the options of `embedding` and `embedding_bag` want them; ``indices`` are all in use."""

    weight: Tensor
    indices: Tensor
    by_frequency: bool

    def rows(self, at: Tensor) -> Tensor:
        found = wootz.embedding(self.weight, at)
        if not self.by_frequency:
            return found
        counts = wootz.bincount(self.indices.reshape((-1,)), minlength=self.weight.shape[0])
        factor = 1 / counts[at].clamp(min=1).to(found.dtype)
        return cast(Tensor, _Weighted.apply(found, factor.unsqueeze(-1)))


def _table(
    weight: Tensor, indices: Tensor, max_norm: float | None, norm_type: float, by_frequency: bool, sparse: bool
) -> _Table:
    if sparse:
        raise ValueError("sparse gradients need sparse tensors, which are not here: leave sparse=False")
    if max_norm is not None and indices.numel():
        _shorten(weight.detach(), indices, max_norm, norm_type)
    return _Table(weight, indices, by_frequency)


def _shorten(weight: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> None:
    """Brings the rows in use to a norm of at most ``max_norm``, in place."""
    with no_grad():
        used = wootz.unique(indices)
        rows = weight[used]
        size = wootz.norm(rows, norm_type, -1, True)
        if (size > max_norm).any().item():
            weight[used] = wootz.where(size > max_norm, rows * (max_norm / (size + 1e-7)), rows)


@op("I(5, 2, 3), N(5, 2)", "I(5, 3), N(5, 2), 1")
def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of ``weight`` by index; those of ``padding_idx`` get no gradient.

    ``max_norm`` first shortens the rows in use, in place, to that ``norm_type``-norm; ``scale_grad_by_freq`` divides a
    row's gradient by how often it is used. Raises ValueError for ``sparse``: there are no sparse tensors.
    """
    rows = _table(weight, input, max_norm, norm_type, scale_grad_by_freq, sparse).rows(input)
    if padding_idx is None:
        return rows
    padding = (input == padding_idx % weight.shape[0]).unsqueeze(-1)
    return wootz.where(padding, rows.detach(), rows)


@op("I(3, 2, 2), 4", differentiable=False)
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at each class index of an int tensor [*], in a new last dimension of ``num_classes`` (-1: as needed)."""
    if tensor.dtype.is_floating_point:
        raise DTypeError(f"one_hot expects class indices of an integer dtype, got {tensor.dtype}")
    if num_classes == -1 and tensor.numel():
        num_classes = int(tensor.max().item()) + 1
    return _core.one_hot(tensor, num_classes)


@op("I(5, 2, 3), N(5, 2), mode='sum'", "I(5, 6), N(5, 2), wootz.tensor([0, 2, 2])", "I(5, 2, 3), N(5, 2), mode='max'")
def embedding_bag(
    input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
    per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """The sum, mean or max of each bag's rows of ``weight``.

    Bags are the rows of ``input`` [N, L], or the stretches of a vector that begin at ``offsets`` [N]. Rows
    ``padding_idx`` do not count; an empty bag gives zeros. ``per_sample_weights`` multiply the rows of a sum; with
    ``include_last_offset`` the last offset is the end. The other options are those of `embedding`.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"mode is 'sum', 'mean' or 'max', not {mode!r}")
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights.shape != input.shape):
        raise ValueError("per_sample_weights have the input's shape, and are for mode 'sum'")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("scale_grad_by_freq is for modes 'sum' and 'mean'")
    place, counts = _bags(input, offsets, include_last_offset)
    flat = input.reshape((-1,))
    rows = flat[place] if flat.numel() else place
    if padding_idx is not None:
        counts = counts & (rows != padding_idx % weight.shape[0])
    table = _table(weight, flat, max_norm, norm_type, scale_grad_by_freq, sparse)
    found = table.rows(wootz.where(counts, rows, 0))
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
        return wootz.from_numpy(place).to(input.device), wootz.ones(place.shape, dtype=wootz.bool, device=input.device)
    starts = offsets.cpu().numpy()
    ends = starts[1:] if include_last else np.append(starts[1:], input.numel())
    starts = starts[: len(ends)]
    if len(starts) and (starts[0] != 0 or (starts > ends).any() or ends[-1] > input.numel()):
        raise ValueError(f"offsets begin with 0 and rise to at most {input.numel()}")
    steps = np.arange(max((ends - starts).max(initial=0), 1))
    counts = steps[None] < (ends - starts)[:, None]
    place = np.where(counts, starts[:, None] + steps, 0)
    return wootz.from_numpy(place).to(input.device), wootz.from_numpy(counts).to(input.device)
