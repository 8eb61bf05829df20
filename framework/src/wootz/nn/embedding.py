"""Tables of rows by index, one by one or in bags."""

from __future__ import annotations

from typing import Any, TypeVar

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn import functional as F
from wootz.nn import init
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]

T = TypeVar("T", bound="_Table")


class _Table(Module):
    """Rows that start standard normal, save that of ``padding_idx``, which starts at zero and gets no gradient."""

    weight: Parameter

    def _set(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, max_norm: float | None,
        norm_type: float, scale_grad_by_freq: bool, sparse: bool, weight: Tensor | None, freeze: bool, device: Any,
        dtype: Any,
    ) -> None:  # fmt: skip
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx {padding_idx} is out of range for {num_embeddings} rows")
        if sparse:
            raise ValueError("sparse gradients need sparse tensors, which are not here: leave sparse=False")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        size = (num_embeddings, embedding_dim)
        if weight is None:
            self.weight = Parameter(wootz.empty(size, device=device, dtype=dtype), not freeze)
            self.reset_parameters()
        elif tuple(weight.shape) == size:
            self.weight = Parameter(weight, not freeze)
        else:
            raise ShapeError(f"a weight of shape {size} is needed, not {tuple(weight.shape)}")

    @classmethod
    def from_pretrained(cls: type[T], embeddings: Tensor, freeze: bool = True, **options: Any) -> T:
        """A layer with these rows, which are not trained unless ``freeze`` is False; options as for the class."""
        if embeddings.dim() != 2:
            raise ShapeError(f"embeddings are rows [number, size], not {tuple(embeddings.shape)}")
        made = cls(*embeddings.shape, **{"_weight": embeddings, **options})
        made.weight.requires_grad_(not freeze)
        return made

    def reset_parameters(self) -> None:
        """Draws new first values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.detach()[self.padding_idx].zero_()

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        for name, default in (
            ("padding_idx", None),
            ("max_norm", None),
            ("norm_type", 2.0),
            ("scale_grad_by_freq", False),
        ):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text


class Embedding(_Table):
    """Rows of a table by index: [*] of ints to [*, embedding_dim]. Rows start standard normal.

    The row ``padding_idx`` starts at zero and gets no gradient; ``max_norm`` and the others are those of
    `functional.embedding`.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False, _weight: Tensor | None = None,
        _freeze: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._set(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
            _freeze, device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )


class EmbeddingBag(_Table):
    """The sum, mean or max of bags of rows of a table: `functional.embedding_bag`. Rows start standard normal."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Tensor | None = None,
        include_last_offset: bool = False, padding_idx: int | None = None, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.mode, self.include_last_offset = mode, include_last_offset
        self._set(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
            False, device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mode={self.mode!r}"
