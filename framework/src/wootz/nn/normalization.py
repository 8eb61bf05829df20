"""Normalisation as modules, with PyTorch's parameter and buffer names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn import functional as F
from wootz.nn import init
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "CrossMapLRN2d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d",
    "InstanceNorm3d", "LayerNorm", "LocalResponseNorm", "RMSNorm", "SyncBatchNorm",
]  # fmt: skip


class _Affine(Module):
    """Something with a weight that starts at one and a bias that starts at zero, or without."""

    weight: Parameter | None
    bias: Parameter | None

    def _affine(self, shape: Sequence[int], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        for name, present in (("weight", weight), ("bias", bias)):
            start = Parameter(wootz.empty(shape, device=device, dtype=dtype)) if present else None
            self.register_parameter(name, start)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the first values again."""
        if self.weight is not None:
            init.ones_(self.weight)
        bias = self._parameters.get("bias")  # RMSNorm has none, not even None
        if bias is not None:
            init.zeros_(bias)


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class LayerNorm(_Affine):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions (Ba et al. 2016)."""

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape, self.eps, self.elementwise_affine = _shape(normalized_shape), eps, elementwise_affine
        self._affine(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class RMSNorm(_Affine):
    """x / sqrt(mean(x^2) + eps) * weight over the last dimensions (Zhang & Sennrich 2019).

    ``eps`` None is the input type's machine epsilon.
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape, self.eps, self.elementwise_affine = _shape(normalized_shape), eps, elementwise_affine
        weight = wootz.empty(self.normalized_shape, device=device, dtype=dtype)
        self.register_parameter("weight", Parameter(weight) if elementwise_affine else None)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Affine):
    """Normalises ``num_groups`` groups of the channels of [N, C, ...], each image by itself (Wu & He 2018)."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
        dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if num_groups <= 0 or num_channels % num_groups:
            raise ValueError(f"num_channels {num_channels} must be divisible by num_groups {num_groups}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._affine((num_channels,), affine, affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, {affine}"


class _Running(_Affine):
    """Channels with running statistics."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    dims: tuple[int, ...]  # how many dimensions an input may have

    def _running(self, num_features: int, eps: float, momentum: float | None, affine: bool, track: bool, device: Any,
                 dtype: Any, bias: bool) -> None:  # fmt: skip
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.track_running_stats = track
        ones, zeros = (f((num_features,), device=device, dtype=dtype) for f in (wootz.ones, wootz.zeros))
        count = wootz.tensor(0, dtype=wootz.int64, device=device)
        for name, start in (("running_mean", zeros), ("running_var", ones), ("num_batches_tracked", count)):
            self.register_buffer(name, start if track else None)
        self._affine((num_features,), affine, affine and bias, device, dtype)

    def reset_running_stats(self) -> None:
        """Forgets all batches."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Sets the first values again and forgets all batches."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check(self, input: Tensor, channel: int) -> None:
        if input.dim() not in self.dims:
            wanted = " or ".join(f"{d}D" for d in self.dims)
            raise ShapeError(f"expected {wanted} input (got {input.dim()}D input)")
        if input.shape[channel] != self.num_features:
            raise ShapeError(f"expected {self.num_features} channels, got an input of shape {tuple(input.shape)}")

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")  # fmt: skip


class _BatchNorm(_Running):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: Any = None, dtype: Any = None, *,
        bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self._running(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def _weight_of_batch(self) -> float:
        """How far the running statistics move to this batch's; counts it."""
        if self.num_batches_tracked is None or not self.training:
            return self.momentum if self.momentum is not None else 0.0
        self.num_batches_tracked.add_(1)
        return 1 / int(self.num_batches_tracked.item()) if self.momentum is None else self.momentum

    def forward(self, input: Tensor) -> Tensor:
        self._check(input, 1)
        factor = self._weight_of_batch()
        by_batch = self.training or self.running_mean is None
        mean, var = (self.running_mean, self.running_var) if not by_batch or self.training else (None, None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, factor, self.eps)


class BatchNorm1d(_BatchNorm):
    """Normalises each channel of [N, C] or [N, C, L] over the batch (Ioffe & Szegedy 2015).

    In evaluation by running statistics, which move by ``momentum`` a batch (None: a plain average of all batches).
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for [N, C, H, W]."""

    dims = (4,)


class BatchNorm3d(_BatchNorm):
    """`BatchNorm1d` for [N, C, D, H, W]."""

    dims = (5,)


class SyncBatchNorm(_BatchNorm):
    """`BatchNorm1d` for inputs of any number of dimensions: of one process, whose batch is all there is."""

    dims = (2, 3, 4, 5)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with every batch norm in it made a `SyncBatchNorm` with the same parameters and statistics.

        Raises ValueError for a ``process_group``: there is one process.
        """
        if process_group is not None:
            raise ValueError("a process group needs several processes, which are not here: leave it out")
        if isinstance(module, _BatchNorm) and not isinstance(module, cls):
            made = cls(module.num_features, module.eps, module.momentum, False, False)
            made.__dict__.update({**module.__dict__, "dims": cls.dims})
            return made
        for name, child in list(module.named_children()):
            module.register_module(name, cls.convert_sync_batchnorm(child))
        return module


class _InstanceNorm(_Running):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: Any = None, dtype: Any = None, *,
        bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self._running(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        single = input.dim() == self.dims[0]
        self._check(input, 0 if single else 1)
        out = F.instance_norm(
            input.unsqueeze(0) if single else input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, self.momentum or 0.0, self.eps,
        )  # fmt: skip
        return out.squeeze(0) if single else out


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each [N, C, L] (or [C, L]) by itself (Ulyanov et al. 2016)."""

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for [N, C, H, W] (or [C, H, W])."""

    dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """`InstanceNorm1d` for [N, C, D, H, W] (or [C, D, H, W])."""

    dims = (4, 5)


class LocalResponseNorm(Module):
    """Divides by a power of the mean square over neighbouring channels (Krizhevsky et al. 2012)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """`LocalResponseNorm` of images, by the name that it has in older models.

    PyTorch's counts the first channel in all later windows.
    """
