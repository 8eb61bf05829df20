"""Connectionist temporal classification: a sequence's labels without their times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import wootz
from wootz._tensor import Tensor
from wootz.nn.functional.reduction import check_reduction
from wootz.ops.database import op

__all__ = ["ctc_loss"]

_NEVER = -1e30  # the logarithm of no chance: finite, so that derivatives stay so


@op("N(5, 2, 4).log_softmax(-1), wootz.tensor([[1, 2], [3, 3]]), [5, 4], [2, 1]", autocast="wide")
def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Tensor | Sequence[int], target_lengths: Tensor | Sequence[int],
    blank: int = 0, reduction: str = "mean", zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """Minus the logarithm of the probability of all alignments of the labels with the steps (Graves et al. 2006).

    ``log_probs`` [T, N, C] or [T, C], from log_softmax; ``targets`` [N, S], or all of them in one row; the lengths say
    what of each counts. A mean divides each by its labels first. Labels that do not fit into the steps give infinity,
    or with ``zero_infinity`` 0. Raises ValueError for lengths and labels out of range.
    """
    check_reduction(reduction)
    single = log_probs.dim() == 2
    steps = log_probs.unsqueeze(1) if single else log_probs
    lengths, sizes = (_integers(x, steps.shape[1]) for x in (input_lengths, target_lengths))
    labels = _padded(targets, sizes, steps.shape[1])
    _check(steps, lengths, labels, sizes, blank)
    loss = _forward(steps, lengths, labels, sizes, blank)
    loss = wootz.where(loss > -_NEVER / 2, 0.0 if zero_infinity else float("inf"), loss)
    if reduction == "none":
        return loss.squeeze(0) if single else loss
    if reduction == "sum":
        return loss.sum()
    return (loss / wootz.from_numpy(np.maximum(sizes, 1)).to(loss)).mean()


def _integers(value: Tensor | Sequence[int], count: int) -> np.ndarray:
    array = np.atleast_1d(value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)).astype(np.int64)
    if array.shape != (count,):
        raise ValueError(f"{array.shape} lengths for a batch of {count}")
    return array


def _padded(targets: Tensor, sizes: np.ndarray, count: int) -> np.ndarray:
    """Labels [N, S]."""
    array = targets.cpu().numpy()
    if array.ndim == 2:
        return array
    if array.size != sizes.sum() and count != 1:
        raise ValueError(f"target_lengths sum to {sizes.sum()}, there are {array.size} labels")
    rows = np.zeros((count, max(int(sizes.max(initial=0)), array.size if count == 1 else 0)), np.int64)
    if count == 1:
        rows[0, : array.size] = array
    else:
        for row, part in zip(rows, np.split(array, np.cumsum(sizes)[:-1]), strict=True):
            row[: len(part)] = part
    return rows


def _check(steps: Tensor, lengths: np.ndarray, labels: np.ndarray, sizes: np.ndarray, blank: int) -> None:
    count, classes = steps.shape[0], steps.shape[2]
    if not 0 <= blank < classes:
        raise ValueError(f"blank {blank} is none of {classes} classes")
    if lengths.min(initial=0) < 0 or lengths.max(initial=0) > count:
        raise ValueError(f"input_lengths are in [0, {count}], not {lengths.tolist()}")
    if labels.shape[0] != steps.shape[1] or sizes.min(initial=0) < 0 or sizes.max(initial=0) > labels.shape[1]:
        raise ValueError(f"target_lengths are in [0, {labels.shape[1]}], not {sizes.tolist()}")
    if labels.size and not ((labels >= 0) & (labels < classes)).all():
        raise ValueError(f"labels are in [0, {classes}), not {labels.tolist()!r:.200}")


def _forward(steps: Tensor, lengths: np.ndarray, labels: np.ndarray, sizes: np.ndarray, blank: int) -> Tensor:
    """The forward recursion over states: a blank before, between and behind the labels."""
    count, size = labels.shape
    states = np.full((count, 2 * size + 1), blank)
    states[:, 1::2] = labels
    # A blank may be left out between two different labels.
    leap = np.zeros(states.shape, bool)
    leap[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    # A path ends in the last label or in the blank behind it; without labels there is the blank alone.
    ends = np.stack([2 * sizes, np.maximum(2 * sizes - 1, 0)], 1)
    alone = np.array([[False, True]]) & (sizes == 0)[:, None]
    device = steps.device
    index, leaps, last, silent = (wootz.from_numpy(array).to(device) for array in (states, leap, ends, alone))
    never = wootz.full((count, 2), _NEVER, dtype=steps.dtype, device=device)
    alpha = wootz.full((count, 2 * size + 1), _NEVER, dtype=steps.dtype, device=device)
    alpha = wootz.where(wootz.arange(2 * size + 1, device=device) == 0, 0.0, alpha)
    for t in range(int(lengths.max(initial=0))):
        padded = wootz.cat([never, alpha], 1)
        ways = [alpha, padded[:, 1:-1], wootz.where(leaps, padded[:, :-2], _NEVER)]
        # Before the first step there is one state, from which the first two can be reached.
        new = wootz.stack(ways).logsumexp(0) + steps[t].gather(1, index)
        alpha = wootz.where(wootz.from_numpy((t < lengths)[:, None]).to(device), new, alpha)
    return -wootz.where(silent, _NEVER, alpha.gather(1, last)).logsumexp(1)
