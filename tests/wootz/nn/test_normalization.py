"""Normalisation against PyTorch where it is installed: values, gradients, running statistics, layers."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.peer import agree, same_state

import wootz
from wootz import nn
from wootz.autograd import gradcheck, gradgradcheck
from wootz.errors import ShapeError
from wootz.nn import functional as F


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape) + 0.5


CALLS = [
    ("layer_norm", (4, 3, 5), ((3, 5), array(3, 5), array(3, 5, seed=1)), {"eps": 1e-3}),
    ("layer_norm", (300, 70), ((70,), array(70)), {}),
    ("rms_norm", (4, 3, 37), ((37,), array(37)), {}),
    ("group_norm", (3, 6, 4, 5), (3, array(6), array(6, seed=1)), {}),
    ("group_norm", (3, 6), (2, array(6), array(6, seed=1)), {}),
    ("group_norm", (2, 4, 3), (4,), {}),
    ("batch_norm", (5, 4), (None, None, array(4), array(4, seed=1)), {"training": True}),
    ("batch_norm", (5, 4, 3), (None, None, array(4)), {"training": True}),
    ("batch_norm", (3, 4, 9, 11), (None, None, array(4), array(4, seed=1)), {"training": True, "eps": 0.1}),
    ("instance_norm", (3, 4, 5, 2), (None, None, array(4), array(4, seed=1)), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "args", "options"), CALLS, ids=[f"{c[0]}-{i}" for i, c in enumerate(CALLS)])
def test_functions_agree_with_pytorch(name, shape, args, options):
    theirs = getattr(pytest.importorskip("torch").nn.functional, name)
    agree(getattr(F, name), theirs, array(*shape, seed=5), *args, **options)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.layer_norm(x.permute(1, 2, 0), (4, 3)),
        lambda x: F.layer_norm(x[:, ::2], (2, 4)),
        lambda x: F.rms_norm(x, (4,), x[0, 0]),
        lambda x: F.batch_norm(x, None, None, x[0, :, 0], x[0, :, 1], True),
        lambda x: F.batch_norm(x[:, :, 0], None, None, None, x[0, :, 1], True),
        lambda x: F.group_norm(x, 1, None, x[0, :, 0]),
        lambda x: F.layer_norm(x[:0], (4,)),
        lambda x: F.batch_norm(x, wootz.tensor(array(3)), wootz.tensor(array(3, seed=1) ** 2), x[0, :, 0]),
    ],
)
def test_derivatives(call):
    x = wootz.tensor(array(3, 3, 4)).requires_grad_()
    assert gradcheck(call, x)
    assert gradgradcheck(call, x)


LAYERS = [
    ("LayerNorm", ((4, 5),), {}, (3, 4, 5)), ("LayerNorm", (5,), {"bias": False}, (3, 4, 5)),
    ("RMSNorm", (5,), {"eps": 1e-3}, (3, 5)), ("GroupNorm", (2, 6), {}, (3, 6, 5)),
    ("BatchNorm1d", (4,), {"bias": False}, (6, 4)), ("BatchNorm2d", (4,), {"momentum": None}, (2, 4, 3, 5)),
    ("BatchNorm3d", (4,), {"affine": False, "eps": 0.1}, (2, 4, 3, 2, 3)),
    ("BatchNorm1d", (4,), {"track_running_stats": False}, (2, 4, 7)),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (2, 4, 3, 5)),
    ("InstanceNorm1d", (4,), {}, (4, 6)), ("LocalResponseNorm", (3,), {}, (2, 5, 4)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "args", "options", "shape"), LAYERS, ids=[f"{x[0]}-{i}" for i, x in enumerate(LAYERS)]
)
def test_layers_keep_pytorchs_statistics_and_state(name, args, options, shape):
    """Three batches of training, then evaluation by what was kept."""
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(*args, **options).double()
    ours = getattr(nn, name)(*args, **options).double()
    assert repr(ours) == repr(theirs)
    same_state(ours, theirs)
    for seed in range(3):
        agree(ours, theirs, array(*shape, seed=seed))
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-12, atol=1e-12)
    agree(ours.eval(), theirs.eval(), array(*shape, seed=7))


@pytest.mark.parametrize("rows", [1, 3, 200])
def test_rows_far_from_zero_keep_their_digits(rows):
    x = (array(rows, 513) + 1000).astype(np.float32)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(1, keepdims=True)) / np.sqrt(exact.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(F.layer_norm(wootz.tensor(x), (513,)).numpy(), expected, rtol=0, atol=5e-4)


def test_gradients_do_not_depend_on_the_number_of_threads():
    x, w = array(999, 64).astype(np.float32), array(64).astype(np.float32)
    before, results = wootz.get_num_threads(), []
    try:
        for threads in (1, 3):
            wootz.set_num_threads(threads)
            leaf, weight = wootz.tensor(x).requires_grad_(), wootz.tensor(w).requires_grad_()
            F.layer_norm(leaf, (64,), weight).square().sum().backward()
            results.append((leaf.grad.numpy(), weight.grad.numpy()))
    finally:
        wootz.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: F.layer_norm(wootz.ones(2, 3), (4,)), ShapeError, "does not end in"),
        (lambda: F.layer_norm(wootz.ones(2, 3), (3,), wootz.ones(4)), ShapeError, "expected weight of shape"),
        (lambda: F.group_norm(wootz.ones(2, 3), 2), ShapeError, "over 2 groups"),
        (lambda: F.batch_norm(wootz.ones(1, 3), None, None, training=True), ValueError, "more than 1 value"),
        (lambda: F.batch_norm(wootz.ones(2, 3), None, None), ValueError, "needs running_mean"),
        (lambda: F.batch_norm(wootz.ones(2, 3), None, None, wootz.ones(2), None, True), ShapeError, "weight of shape"),
        (lambda: F.instance_norm(wootz.ones(2, 3, 1)), ValueError, "more than 1 spatial"),
        (lambda: nn.BatchNorm2d(3)(wootz.ones(2, 3)), ShapeError, "expected 4D input"),
        (lambda: nn.BatchNorm1d(3)(wootz.ones(2, 4)), ShapeError, "expected 3 channels"),
        (lambda: nn.GroupNorm(2, 3), ValueError, "divisible"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
