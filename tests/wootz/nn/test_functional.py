"""Layers and losses against NumPy in float64, their derivatives by gradcheck, and PyTorch where it is installed."""

from math import erf

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.autograd import gradcheck
from wootz.nn import functional as F


def tensor(*shape, seed=0, grad=False):
    return wootz.from_numpy(np.random.default_rng(seed).normal(size=shape)).requires_grad_(grad)


def check(got, expected, tolerance=1e-10):
    np.testing.assert_allclose(got.detach().numpy(), expected, tolerance, tolerance)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


ACTIVATIONS = {
    "relu": (F.relu, nn.ReLU(), lambda x: np.maximum(x, 0)),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "elu": (lambda x: F.elu(x, 1.5), nn.ELU(1.5), lambda x: np.where(x > 0, x, 1.5 * np.expm1(x))),
    "gelu": (F.gelu, nn.GELU(), lambda x: x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))),
    "gelu tanh": (
        lambda x: F.gelu(x, approximate="tanh"),
        nn.GELU("tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    ),
    "silu": (F.silu, nn.SiLU(), lambda x: x / (1 + np.exp(-x))),
    "sigmoid": (F.sigmoid, nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
    "tanh": (F.tanh, nn.Tanh(), np.tanh),
    "softplus": (lambda x: F.softplus(x, 2.0), nn.Softplus(2.0), lambda x: np.log1p(np.exp(2 * x)) / 2),
    "softmax": (lambda x: F.softmax(x, 0), nn.Softmax(0), lambda x: softmax(x, 0)),
    "log_softmax": (lambda x: F.log_softmax(x, -1), nn.LogSoftmax(-1), lambda x: np.log(softmax(x))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    function, module, reference = ACTIVATIONS[name]
    x = tensor(3, 4, grad=True)
    check(function(x), reference(x.detach().numpy()), 1e-7)
    check(module(x), reference(x.detach().numpy()), 1e-7)
    assert gradcheck(function, (x,))


def test_relu_in_place():
    x = wootz.tensor([-1.0, 2.0])
    assert F.relu(x, inplace=True) is x and x.tolist() == [0, 2]
    assert nn.ReLU(inplace=True)(wootz.tensor([-3.0])).tolist() == [0]


@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 3, 5)])
def test_linear(shape):
    layer = nn.Linear(5, 4, dtype=wootz.float64)
    x = tensor(*shape, grad=True)
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    check(layer(x), x.detach().numpy() @ w.T + b)
    check(nn.Linear(5, 4, bias=False, dtype=wootz.float64)(x) * 0, np.zeros((*shape[:-1], 4)))
    assert gradcheck(F.linear, (x, layer.weight, layer.bias))


@pytest.mark.parametrize(("shape", "normalised"), [((3, 6), (6,)), ((2, 3, 4), (3, 4)), ((4,), (4,))])
def test_norms(shape, normalised):
    x, axes = tensor(*shape, grad=True), tuple(range(-len(normalised), 0))
    w, b = tensor(*normalised, seed=1, grad=True), tensor(*normalised, seed=2, grad=True)
    a = x.detach().numpy()
    unit = (a - a.mean(axes, keepdims=True)) / np.sqrt(a.var(axes, keepdims=True) + 1e-5)
    check(F.layer_norm(x, normalised, w, b), unit * w.detach().numpy() + b.detach().numpy())
    check(F.layer_norm(x, normalised), unit)
    scaled = a / np.sqrt((a * a).mean(axes, keepdims=True) + 1e-3)
    check(F.rms_norm(x, normalised, w, 1e-3), scaled * w.detach().numpy())
    assert gradcheck(lambda x, w, b: F.layer_norm(x, normalised, w, b), (x, w, b))
    assert gradcheck(lambda x, w: F.rms_norm(x, normalised, w, 1e-3), (x, w))


def test_norm_layers():
    x = tensor(3, 6)
    layer = nn.LayerNorm(6, dtype=wootz.float64)
    check(layer(x), F.layer_norm(x, (6,)).numpy())
    assert set(layer.state_dict()) == {"weight", "bias"}
    assert set(nn.LayerNorm(6, bias=False).state_dict()) == {"weight"} == set(nn.RMSNorm((6,)).state_dict())
    assert not nn.LayerNorm(6, elementwise_affine=False).state_dict()
    a = x.numpy()
    eps = np.finfo("f8").eps
    check(nn.RMSNorm(6, dtype=wootz.float64)(x), a / np.sqrt((a * a).mean(-1, keepdims=True) + eps))
    with pytest.raises(ValueError, match="does not end in"):
        F.layer_norm(x, (3,))


def test_embedding_and_its_padding():
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4 and layer.weight[4].tolist() == [0, 0, 0]
    index = wootz.tensor([[1, 4], [1, 0]])
    out = layer(index)
    np.testing.assert_array_equal(out.detach().numpy(), layer.weight.detach().numpy()[index.numpy()])
    out.sum().backward()
    assert layer.weight.grad.tolist() == [[1] * 3, [2] * 3, [0] * 3, [0] * 3, [0] * 3]
    with pytest.raises(ValueError, match="out of range"):
        nn.Embedding(5, 3, padding_idx=5)


def test_dropout_inside_vmap_draws_as_vmap_says():
    x = wootz.ones(6, 40)
    drawn = wootz.vmap(lambda row: F.dropout(row, 0.5), randomness="different")(x).tolist()
    assert len({tuple(row) for row in drawn}) == 6
    same = wootz.vmap(lambda row: F.dropout(row, 0.5), randomness="same")(x).tolist()
    assert len({tuple(row) for row in same}) == 1


def test_dropout():
    wootz.manual_seed(0)
    x = wootz.ones(10_000)
    y = F.dropout(x, 0.25)
    kept = y.numpy() != 0
    assert abs(kept.mean() - 0.75) < 5 * np.sqrt(0.25 * 0.75 / 10_000)
    np.testing.assert_allclose(y.numpy()[kept], 1 / 0.75, 1e-6)
    assert F.dropout(x, 0.25, training=False) is x and F.dropout(x, 0.0) is x
    assert not F.dropout(x, 1.0).numpy().any()
    layer = nn.Dropout(0.5)
    assert layer.eval()(x) is x
    wootz.manual_seed(7)
    first = layer.train()(x).tolist()
    wootz.manual_seed(7)
    assert layer(x).tolist() == first
    z = wootz.ones(100)
    assert F.dropout(z, 0.5, inplace=True) is z and set(z.tolist()) == {0.0, 2.0}
    w = wootz.ones(50, requires_grad=True)
    out = F.dropout(w, 0.5)
    out.sum().backward()
    assert w.grad.tolist() == out.tolist()
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="probability"):
            F.dropout(x, p)
        with pytest.raises(ValueError, match="probability"):
            nn.Dropout(p)


