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


def test_gradients_do_not_depend_on_the_number_of_threads():
    x, w = wootz.tensor(array(4, 16, 20, 20)), wootz.tensor(array(40, 16, 3, 3, seed=1))
    before = wootz.get_num_threads()
    results = []
    try:
        for threads in (1, 4):
            wootz.set_num_threads(threads)
            leaf, weight = x.clone().requires_grad_(), w.clone().requires_grad_()
            F.conv2d(leaf, weight, padding=1).square().sum().backward()
            results.append((leaf.grad.numpy(), weight.grad.numpy()))
    finally:
        wootz.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


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


@pytest.mark.parametrize("width", [1, 3, 7, 14, 16, 17, 28, 33])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_depthwise_rows_of_any_width_and_number(width: int, stride: int, dilation: int):
    random = np.random.default_rng(width)
    for height in (1, 4, 6, 9):
        x, w, b = (random.standard_normal(s) for s in ((2, 3, height, width), (6, 1, 3, 3), (6,)))
        padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        rows, columns = ((n + 4 - 2 * dilation - 1) // stride + 1 for n in (height, width))
        want = np.broadcast_to(b[:, None, None], (2, 6, rows, columns)).copy()
        for i, j in np.ndindex(3, 3):
            top, left = i * dilation, j * dilation
            seen = padded[:, :, top : top + stride * rows : stride, left : left + stride * columns : stride]
            want += w[:, 0, i, j][:, None, None] * np.repeat(seen[:, :, :rows, :columns], 2, 1)
        for kind, accuracy in ((np.float32, 1e-5), (np.float64, 1e-13)):
            given = (wootz.tensor(a.astype(kind)) for a in (x, w, b))
            got = wootz.nn.functional.conv2d(*given, stride=stride, padding=2, dilation=dilation, groups=3)
            np.testing.assert_allclose(got.numpy(), want, rtol=accuracy, atol=accuracy)
