"""Softmax over very many classes, of which few are frequent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.containers import ModuleList, Sequential
from wootz.nn.layers import Linear
from wootz.nn.module import Module

__all__ = ["ASMoutput", "AdaptiveLogSoftmaxWithLoss"]


class ASMoutput(NamedTuple):
    """The log-probability of each target, and the loss: minus their mean."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of ``n_classes`` classes that are sorted by frequency, the most frequent first (Grave 2017).

    The ``head`` has those below ``cutoffs[0]`` and one number for each cluster between two cutoffs; a cluster has its
    own layers in ``tail``, of ``in_features / div_value^i`` features in between. Only the clusters that targets fall
    into are computed.
    """

    def __init__(
        self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0,
        head_bias: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        given = [int(c) for c in cutoffs]
        if not given or given != sorted({*given}) or given[0] < 1 or given[-1] >= n_classes or given != list(cutoffs):
            raise ValueError(f"cutoffs are different integers from 1 to {n_classes - 1} that rise, not {cutoffs!r}")
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*given, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = given[0], len(given)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            inner, outer = int(in_features // div_value ** (i + 1)), self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(Linear(in_features, inner, False, device, dtype), Linear(inner, outer, False, device, dtype))
            )

    def reset_parameters(self) -> None:
        """Draws new first values."""
        for layer in self.modules():
            if isinstance(layer, Linear):
                layer.reset_parameters()

    def _checked(self, input: Tensor, target: Tensor) -> None:
        if input.dim() != target.dim() + 1 or input.dim() > 2 or input.shape[:-1] != target.shape:
            raise ShapeError(f"inputs [N, {self.in_features}] and targets [N] are needed, or one of each; got "
                             f"{tuple(input.shape)} and {tuple(target.shape)}")  # fmt: skip
        if target.numel() and not 0 <= int(target.min().item()) <= int(target.max().item()) < self.n_classes:
            raise ValueError(f"targets lie in [0, {self.n_classes}), found {target.min().item()} to "
                             f"{target.max().item()}")  # fmt: skip

    def forward(self, input: Tensor, target: Tensor) -> ASMoutput:
        self._checked(input, target)
        rows, labels = (input, target) if target.dim() else (input.unsqueeze(0), target.unsqueeze(0))
        head = self.head(rows).log_softmax(1)
        # The number in the head of each label, or of its cluster.
        column = wootz.where(labels < self.shortlist_size, labels, 0)
        parts = []
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            inside = (labels >= low) & (labels < high)
            column = wootz.where(inside, self.shortlist_size + i, column)
            where = inside.nonzero().squeeze(1)
            if where.numel():
                scores = self.tail[i](rows.index_select(0, where)).log_softmax(1)
                own = (labels.index_select(0, where) - low).unsqueeze(1)
                parts.append((where, scores.gather(1, own).squeeze(1)))
        output = head.gather(1, column.unsqueeze(1)).squeeze(1)
        for where, more in parts:
            output = output.index_add(0, where, more.to(output.dtype))
        output = output if target.dim() else output.squeeze(0)
        return ASMoutput(output, -output.mean())

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, [N, n_classes]."""
        head = self.head(input).log_softmax(1)
        tails = [
            part(input).log_softmax(1) + head[:, self.shortlist_size + i].unsqueeze(1)
            for i, part in enumerate(self.tail)
        ]
        return wootz.cat([head[:, : self.shortlist_size], *tails], 1)

    def predict(self, input: Tensor) -> Tensor:
        """The likeliest class of each row, without the clusters where none of them can have it."""
        head = self.head(input)
        best = cast(Tensor, head.argmax(1))
        rest = (best >= self.shortlist_size).nonzero().squeeze(1)
        if not rest.numel():
            return best
        best = best.clone()
        best[rest] = self.log_prob(input.index_select(0, rest)).argmax(1)
        return best
