"""Losses as modules; the functions are in `wootz.nn.functional`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, ClassVar

from wootz._tensor import Tensor
from wootz.nn import functional as F
from wootz.nn.functional.reduction import check_reduction
from wootz.nn.layers import Linear
from wootz.nn.module import Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "GaussianNLLLoss",
    "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "LinearCrossEntropyLoss", "MSELoss",
    "MarginRankingLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "NLLLoss2d",
    "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss",
]  # fmt: skip


class _Loss(Module):
    """A function of the input and the target, and of the attributes that `options` names."""

    function: ClassVar[Callable[..., Tensor]]
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction if reduction == "batchmean" else check_reduction(reduction)

    def forward(self, *inputs: Any) -> Tensor:
        options = {name: getattr(self, name) for name in self.options}
        return type(self).function(*inputs, **options, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class _WeightedLoss(_Loss):
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy of logits [N, C, *] against class indices [N, *] or probabilities; ``weight`` [C] is by class."""

    function = staticmethod(F.cross_entropy)
    options = ("weight", "ignore_index", "label_smoothing")

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(weight, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing


class NLLLoss(_WeightedLoss):
    """Minus the log-probabilities [N, C, *] of class indices [N, *]; ``weight`` [C] weighs the classes."""

    function = staticmethod(F.nll_loss)
    options = ("weight", "ignore_index")

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index


class NLLLoss2d(NLLLoss):
    """`NLLLoss` by the name that it has in older programs."""


class LinearCrossEntropyLoss(_WeightedLoss):
    """`CrossEntropyLoss` of a `Linear` of the input: [N, in_features] to logits [N, num_classes, *out_features]."""

    def __init__(
        self, in_features: int, num_classes: int, *, out_features: Sequence[int] = (), bias: bool = False,
        device: Any = None, dtype: Any = None, weight: Tensor | None = None, ignore_index: int | None = None,
        reduction: str = "mean", label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(weight, reduction)
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self.linear = Linear(in_features, num_classes * prod(self.out_features), bias, device, dtype)

    def forward(self, *inputs: Any) -> Tensor:
        input, target = inputs
        size = (self.num_classes, *self.out_features)
        return F.linear_cross_entropy(
            input, self.linear.weight.reshape((*size, -1)), target,
            linear_bias=None if self.linear.bias is None else self.linear.bias.reshape(size), weight=self.weight,
            reduction=self.reduction, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing,
        )  # fmt: skip


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities; ``weight`` weighs elements."""

    function = staticmethod(F.binary_cross_entropy)
    options = ("weight",)


class BCEWithLogitsLoss(_WeightedLoss):
    """Binary cross-entropy of logits; ``weight`` weighs elements, ``pos_weight`` those of the target 1."""

    function = staticmethod(F.binary_cross_entropy_with_logits)
    options = ("weight", "pos_weight")
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)


class MSELoss(_Loss):
    """(input - target)^2."""

    function = staticmethod(F.mse_loss)


class L1Loss(_Loss):
    """|input - target|."""

    function = staticmethod(F.l1_loss)


class SmoothL1Loss(_Loss):
    """|input - target|, a parabola within ``beta`` of 0."""

    function = staticmethod(F.smooth_l1_loss)
    options = ("beta",)

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta


class HuberLoss(_Loss):
    """(input - target)^2 / 2, going on as lines of slope ``delta`` beyond ``delta``."""

    function = staticmethod(F.huber_loss)
    options = ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence of log-probabilities from a target; ``reduction`` "batchmean" is its mean."""

    function = staticmethod(F.kl_div)
    options = ("log_target",)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target


class PoissonNLLLoss(_Loss):
    """The negative log-likelihood of counts under rates, or their logarithms."""

    function = staticmethod(F.poisson_nll_loss)
    options = ("log_input", "full", "eps")

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps


class GaussianNLLLoss(_Loss):
    """The negative log-likelihood of targets under normal distributions: ``forward(input, target, var)``."""

    function = staticmethod(F.gaussian_nll_loss)
    options = ("full", "eps")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps


class HingeEmbeddingLoss(_Loss):
    """Distances of pairs that belong together (1), and those that do not (-1) as far as they are below ``margin``."""

    function = staticmethod(F.hinge_embedding_loss)
    options = ("margin",)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin


class _ZeroMargin(_Loss):
    options = ("margin",)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin


class MarginRankingLoss(_ZeroMargin):
    """How far input1 is from being over input2 by ``margin`` (target 1), or below (-1)."""

    function = staticmethod(F.margin_ranking_loss)


class CosineEmbeddingLoss(_ZeroMargin):
    """1 - cosine for pairs that belong together (1), the cosine over ``margin`` for others (-1)."""

    function = staticmethod(F.cosine_embedding_loss)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target x)), for targets 1 and -1."""

    function = staticmethod(F.soft_margin_loss)


class MultiMarginLoss(_WeightedLoss):
    """How far the label's score is from being over each other one by ``margin``, to the power p."""

    function = staticmethod(F.multi_margin_loss)
    options = ("p", "margin", "weight")

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.p, self.margin = p, margin


class MultiLabelMarginLoss(_Loss):
    """How far every label's score is from being over each other one by 1; labels end with -1."""

    function = staticmethod(F.multilabel_margin_loss)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean over classes of each one's binary cross-entropy."""

    function = staticmethod(F.multilabel_soft_margin_loss)
    options = ("weight",)


class TripletMarginLoss(_Loss):
    """How far an anchor is from being nearer to the positive than to the negative by ``margin``."""

    function = staticmethod(F.triplet_margin_loss)
    options = ("margin", "p", "eps", "swap")

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with any distance."""

    function = staticmethod(F.triplet_margin_with_distance_loss)
    options = ("distance_function", "margin", "swap")

    def __init__(
        self, *, distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
        swap: bool = False, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(reduction)
        self.distance_function, self.margin, self.swap = distance_function, margin, swap


class CTCLoss(_Loss):
    """A sequence's labels without their times: ``forward(log_probs, targets, input_lengths, target_lengths)``."""

    function = staticmethod(F.ctc_loss)
    options = ("blank", "zero_infinity")

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Tensor | Sequence[int],
        target_lengths: Tensor | Sequence[int],
    ) -> Tensor:  # fmt: skip
        return super().forward(log_probs, targets, input_lengths, target_lengths)