def test_flatten_and_unflatten():
    x = tensor(2, 3, 4)
    assert nn.Flatten()(x).shape == (2, 12) and nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Unflatten(1, (3, 1))(x).shape == (2, 3, 1, 4) and nn.Identity(3, a=1)(x) is x


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_simple_losses(reduction):
    finish = {"mean": np.mean, "sum": np.sum, "none": lambda v: v}[reduction]
    x, y = tensor(3, 4, grad=True), tensor(3, 4, seed=1)
    a, b = x.detach().numpy(), y.numpy()
    p = wootz.from_numpy(np.random.default_rng(2).uniform(size=(3, 4)))
    log = -(p.numpy() * np.log(1 / (1 + np.exp(-a))) + (1 - p.numpy()) * np.log(1 - 1 / (1 + np.exp(-a))))
    for function, module, target, expected in (
        (F.mse_loss, nn.MSELoss, y, (a - b) ** 2),
        (F.l1_loss, nn.L1Loss, y, abs(a - b)),
        (F.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss, p, log),
    ):
        check(function(x, target, reduction=reduction), finish(expected))
        check(module(reduction=reduction)(x, target), finish(expected))
        assert gradcheck(lambda v, f=function, t=target: f(v, t, reduction=reduction), (x,))


def test_losses_survive_large_logits():
    x = wootz.tensor([1000.0, -1000.0], requires_grad=True)
    assert F.binary_cross_entropy_with_logits(x, wootz.tensor([1.0, 0.0])).item() == 0
    assert F.cross_entropy(x, wootz.tensor(1)).item() == 2000


def cross_entropy(x, y, weight, ignore, smoothing, reduction):
    """The definition: a distribution for every label, minus its expected log-probability, weighed."""
    classes = x.shape[1]
    weight = np.ones(classes) if weight is None else weight
    log_p, keep = np.log(softmax(x, 1)), y != ignore
    onehot = np.eye(classes)[np.where(keep, y, 0)]
    target = ((1 - smoothing) * onehot + smoothing / classes) * weight
    losses = np.where(keep, -(target * np.moveaxis(log_p, 1, -1)).sum(-1), 0)
    if reduction == "none":
        return losses
    return losses.sum() / (weight[np.where(keep, y, 0)] * keep).sum() if reduction == "mean" else losses.sum()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 3), (2, 5, 2, 2)])
