"""Convolutions as modules; the functions are in `wootz.nn.functional`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.nn import functional as F
from wootz.nn import init
from wootz.nn.functional.sizes import Ints, each
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What convolutions and their transposes share; weight and bias start uniform within 1 / sqrt(fan in)."""

    n: int
    weight: Parameter
    bias: Parameter | None

    def _set(
        self, in_channels: int, out_channels: int, kernel_size: Ints, stride: Ints, padding: Ints | str, dilation: Ints,
        groups: int, padding_mode: str,
    ) -> None:  # fmt: skip
        if groups <= 0 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"in_channels {in_channels} and out_channels {out_channels} must be divisible by groups {groups}"
            )
        if padding_mode not in _MODES:
            raise ValueError(f"padding_mode is one of {', '.join(_MODES)}, not {padding_mode!r}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"padding is numbers, 'same' or 'valid', not {padding!r}")
        self.in_channels, self.out_channels, self.groups, self.padding_mode = (
            in_channels,
            out_channels,
            groups,
            padding_mode,
        )
        self.kernel_size = tuple(each(kernel_size, self.n, "kernel_size"))
        self.stride, self.dilation = tuple(each(stride, self.n, "stride")), tuple(each(dilation, self.n, "dilation"))
        self.padding = padding if isinstance(padding, str) else tuple(each(padding, self.n, "padding"))
        if padding == "same" and set(self.stride) != {1}:
            raise ValueError("padding='same' is not supported for strided convolutions: give the padding in numbers")

    def _parameters_of(self, shape: Sequence[int], bias: bool, device: Any, dtype: Any) -> None:
        self.weight = Parameter(wootz.empty(shape, device=device, dtype=dtype))
        start = Parameter(wootz.empty((self.out_channels,), device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", start)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new first values."""
        fan_in = math.prod(self.weight.shape[1:])
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.n:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.n:
            text += f", dilation={self.dilation}"
        text += self._more_repr()
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"

    def _more_repr(self) -> str:
        return ""


class _ConvNd(_Conv):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Ints, stride: Ints = 1, padding: Ints | str = 0,
        dilation: Ints = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._set(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self._parameters_of((out_channels, in_channels // groups, *self.kernel_size), bias, device, dtype)

    def _sides(self) -> list[int]:
        """The padding as `pad` takes it: pairs from the last dimension backwards."""
        if self.padding == "same":
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pairs = [(t // 2, t - t // 2) for t in total]
        else:
            pairs = [(0, 0)] * self.n if self.padding == "valid" else [(int(p), int(p)) for p in self.padding]
        return [x for pair in reversed(pairs) for x in pair]

    def forward(self, input: Tensor) -> Tensor:
        function = (F.conv1d, F.conv2d, F.conv3d)[self.n - 1]
        padding: Ints | str = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._sides(), self.padding_mode), 0
        return function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_ConvNd):
    """Cross-correlates [N, C, L] (or [C, L]) with weight [out_channels, C / groups, K], plus bias."""

    n = 1


class Conv2d(_ConvNd):
    """Cross-correlates [N, C, H, W] (or [C, H, W]) with weight [out_channels, C / groups, KH, KW], plus bias."""

    n = 2


class Conv3d(_ConvNd):
    """Cross-correlates [N, C, D, H, W] with weight [out_channels, C / groups, KD, KH, KW], plus bias."""

    n = 3


class _ConvTransposeNd(_Conv):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Ints, stride: Ints = 1, padding: Ints = 0,
        output_padding: Ints = 0, groups: int = 1, bias: bool = True, dilation: Ints = 1, padding_mode: str = "zeros",
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}, got {padding_mode!r}')
        self._set(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self.output_padding = tuple(each(output_padding, self.n, "output_padding"))
        self._parameters_of((in_channels, out_channels // groups, *self.kernel_size), bias, device, dtype)

    def _extra(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The output padding that gives ``output_size``."""
        if output_size is None:
            return self.output_padding
        extra = []
        for i, wanted in enumerate(list(output_size)[-self.n :]):
            least = (input.shape[i - self.n] - 1) * self.stride[i] - 2 * int(self.padding[i])
            least += self.dilation[i] * (self.kernel_size[i] - 1) + 1
            if not least <= wanted < least + max(self.stride[i], self.dilation[i]):
                raise ValueError(f"output_size {wanted} is not within [{least}, {least + self.stride[i] - 1}]")
            extra.append(wanted - least)
        return tuple(extra)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.n - 1]
        padding = [int(p) for p in self.padding]
        extra = self._extra(input, output_size)
        return function(input, self.weight, self.bias, self.stride, padding, extra, self.groups, self.dilation)

    def _more_repr(self) -> str:
        return "" if self.output_padding == (0,) * self.n else f", output_padding={self.output_padding}"


class ConvTranspose1d(_ConvTransposeNd):
    """The transpose of `Conv1d` as a linear map; weight [in_channels, out_channels / groups, K]."""

    n = 1


class ConvTranspose2d(_ConvTransposeNd):
    """The transpose of `Conv2d` as a linear map; weight [in_channels, out_channels / groups, KH, KW]."""

    n = 2


class ConvTranspose3d(_ConvTransposeNd):
    """The transpose of `Conv3d` as a linear map; weight [in_channels, out_channels / groups, KD, KH, KW]."""

    n = 3
