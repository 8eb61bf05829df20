"""Windows as columns, and back."""

from __future__ import annotations

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.functional.padding import pad
from wootz.nn.functional.sizes import Ints, each
from wootz.ops.array_op import filled
from wootz.ops.database import op

__all__ = ["fold", "unfold"]


class _Windows:
    """How the windows lie in an image of the given extents."""

    def __init__(self, size: tuple[int, int], kernel_size: Ints, dilation: Ints, padding: Ints, stride: Ints) -> None:
        self.kernel, self.dilation = each(kernel_size, 2, "kernel_size"), each(dilation, 2, "dilation")
        self.padding, self.stride = each(padding, 2, "padding"), each(stride, 2, "stride")
        if min(*self.kernel, *self.dilation, *self.stride) <= 0 or min(self.padding) < 0:
            raise ValueError("kernel_size, dilation and stride are positive, padding is not negative")
        self.padded = [s + 2 * p for s, p in zip(size, self.padding, strict=True)]
        self.count = [
            (s - d * (k - 1) - 1) // t + 1
            for s, d, k, t in zip(self.padded, self.dilation, self.kernel, self.stride, strict=True)
        ]
        if min(self.count) <= 0:
            raise ShapeError(
                f"no window of {tuple(self.kernel)} fits an image of {size} padded by {tuple(self.padding)}"
            )

    def taps(self) -> list[tuple[slice, slice]]:
        """For each place in the window, where in the padded image the windows have it."""
        spans = [
            [slice(i * d, i * d + (n - 1) * t + 1, t) for i in range(k)]
            for k, d, n, t in zip(self.kernel, self.dilation, self.count, self.stride, strict=True)
        ]
        return [(a, b) for a in spans[0] for b in spans[1]]


@op("N(1, 2, 3, 4), 2", "N(1, 1, 4, 4), 2, padding=1, stride=2")
def unfold(input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> Tensor:
    """The windows of [N, C, H, W] (or [C, H, W]) as columns [N, C KH KW, windows]."""
    if input.dim() not in (3, 4):
        raise ShapeError(f"unfold expects [N, C, H, W] or [C, H, W], got shape {tuple(input.shape)}")
    x = input if input.dim() == 4 else input.unsqueeze(0)
    windows = _Windows((x.shape[2], x.shape[3]), kernel_size, dilation, padding, stride)
    x = pad(x, [p for side in reversed(windows.padding) for p in (side, side)])
    taps = [x[:, :, a, b].reshape((*x.shape[:2], -1)) for a, b in windows.taps()]
    columns = wootz.stack(taps, 2)
    columns = columns.reshape((x.shape[0], x.shape[1] * len(taps), columns.shape[-1]))
    return columns if input.dim() == 4 else columns.squeeze(0)


@op("N(1, 4, 4), (3, 3), 2", "N(1, 4, 2), (3, 4), 2, stride=2")
def fold(
    input: Tensor, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """Sums columns [N, C KH KW, windows] (or without N) into [N, C, *output_size]: the transpose of `unfold`."""
    if input.dim() not in (2, 3):
        raise ShapeError(f"fold expects [N, C KH KW, windows], with or without N, got shape {tuple(input.shape)}")
    h, w = each(output_size, 2, "output_size")
    windows = _Windows((h, w), kernel_size, dilation, padding, stride)
    columns = input if input.dim() == 3 else input.unsqueeze(0)
    taps, (rows, across) = windows.taps(), windows.count
    if columns.shape[1] % len(taps) or columns.shape[2] != rows * across:
        raise ShapeError(
            f"fold to {(h, w)} expects [*, C {len(taps)}, {rows * across}], got shape {tuple(input.shape)}"
        )
    channels = columns.shape[1] // len(taps)
    parts = columns.reshape((columns.shape[0], channels, len(taps), rows, across))
    out = filled(columns, (columns.shape[0], channels, *windows.padded), 0)
    for i, (a, b) in enumerate(taps):
        out[:, :, a, b] += parts[:, :, i]
    top, left = windows.padding
    out = out[:, :, top : top + h, left : left + w]
    return out if input.dim() == 3 else out.squeeze(0)
