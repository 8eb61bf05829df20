"""Pooling as modules; the functions are in `wootz.nn.functional`."""

from __future__ import annotations

from collections.abc import Sequence

from wootz._tensor import Tensor
from wootz.nn import functional as F
from wootz.nn.functional.fractional import Ratio
from wootz.nn.functional.pooling import Maxima, Sizes
from wootz.nn.functional.sizes import Ints
from wootz.nn.module import Module

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "FractionalMaxPool2d", "FractionalMaxPool3d",
    "LPPool1d", "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d",
    "MaxUnpool3d",
]  # fmt: skip


class _MaxPool(Module):
    n: int

    def __init__(
        self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Maxima:
        function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.n - 1]
        return function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode={self.ceil_mode}")  # fmt: skip


class MaxPool1d(_MaxPool):
    """The largest of each window of [N, C, L] (or [C, L])."""

    n = 1


class MaxPool2d(_MaxPool):
    """The largest of each window of [N, C, H, W] (or [C, H, W])."""

    n = 2


class MaxPool3d(_MaxPool):
    """The largest of each window of [N, C, D, H, W] (or [C, D, H, W])."""

    n = 3


class AvgPool1d(Module):
    """The average of each window of [N, C, L] (or [C, L])."""

    def __init__(
        self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(AvgPool1d):
    n: int

    def __init__(
        self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        function = F.avg_pool2d if self.n == 2 else F.avg_pool3d
        return function(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class AvgPool2d(_AvgPool):
    """The average of each window of [N, C, H, W] (or [C, H, W])."""

    n = 2


class AvgPool3d(_AvgPool):
    """The average of each window of [N, C, D, H, W] (or [C, D, H, W])."""

    n = 3


class _Adaptive(Module):
    n: int

    def __init__(self, output_size: Sizes) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_Adaptive):
    def forward(self, input: Tensor) -> Tensor:
        function = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[self.n - 1]
        return function(input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Averages over ``output_size`` windows that share [N, C, L] out evenly."""

    n = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Averages over ``output_size`` windows that share [N, C, H, W] out evenly."""

    n = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Averages over ``output_size`` windows that share [N, C, D, H, W] out evenly."""

    n = 3


class _AdaptiveMaxPool(_Adaptive):
    def __init__(self, output_size: Sizes, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Maxima:
        function = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[self.n - 1]
        return function(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest of ``output_size`` windows that share [N, C, L] out evenly."""

    n = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest of ``output_size`` windows that share [N, C, H, W] out evenly."""

    n = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest of ``output_size`` windows that share [N, C, D, H, W] out evenly."""

    n = 3


class _LPPool(Module):
    n: int

    def __init__(
        self, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        function = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self.n - 1]
        return function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
                f"ceil_mode={self.ceil_mode}")  # fmt: skip


class LPPool1d(_LPPool):
    """The p-norm of each window of [N, C, L] (or [C, L])."""

    n = 1


class LPPool2d(_LPPool):
    """The p-norm of each window of [N, C, H, W] (or [C, H, W])."""

    n = 2


class LPPool3d(_LPPool):
    """The p-norm of each window of [N, C, D, H, W] (or [C, D, H, W])."""

    n = 3


class _MaxUnpool(Module):
    n: int

    def __init__(self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        function = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.n - 1]
        return function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Puts the maxima of a `MaxPool1d` back to where they were."""

    n = 1


class MaxUnpool2d(_MaxUnpool):
    """Puts the maxima of a `MaxPool2d` back to where they were."""

    n = 2


class MaxUnpool3d(_MaxUnpool):
    """Puts the maxima of a `MaxPool3d` back to where they were."""

    n = 3


class _FractionalMaxPool(Module):
    n: int

    def __init__(
        self, kernel_size: Ints, output_size: Ints | None = None, output_ratio: Ratio | None = None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{type(self).__name__} takes an output_size or an output_ratio: one of them")
        self.kernel_size, self.output_size, self.output_ratio = kernel_size, output_size, output_ratio
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Maxima:
        function = (F.fractional_max_pool2d, F.fractional_max_pool3d)[self.n - 2]
        return function(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest of each of ``output_size`` windows at random places, or of ``output_ratio`` of the extents.

    Input [N, C, H, W] (or [C, H, W]), Graham 2014.
    """

    n = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """`FractionalMaxPool2d` for [N, C, D, H, W] (or [C, D, H, W])."""

    n = 3
