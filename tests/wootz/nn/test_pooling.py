"""Pooling, padding, folding and resizing against PyTorch where it is installed; their errors."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.peer import agree

import wootz
from wootz import nn
from wootz.autograd import gradcheck, gradgradcheck
from wootz.errors import ShapeError
from wootz.nn import functional as F


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def torch_functional():
    return pytest.importorskip("torch").nn.functional


CALLS = [
    ("max_pool1d", (2, 3, 9), (3,), {"stride": 2, "padding": 1}),
    ("max_pool2d", (2, 3, 9, 10), (2,), {}),
    ("max_pool2d", (3, 9, 10), ((3, 2),), {"stride": (2, 3), "padding": (1, 0), "ceil_mode": True}),
    ("max_pool2d", (2, 3, 9, 10), (3,), {"stride": 1, "dilation": 2}),
    ("max_pool3d", (2, 2, 5, 6, 4), (2,), {"padding": 1}),
    ("adaptive_max_pool1d", (2, 3, 9), (4,), {}),
    ("adaptive_max_pool2d", (2, 3, 9, 7), ((4, None),), {}),
    ("adaptive_max_pool3d", (2, 3, 5, 6, 7), (2,), {}),
    ("avg_pool1d", (2, 3, 9), (3,), {"stride": 2, "padding": 1, "ceil_mode": True}),
    ("avg_pool2d", (2, 3, 9, 10), (3,), {"stride": 2, "padding": 1, "count_include_pad": False, "ceil_mode": True}),
    ("avg_pool2d", (3, 9, 10), ((2, 3),), {"divisor_override": 5}),
    ("avg_pool3d", (2, 2, 5, 6, 4), (2,), {"padding": 1}),
    ("adaptive_avg_pool1d", (2, 3, 9), (4,), {}),
    ("adaptive_avg_pool2d", (2, 3, 9, 7), ((4, None),), {}),
    ("adaptive_avg_pool2d", (2, 3, 3, 2), (5,), {}),
    ("adaptive_avg_pool3d", (2, 3, 5, 6, 7), (2,), {}),
    ("lp_pool2d", (2, 3, 8, 8), (2.0, 3), {"stride": 2}),
    ("pad", (2, 3, 5, 6), ((1, 2, 0, -1),), {"value": 2.5}),
    ("pad", (2, 3, 5, 6), ((1, 2, 3, 0),), {"mode": "reflect"}),
    ("pad", (2, 3, 5, 6), ((1, 2, 3, 7),), {"mode": "replicate"}),
    ("pad", (2, 3, 5, 6), ((1, 2, 5, 0),), {"mode": "circular"}),
    ("unfold", (2, 3, 7, 6), ((3, 2),), {"dilation": (1, 2), "padding": 1, "stride": 2}),
    ("fold", (2, 12, 12), ((5, 4), (2, 2)), {}),
    ("fold", (12, 16), ((7, 6), (3, 2)), {"padding": 1, "stride": 2}),
    ("pixel_shuffle", (2, 12, 3, 4), (2,), {}),
    ("pixel_unshuffle", (12, 4, 6), (2,), {}),
    ("interpolate", (2, 3, 5), (), {"size": 8}),
    ("interpolate", (2, 3, 5), (), {"scale_factor": 2.5, "mode": "linear"}),
    ("interpolate", (2, 3, 5, 7), (), {"size": (3, 9), "mode": "nearest-exact"}),
    ("interpolate", (2, 3, 5, 7), (), {"size": (8, 4), "mode": "bilinear"}),
    ("interpolate", (2, 3, 5, 7), (), {"size": (8, 4), "mode": "bilinear", "align_corners": True}),
    ("interpolate", (2, 3, 5, 7), (), {"scale_factor": (1.7, 0.6), "mode": "bicubic"}),
    ("interpolate", (2, 3, 5, 7), (), {"size": (1, 9), "mode": "bicubic", "align_corners": True}),
    ("interpolate", (2, 3, 9, 7), (), {"size": (4, 3), "mode": "bilinear", "antialias": True}),
    ("interpolate", (2, 3, 9, 7), (), {"size": (4, 10), "mode": "bicubic", "antialias": True}),
    ("interpolate", (2, 3, 5, 7), (), {"size": (3, 3), "mode": "area"}),
    ("interpolate", (1, 2, 3, 4, 5), (), {"scale_factor": 1.5, "mode": "trilinear", "recompute_scale_factor": True}),
    ("cosine_similarity", (3, 4, 5), (array(3, 1, 5, seed=3),), {"dim": -1}),
    ("normalize", (3, 4), (), {"p": 3.0, "dim": 0}),
    ("pairwise_distance", (3, 4), (array(3, 4, seed=3),), {"p": 1.0}),
    ("local_response_norm", (2, 7, 3, 3), (3,), {"alpha": 0.3}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "args", "options"), CALLS, ids=[f"{c[0]}-{i}" for i, c in enumerate(CALLS)])
def test_functions_agree_with_pytorch(name, shape, args, options):
    agree(getattr(F, name), getattr(torch_functional(), name), array(*shape), *args, **options)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(("mode", "shape"), [("bilinear", (2, 3, 5, 4)), ("nearest", (2, 3, 5, 4)),
                                             ("bicubic", (2, 3, 5, 4)), ("bilinear", (2, 2, 3, 4, 5))])  # fmt: skip
def test_samples_at_coordinates_are_pytorchs(mode, shape, padding, corners):
    n = len(shape) - 2
    options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    grid = array(2, *(6, 7, 3)[:n], n, seed=4) * 1.3
    agree(F.grid_sample, torch_functional().grid_sample, array(*shape), grid, **options)
    agree(F.affine_grid, torch_functional().affine_grid, array(2, n, n + 1), shape, align_corners=corners)


def test_maxima_are_found_where_pytorch_finds_them_and_put_back():
    torch = pytest.importorskip("torch")
    x = array(2, 3, 7, 6)
    options = {"kernel_size": 3, "stride": 2, "padding": 1, "return_indices": True}
    values, where = F.max_pool2d(wootz.tensor(x), **options)
    expected, places = torch.nn.functional.max_pool2d(torch.tensor(x), **options)
    np.testing.assert_array_equal(where.numpy(), places.numpy())
    back = F.max_unpool2d(values, where, 3, 2, 1, (7, 6)).numpy()
    np.testing.assert_array_equal(back, torch.nn.functional.max_unpool2d(expected, places, 3, 2, 1, (7, 6)).numpy())


def test_a_window_with_nan_is_nan_and_ties_go_to_the_first():
    x = wootz.tensor([[[1.0, float("nan"), 3.0, 2.0, 2.0]]])
    values, where = F.max_pool1d(x, 2, 1, return_indices=True)
    np.testing.assert_array_equal(values.numpy(), [[[np.nan, np.nan, 3, 2]]])
    np.testing.assert_array_equal(where.numpy(), [[[1, 1, 2, 3]]])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.max_pool2d(x.transpose(0, 1)[..., ::2], 2),
        lambda x: F.avg_pool2d(x, 2, padding=1),
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
        lambda x: F.pad(x, (1, 1, 2, 0), "reflect"),
        lambda x: F.pad(x, (1, -1), value=3.0),
        lambda x: F.interpolate(x, (3, 7), mode="bicubic"),
        lambda x: F.fold(F.unfold(x, 2), (4, 5), 2),
        lambda x: F.max_pool2d(x[:0], 2) + F.avg_pool2d(x[:0], 2),
        lambda x: F.lp_pool1d(x[0], 2.0, 2),
        lambda x: F.grid_sample(x, x[:, :, :, :2].tanh() * 0.9, "bicubic"),
    ],
)
def test_derivatives(call):
    x = wootz.tensor(array(2, 2, 4, 5)).requires_grad_()
    assert gradcheck(call, x)
    assert gradgradcheck(call, x)


LAYERS = [
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}), ("AvgPool2d", (2,), {}), ("AvgPool3d", (2,), {}),
    ("AdaptiveAvgPool2d", ((2, 3),), {}), ("AdaptiveMaxPool1d", (3,), {}), ("LPPool2d", (2, 2), {}),
    ("ReflectionPad2d", (1,), {}), ("ZeroPad2d", ((1, 2, 0, 1),), {}), ("ConstantPad1d", (2, 1.5), {}),
    ("CircularPad2d", (1,), {}), ("ReplicationPad3d", (1,), {}), ("Upsample", (), {"scale_factor": 2}),
    ("Upsample", (), {"size": (5, 3), "mode": "bilinear", "align_corners": False}), ("UpsamplingBilinear2d", (3,), {}),
    ("ChannelShuffle", (2,), {}), ("LPPool3d", (2.0, 2), {}),
    ("PixelShuffle", (2,), {}), ("PixelUnshuffle", (2,), {}), ("Unfold", (2,), {"padding": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options"), LAYERS, ids=[x[0] for x in LAYERS])
def test_layers_are_pytorchs(name, args, options):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    shape = (2, 4, 6) if "1d" in name else (2, 4, 4, 6, 4) if "3d" in name else (2, 4, 6, 4)
    agree(ours, theirs, array(*shape))


@pytest.mark.parametrize("name", ["dropout1d", "dropout2d", "dropout3d"])
def test_channels_drop_whole_by_the_generator_given(name):
    shape = (40, 50, *[3] * int(name[-2]))
    draws = [getattr(F, name)(wootz.ones(*shape), 0.25, generator=wootz.Generator(s)).numpy() for s in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    flat = draws[0].reshape(2000, -1)
    assert np.all(flat == flat[:, :1])
    assert abs((flat[:, 0] == 0).mean() - 0.25) < 0.05
    assert set(np.unique(flat)) == {np.float32(0), np.float32(1 / 0.75)}


def test_alpha_dropout_keeps_mean_and_variance():
    x = wootz.randn(200, 500, generator=wootz.Generator(3))
    out = F.alpha_dropout(x, 0.3, True, generator=wootz.Generator(4)).numpy()
    assert abs(out.mean()) < 0.02 and abs(out.std() - 1) < 0.02
    assert nn.AlphaDropout(0.3).eval()(x) is x


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: F.max_pool2d(wootz.ones(2, 3), 2), ShapeError, "max_pool2d expects an input of 3 or 4"),
        (lambda: F.max_pool1d(wootz.ones(1, 1, 4), 2, padding=2), ValueError, "pad should be at most half"),
        (lambda: F.max_pool1d(wootz.ones(1, 1, 4), 5), ShapeError, "leaves no output"),
        (lambda: F.max_pool1d(wootz.ones(1, 1, 4), 2, stride=0), ValueError, "stride should be greater"),
        (lambda: F.avg_pool1d(wootz.ones(1, 1, 4), 5), ValueError, "do not fit an extent of 4"),
        (lambda: F.adaptive_avg_pool1d(wootz.ones(1, 1, 4), 0), ShapeError, "over 0 windows"),
        (lambda: F.pad(wootz.ones(1, 4), (4, 0), "reflect"), ShapeError, "needs an extent larger than 4"),
        (lambda: F.pad(wootz.ones(1, 4), (1,)), ValueError, "pairs of numbers"),
        (lambda: F.pad(wootz.ones(1, 4), (1, 0), "mirror"), ValueError, "mode is one of"),
        (lambda: F.interpolate(wootz.ones(1, 1, 4), 3, 2.0), ValueError, "only one of size or scale_factor"),
        (lambda: F.interpolate(wootz.ones(1, 1, 4), 3, mode="bilinear"), ValueError, "no mode 'bilinear'"),
        (lambda: F.interpolate(wootz.ones(1, 1, 4), 3, align_corners=True), ValueError, "align_corners"),
        (lambda: F.unfold(wootz.ones(1, 1, 4, 4), 5), ShapeError, "no window"),
        (lambda: F.fold(wootz.ones(1, 8, 8), (4, 4), 2), ShapeError, "fold to"),
        (lambda: F.pixel_shuffle(wootz.ones(1, 3, 2, 2), 2), ShapeError, "pixel_shuffle expects"),
        (lambda: F.grid_sample(wootz.ones(1, 1, 2, 2), wootz.ones(1, 2, 2, 3)), ShapeError, "grid_sample takes"),
        (lambda: F.grid_sample(wootz.ones(1, 1, 2, 2), wootz.ones(1, 2, 2, 2), "cubic"), ValueError, "mode is one of"),
        (lambda: F.affine_grid(wootz.ones(1, 3, 3), (1, 1, 2, 2)), ShapeError, "theta"),
        (lambda: F.channel_shuffle(wootz.ones(1, 3, 2), 2), ShapeError, "divisible by 2"),
        (lambda: F.one_hot(wootz.tensor([0, 3]), 3), ValueError, "found 3"),
        (lambda: wootz._core.scatter_windows(wootz.ones(1, 2), wootz.tensor([[0, 9]]), (4,)), IndexError, "index 9"),
        (lambda: wootz._core.resample(wootz.ones(3), 0, wootz.tensor([2]), wootz.ones(1, 2, dtype=wootz.float64)),
         IndexError, "row 0 sums from 2 on 2"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