def test_cross_entropy(reduction, smoothing, weighted, shape):
    rng = np.random.default_rng(3)
    x = tensor(*shape, grad=True)
    y = rng.integers(0, 5, (shape[0], *shape[2:]))
    y.flat[1] = -100
    weight = rng.uniform(0.5, 2, 5) if weighted else None
    options = {"ignore_index": -100, "reduction": reduction, "label_smoothing": smoothing}
    target, w = wootz.from_numpy(y), None if weight is None else wootz.from_numpy(weight)
    expected = cross_entropy(x.detach().numpy(), y, weight, -100, smoothing, reduction)
    check(F.cross_entropy(x, target, w, **options), expected)
    check(nn.CrossEntropyLoss(w, **options)(x, target), expected)
    assert gradcheck(lambda v: F.cross_entropy(v, target, w, **options), (x,))
    if not smoothing:
        options.pop("label_smoothing")
        check(F.nll_loss(F.log_softmax(x, 1), target, w, **options), expected)
        check(nn.NLLLoss(w, **options)(F.log_softmax(x, 1), target), expected)


def test_cross_entropy_of_one_row_and_of_none():
    x = tensor(4)
    check(F.cross_entropy(x, wootz.tensor(2)), -np.log(softmax(x.numpy()))[2])
    assert np.isnan(F.cross_entropy(wootz.zeros(2, 3), wootz.tensor([-100, -100])).item())
    assert F.cross_entropy(wootz.zeros(0, 3), wootz.zeros(0, dtype=wootz.int64), reduction="sum").item() == 0


def test_bad_inputs_of_losses_are_refused():
    x, y = wootz.zeros(2, 3), wootz.tensor([0, 1])
    for call in (
        lambda: F.mse_loss(x, wootz.zeros(3)),
        lambda: F.l1_loss(x, y),
        lambda: F.mse_loss(x, x, reduction="average"),
        lambda: F.cross_entropy(x, y, reduction="average"),
        lambda: F.cross_entropy(x, wootz.tensor([0, 1, 2])),
        lambda: F.cross_entropy(x, x[0]),
        lambda: F.cross_entropy(wootz.tensor(1.0), wootz.tensor(0)),
        lambda: F.cross_entropy(x, y, label_smoothing=1.5),
        lambda: nn.MSELoss("average"),
    ):
        with pytest.raises(ValueError):
            call()
    with pytest.raises((IndexError, ValueError)):
        F.cross_entropy(x, wootz.tensor([0, 3]))


def test_one_hot():
    assert F.one_hot(wootz.tensor([[2, 0]]), 3).tolist() == [[[0, 0, 1], [1, 0, 0]]]


def test_functions_agree_with_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    a, w, b = (np.random.default_rng(i).normal(size=s).astype("f4") for i, s in enumerate([(4, 6), (6,), (6,)]))
    y = np.array([0, 5, -100, 2])
    calls = {
        "gelu": lambda f, x, w, b, y: f.gelu(x) + f.gelu(x, approximate="tanh"),
        "acts": lambda f, x, w, b, y: f.silu(x) + f.elu(x) + f.softplus(x) + f.leaky_relu(x) + f.softmax(x, -1),
        "norm": lambda f, x, w, b, y: f.layer_norm(x, (6,), w, b) + f.rms_norm(x, (6,), w),
        "loss": lambda f, x, w, b, y: f.cross_entropy(x, y, w.detach().abs(), label_smoothing=0.1),
        "mean": lambda f, x, w, b, y: f.cross_entropy(x, y) + f.nll_loss(f.log_softmax(x, 1), y, w.detach().abs()),
    }
    for name, call in calls.items():
        results = []
        for lib, f in ((wootz, F), (torch, torch.nn.functional)):
            x, w_, b_ = (lib.from_numpy(v.copy()).requires_grad_() for v in (a, w, b))
            out = call(f, x, w_, b_, lib.from_numpy(y))
            out.sum().backward()
            results.append((out.detach().numpy(), x.grad.numpy()))
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, 2e-5, 2e-6, err_msg=name)
