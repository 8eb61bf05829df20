"""What losses share: mean, sum or each, and the check of shapes."""

from __future__ import annotations

from wootz._tensor import Tensor

__all__ = ["check_reduction", "check_same_shape", "reduce_loss"]

_REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> str:
    """The name of a reduction, checked; raises ValueError."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction is one of {', '.join(_REDUCTIONS)}, not {reduction!r}")
    return reduction


def check_same_shape(input: Tensor, target: Tensor) -> None:
    """Raises ValueError unless two shapes are equal: a broadcast loss is nearly always a mistake."""
    if input.shape != target.shape:
        raise ValueError(f"input and target differ in shape: {tuple(input.shape)} and {tuple(target.shape)}")


def reduce_loss(loss: Tensor, reduction: str) -> Tensor:
    """The mean, the sum or the loss itself."""
    if check_reduction(reduction) == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()
