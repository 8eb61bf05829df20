"""Convolution and its transpose in one to three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from wootz import _core
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.functional.padding import pad
from wootz.nn.functional.sizes import Ints, each
from wootz.ops.database import op

__all__ = ["conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def _batched(input: Tensor, n: int, name: str) -> tuple[Tensor, bool]:
    if input.dim() not in (n + 1, n + 2):
        raise ShapeError(
            f"{name} expects an input of {n + 1} (unbatched) or {n + 2} dimensions, got shape {tuple(input.shape)}"
        )
    return (input, False) if input.dim() == n + 2 else (input.unsqueeze(0), True)


def _same_padding(
    input: Tensor, weight: Tensor, stride: Sequence[int], dilation: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """The input and the padding on both sides that keep its extents; an odd rest is padded on the right."""
    if any(s != 1 for s in stride):
        raise ValueError("padding='same' is not supported for strided convolutions: give the padding in numbers")
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    odd = [t % 2 for t in total]
    if any(odd):
        input = pad(input, [x for extra in reversed(odd) for x in (0, extra)])
    return input, [t // 2 for t in total]


def _conv(
    n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints | str, dilation: Ints,
    groups: int,
) -> Tensor:  # fmt: skip
    name = f"conv{n}d"
    x, single = _batched(input, n, name)
    if weight.dim() != n + 2:
        raise ShapeError(f"{name} expects a weight of {n + 2} dimensions, got shape {tuple(weight.shape)}")
    strides, dilations = each(stride, n, "stride"), each(dilation, n, "dilation")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"padding is numbers, 'same' or 'valid', not {padding!r}")
        x, paddings = (x, [0] * n) if padding == "valid" else _same_padding(x, weight, strides, dilations)
    else:
        paddings = each(padding, n, "padding")
    out = _core.convolve(x, weight, bias, strides, paddings, dilations, groups)
    return out.squeeze(0) if single else out


@op(
    "N(2, 2, 5), N(3, 2, 3), N(3)", "N(2, 4), N(2, 1, 2), None, 2, 1, 1, 2",
    "N(1, 1, 5), N(1, 1, 2), padding='same'", tolerance=1e-12, autocast="low",
)  # fmt: skip
def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlates input [N, C, L] (or [C, L]) with weight [O, C / groups, K]; plus bias [O].

    ``padding`` is numbers, 'same' or 'valid'. Raises ShapeError for shapes that do not fit.
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


@op(
    "N(2, 2, 4, 3), N(2, 2, 2, 2), N(2)", "N(1, 2, 4, 4), N(2, 1, 3, 3), None, 2, 1, 1, 2", tolerance=1e-12,
    autocast="low",
)  # fmt: skip
def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """`conv1d` over images: input [N, C, H, W] (or [C, H, W]), weight [O, C / groups, KH, KW]."""
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


@op("N(1, 1, 3, 3, 2), N(2, 1, 2, 2, 2), N(2)", tolerance=1e-12, autocast="low")
def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """`conv1d` over volumes: input [N, C, D, H, W] (or without N), weight [O, C / groups, KD, KH, KW]."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


@op("N(4, 2, 3), N(2, 3, 2), N(2)", "N(4, 2, 3), N(3, 3, 2), N(2), 1", autocast="low", tolerance=1e-12)
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """`conv1d` of a sequence first: input [L, N, C], weight [K, C, O], bias [O], to [L', N, O]."""
    return conv1d(input.permute((1, 2, 0)), weight.permute((2, 1, 0)), bias, 1, pad).permute((2, 0, 1))


def _conv_transpose(
    n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints, output_padding: Ints,
    groups: int, dilation: Ints,
) -> Tensor:  # fmt: skip
    name = f"conv_transpose{n}d"
    x, single = _batched(input, n, name)
    if weight.dim() != n + 2:
        raise ShapeError(f"{name} expects a weight of {n + 2} dimensions, got shape {tuple(weight.shape)}")
    if x.shape[1] != weight.shape[0]:
        raise ShapeError(
            f"{name}: a weight of shape {tuple(weight.shape)} takes {weight.shape[0]} channels, got {x.shape[1]}"
        )
    s, p, d = each(stride, n, "stride"), each(padding, n, "padding"), each(dilation, n, "dilation")
    extra = each(output_padding, n, "output_padding")
    if any(e < 0 or (e >= a and e >= b) for e, a, b in zip(extra, s, d, strict=True)):
        raise ValueError(f"output_padding must be smaller than either stride or dilation, got {tuple(extra)}")
    size = [(x.shape[2 + i] - 1) * s[i] - 2 * p[i] + d[i] * (weight.shape[2 + i] - 1) + 1 + extra[i] for i in range(n)]
    if any(e <= 0 for e in size):
        raise ShapeError(f"{name}: the output would have extents {tuple(size)}")
    out = _spread(x, weight, size, s, p, d, groups)
    if bias is not None:
        out = out + bias.reshape((-1, *[1] * n))
    return out.squeeze(0) if single else out


def _spread(
    x: Tensor, weight: Tensor, size: list[int], s: list[int], p: list[int], d: list[int], groups: int
) -> Tensor:
    """The product itself; output padding wider than the stride is where nothing is spread to."""
    reach = [(x.shape[2 + i] - 1) * s[i] - 2 * p[i] + d[i] * (weight.shape[2 + i] - 1) + 1 for i in range(len(size))]
    near = [min(full, r + step - 1) for full, r, step in zip(size, reach, s, strict=True)]
    out = _core.convolve_input(x, weight, near, s, p, d, groups)
    if near == size:
        return out
    return pad(out, [x for full, n in zip(reversed(size), reversed(near), strict=True) for x in (0, full - n)])


@op("N(2, 2, 3), N(2, 3, 2), N(3)", "N(1, 2, 3), N(2, 1, 3), None, 2, 1, 1, 2", tolerance=1e-12, autocast="low")
def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1,
) -> Tensor:  # fmt: skip
    """The transpose of `conv1d` as a linear map: input [N, C, L] (or [C, L]), weight [C, O / groups, K], bias [O].

    The output's length is (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.
    """
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@op("N(1, 2, 3, 2), N(2, 2, 2, 2), N(2)", tolerance=1e-12, autocast="low")
def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1,
) -> Tensor:  # fmt: skip
    """`conv_transpose1d` over images: weight [C, O / groups, KH, KW]."""
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@op("N(1, 1, 2, 2, 2), N(1, 2, 2, 2, 1), N(2)", tolerance=1e-12, autocast="low")
def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1,
) -> Tensor:  # fmt: skip
    """`conv_transpose1d` over volumes: weight [C, O / groups, KD, KH, KW]."""
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)
