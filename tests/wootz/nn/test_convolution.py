"""Convolutions against PyTorch where it is installed, their errors, and their use as layers."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.peer import agree, same_state

import wootz
from wootz import nn
from wootz.autograd import gradcheck, gradgradcheck
from wootz.errors import DTypeError, ShapeError
from wootz.nn import functional as F


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def torch_functional():
    return pytest.importorskip("torch").nn.functional


CASES = [
    (1, (2, 3, 9), (4, 3, 3), {}),
    (1, (2, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    (1, (3, 9), (4, 3, 4), {"padding": "same", "dilation": 1}),
    (2, (2, 3, 11, 9), (5, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0)}),
    (2, (1, 8, 10, 10), (8, 1, 3, 3), {"padding": "same", "groups": 8}),
    (2, (2, 6, 9, 8), (12, 2, 2, 3), {"dilation": (2, 1), "groups": 3, "padding": "valid"}),
    (2, (2, 20, 33, 40), (26, 20, 3, 3), {"padding": 1}),  # several panels and blocks, images side by side
    (2, (9, 70, 5, 5), (30, 70, 3, 3), {"padding": 1, "stride": 2}),
    (2, (1, 16, 12, 12), (3, 16, 1, 1), {}),
    (3, (2, 3, 4, 5, 6), (4, 3, 2, 3, 2), {"stride": (1, 2, 1), "padding": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("n", "x", "w", "options"), CASES, ids=lambda v: str(v).replace(" ", ""))
def test_convolution_agrees_with_pytorch(n, x, w, options):
    torch = torch_functional()
    name = f"conv{n}d"
    agree(getattr(F, name), getattr(torch, name), array(*x), array(*w, seed=1), array(w[0], seed=2), **options)


@pytest.mark.parametrize(
    ("n", "x", "w", "options"),
    [
        (1, (2, 4, 5), (4, 3, 3), {"stride": 2, "output_padding": 1}),
        (1, (2, 4, 5), (4, 3, 3), {"stride": 1, "dilation": 3, "output_padding": 2}),
        (2, (2, 4, 5, 6), (4, 3, 3, 2), {"stride": (2, 3), "padding": 1, "output_padding": (1, 2), "groups": 2}),
        (2, (4, 5, 6), (4, 5, 2, 2), {"dilation": 2}),
        (2, (2, 40, 9, 17), (40, 24, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
        (3, (1, 3, 3, 4, 2), (3, 2, 2, 2, 2), {"stride": 2, "padding": (0, 1, 0)}),
    ],
    ids=lambda v: str(v).replace(" ", ""),
)
def test_transposed_convolution_agrees_with_pytorch(n, x, w, options):
    torch = torch_functional()
    name, outputs = f"conv_transpose{n}d", w[1] * options.get("groups", 1)
    agree(getattr(F, name), getattr(torch, name), array(*x), array(*w, seed=1), array(outputs, seed=2), **options)


@pytest.mark.parametrize(("size", "stride"), [(20, 1), (9, 2)])
def test_results_do_not_depend_on_the_number_of_threads(size, stride):
    x, w = wootz.tensor(array(4, 16, size, size)), wootz.tensor(array(160, 16, 3, 3, seed=1))
    before = wootz.get_num_threads()
    results = []
    try:
        for threads in (1, 4, 7):
            wootz.set_num_threads(threads)
            leaf, weight = x.clone().requires_grad_(), w.clone().requires_grad_()
            out = F.conv2d(leaf, weight, stride=stride, padding=1)
            out.square().sum().backward()
            results.append((out.detach().numpy(), leaf.grad.numpy(), weight.grad.numpy()))
    finally:
        wootz.set_num_threads(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_derivatives_of_strided_empty_and_repeated_inputs():
    base = wootz.tensor(array(6, 5, 2, 2)).requires_grad_()
    same = wootz.tensor(array(2, 2, 3, 3)).requires_grad_()

    def strided(t, w):
        return F.conv2d(t.permute(2, 3, 0, 1)[:, :, ::2], w.transpose(0, 1), padding=1)

    for function, inputs in (
        (strided, (base, same)),
        (lambda t: F.conv2d(t, t, padding=2), (same,)),
        (lambda t, w: F.conv2d(t[:0], w), (wootz.tensor(array(1, 2, 4, 4)).requires_grad_(), same)),
        (lambda t, w: F.conv_transpose2d(t, w, stride=2), (wootz.tensor(array(1, 2, 2, 2)).requires_grad_(), same)),
    ):
        assert gradcheck(function, inputs)
        assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, (2, 1), "same"])
def test_layers_load_pytorch_weights_and_give_its_outputs(mode, padding):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Conv2d(4, 6, (3, 4), padding=padding, padding_mode=mode, groups=2).double()
    ours = nn.Conv2d(4, 6, (3, 4), padding=padding, padding_mode=mode, groups=2, dtype=wootz.float64)
    same_state(ours, theirs)
    assert repr(ours) == repr(theirs)
    agree(ours, theirs, array(2, 4, 8, 9))


def test_transposed_layers_take_an_output_size():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1, bias=False).double()
    ours = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1, bias=False, dtype=wootz.float64)
    same_state(ours, theirs)
    assert repr(ours) == repr(theirs)
    for size in (None, (9, 10)):
        agree(lambda x, s=size: ours(x, s), lambda x, s=size: theirs(x, s), array(2, 3, 5, 5))
    with pytest.raises(ValueError, match="not within"):
        ours(wootz.tensor(array(2, 3, 5, 5)), (12, 9))


def test_layers_start_uniform_within_the_root_of_the_fan_in():
    layer = nn.Conv3d(4, 32, 3)
    bound = 1 / (4 * 27) ** 0.5
    for values in (layer.weight.detach().numpy(), layer.bias.detach().numpy()):
        assert np.abs(values).max() <= bound and np.abs(values).max() > 0.7 * bound


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: F.conv2d(wootz.ones(1, 3, 4, 4), wootz.ones(2, 2, 3, 3)), ShapeError, "to have 2 channels, but got 3"),
        (lambda: F.conv2d(wootz.ones(1, 3, 4, 4), wootz.ones(2, 3, 5, 5)), ShapeError, "smaller than the dilated"),
        (lambda: F.conv2d(wootz.ones(3, 4), wootz.ones(2, 3, 5, 5)), ShapeError, "conv2d expects an input of 3"),
        (lambda: F.conv1d(wootz.ones(1, 2, 4), wootz.ones(2, 2, 2), stride=0), ValueError, "non-positive stride"),
        (lambda: F.conv1d(wootz.ones(1, 2, 4), wootz.ones(2, 2, 2), wootz.ones(3)), ShapeError, "a bias of shape"),
        (lambda: F.conv1d(wootz.ones(1, 2, 4), wootz.ones(2, 2, 2), padding=-1), ValueError, "negative padding"),
        (lambda: F.conv1d(wootz.ones(1, 2, 4), wootz.ones(3, 1, 2), groups=2), ShapeError, "among 2 groups"),
        (lambda: F.conv1d(wootz.ones(1, 2, 4), wootz.ones(2, 2, 2), padding="same", stride=2), ValueError, "strided"),
        (lambda: F.conv1d(wootz.ones(1, 2, 4), wootz.ones(2, 2, 2).double()), DTypeError, "one dtype"),
        (lambda: F.conv_transpose1d(wootz.ones(1, 2, 4), wootz.ones(2, 2, 2), output_padding=1), ValueError, "smaller"),
        (lambda: F.conv_transpose1d(wootz.ones(1, 3, 4), wootz.ones(2, 2, 2)), ShapeError, "takes 2 channels, got 3"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "divisible by groups"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ValueError, "one number or 2"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ValueError, "padding_mode is one of"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def by_taps(x, w, g, stride, padding, dilation, groups):
    """The output in float64, and the gradients of its product with g."""
    (batch, channels, *_), (outputs, inputs, *kernel) = x.shape, w.shape
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    y, dx, dw = np.zeros_like(g), np.zeros_like(padded), np.zeros_like(w)
    spread = g.reshape(batch, groups, outputs // groups, *g.shape[2:])
    for tap in np.ndindex(*kernel):
        window = tuple(
            slice(t * d, t * d + s * (n - 1) + 1, s)
            for t, d, s, n in zip(tap, dilation, stride, g.shape[2:], strict=True)
        )
        seen = padded[:, :, *window].reshape(batch, groups, inputs, *g.shape[2:])
        weight = w[:, :, *tap].reshape(groups, outputs // groups, inputs)
        y += np.einsum("bgi...,goi->bgo...", seen, weight).reshape(g.shape)
        dw[:, :, *tap] = np.einsum("bgiyx,bgoyx->goi", seen, spread).reshape(outputs, inputs)
        dx[:, :, *window] += np.einsum("bgo...,goi->bgi...", spread, weight).reshape(batch, channels, *g.shape[2:])
    inside = tuple(slice(p, n - p) for p, n in zip(padding, padded.shape[2:], strict=True))
    return y, dx[:, :, *inside], dw


# Depth-wise, few outputs of several inputs, and tiles whose rows and terms are no whole number of vectors.
@pytest.mark.parametrize(("channels", "outputs", "groups"), [(3, 6, 3), (10, 4, 2), (5, 17, 1), (38, 29, 1)])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation"),
    [
        ((1, 1), (0, 0), (1, 1)),
        ((1, 1), (1, 2), (1, 1)),
        ((2, 2), (1, 1), (1, 1)),
        ((2, 2), (2, 2), (1, 1)),
        ((1, 2), (1, 0), (1, 1)),
        ((3, 1), (2, 2), (2, 2)),
        ((1, 3), (2, 1), (1, 1)),
        ((2, 5), (1, 4), (1, 2)),
    ],
)
def test_convolutions_and_their_gradients_at_any_width(channels, outputs, groups, stride, padding, dilation):
    random = np.random.default_rng(0)
    for width in (1, 3, 7, 8, 14, 16, 17, 28, 31, 32, 33, 45):
        size = (1 + width % 6, width)
        out = tuple(
            (n + 2 * p - 2 * d - 1) // s + 1 for n, p, d, s in zip(size, padding, dilation, stride, strict=True)
        )
        if any(n + 2 * p < 2 * d + 1 for n, p, d in zip(size, padding, dilation, strict=True)):
            continue
        shapes = ((3, channels, *size), (outputs, channels // groups, 3, 3), (3, outputs, *out), (outputs,))
        x, w, g, b = (random.standard_normal(s) for s in shapes)
        y, dx, dw = by_taps(x, w, g, stride, padding, dilation, groups)
        for kind, accuracy in ((np.float32, 2e-4), (np.float64, 1e-12)):
            inputs = [wootz.tensor(a.astype(kind), requires_grad=True) for a in (x, w, b)]
            got = F.conv2d(*inputs, stride=stride, padding=padding, dilation=dilation, groups=groups)
            got.backward(wootz.tensor(g.astype(kind)))
            for own, want in zip(
                (got.detach(), *(i.grad for i in inputs)), (y + b[:, None, None], dx, dw, g.sum((0, 2, 3))), strict=True
            ):
                np.testing.assert_allclose(own.numpy(), want, rtol=accuracy, atol=accuracy)


@pytest.mark.parametrize(("width", "column"), [(9, 8), (21, 20), (21, 10)])  # parts of a vector, and of a second one
def test_infinities_reach_only_what_reads_them(width, column):
    x = np.zeros((1, 32, 9, width), np.float32)
    x[0, :, 4, column] = np.inf
    for groups in (1, 32):
        w = wootz.ones(32, 32 // groups, 3, 3, requires_grad=True)
        for stride in (1, 2):
            w.grad = None
            out = F.conv2d(wootz.tensor(x), w, stride=stride, padding=1, groups=groups)
            out.backward(wootz.ones_like(out))
            got = out.detach().numpy()
            near = [
                (i, j) for i, j in np.ndindex(got.shape[2:]) if abs(i * stride - 4) < 2 and abs(j * stride - column) < 2
            ]
            reached = np.isinf(got)
            assert all(list(zip(*np.nonzero(plane), strict=True)) == near for plane in reached[0])
            assert (got[~reached] == 0).all()
            # Under each tap there is an output that reads the infinity with it, or there is none.
            taps = {(4 - i * stride + 1, column - j * stride + 1) for i, j in near}
            for i, j in np.ndindex(3, 3):
                assert (w.grad.numpy()[:, :, i, j] == (np.inf if (i, j) in taps else 0)).all()
