"""The longer list of activations: formulas in NumPy, derivatives by gradcheck, PyTorch where it is installed."""

from inspect import signature

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.autograd import gradcheck
from wootz.nn import functional as F

X = np.random.default_rng(2).normal(size=(4, 6)) * 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# function, options, module, formula
CASES = {
    "relu6": ({}, "ReLU6", lambda x: np.clip(x, 0, 6)),
    "hardtanh": ({"min_val": -2.0, "max_val": 0.5}, "Hardtanh", lambda x: np.clip(x, -2, 0.5)),
    "threshold": ({"threshold": 0.3, "value": -7.0}, "Threshold", lambda x: np.where(x > 0.3, x, -7)),
    "hardsigmoid": ({}, "Hardsigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "hardswish": ({}, "Hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "hardshrink": ({"lambd": 0.7}, "Hardshrink", lambda x: np.where(abs(x) > 0.7, x, 0)),
    "softshrink": ({"lambd": 0.7}, "Softshrink", lambda x: np.sign(x) * np.maximum(abs(x) - 0.7, 0)),
    "tanhshrink": ({}, "Tanhshrink", lambda x: x - np.tanh(x)),
    "softsign": ({}, "Softsign", lambda x: x / (1 + abs(x))),
    "celu": ({"alpha": 1.5}, "CELU", lambda x: np.maximum(x, 0) + np.minimum(0, 1.5 * np.expm1(x / 1.5))),
    "selu": ({}, "SELU", lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
    "mish": ({}, "Mish", lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "logsigmoid": ({}, "LogSigmoid", lambda x: np.log(sigmoid(x))),
    "glu": ({"dim": 1}, "GLU", lambda x: x[:, :3] * sigmoid(x[:, 3:])),
    "softmin": ({"dim": 0}, "Softmin", lambda x: np.exp(-x) / np.exp(-x).sum(0)),
    "rrelu": ({"lower": 0.1, "upper": 0.3}, "RReLU", lambda x: np.where(x > 0, x, 0.2 * x)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(name):
    options, module, formula = CASES[name]
    x = wootz.from_numpy(X.copy()).requires_grad_()
    np.testing.assert_allclose(getattr(F, name)(x, **options).detach().numpy(), formula(X), 1e-9, 1e-12)
    np.testing.assert_allclose(getattr(nn, module)(**options).eval()(x).detach().numpy(), formula(X), 1e-9, 1e-12)
    assert gradcheck(lambda x: getattr(F, name)(x, **options), (x,))


@pytest.mark.parametrize("name", CASES)
def test_agreement_with_pytorch(name):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    options, module, _ = CASES[name]
    results = []
    for library in (wootz, torch):
        x = library.from_numpy(X.copy()).requires_grad_()
        made = getattr(library.nn, module)(**options).eval()
        out = made(x)
        out.sum().backward()
        results.append((out.detach().numpy(), x.grad.numpy(), repr(made)))
    for ours, theirs in zip(results[0][:2], results[1][:2], strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-7, 1e-9)
    assert results[0][2] == results[1][2]


IN_PLACE = [name for name in CASES if "inplace" in signature(getattr(F, name)).parameters]


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name):
    options, _, formula = CASES[name]
    x = wootz.from_numpy(X.copy())
    assert len(IN_PLACE) == 9
    assert getattr(F, name)(x, **options, inplace=True) is x
    np.testing.assert_allclose(x.numpy(), formula(X), 1e-9, 1e-12)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "celu", "selu", "hardtanh", "threshold", "rrelu"])
def test_the_functions_that_end_in_an_underscore(name):
    options = {"threshold": 0.3, "value": -7.0} if name == "threshold" else {}
    x = wootz.from_numpy(X.copy())
    expected = getattr(F, name)(wootz.from_numpy(X.copy()), **options).tolist()
    assert getattr(F, f"{name}_")(x, **options) is x and x.tolist() == expected


def test_prelu_learns_a_slope_for_each_channel():
    layer = nn.PReLU(6, init=0.5).double()
    x = wootz.from_numpy(X.copy()).requires_grad_()
    np.testing.assert_allclose(layer(x).detach().numpy(), np.where(X > 0, X, X / 2))
    assert gradcheck(F.prelu, (x, layer.weight)) and list(layer.state_dict()) == ["weight"]
    image = wootz.ones(2, 3, 4, 4) * -1
    assert F.prelu(image, wootz.tensor([1.0, 2.0, 3.0]))[0, :, 0, 0].tolist() == [-1, -2, -3]


def test_random_slopes_are_within_their_bounds_in_training():
    wootz.manual_seed(0)
    out = nn.RReLU(0.2, 0.4)(-wootz.ones(1000)).numpy()
    assert out.min() >= -0.4 and out.max() <= -0.2 and out.std() > 0.03


def test_gumbel_softmax_draws_from_the_distribution():
    wootz.manual_seed(0)
    logits = wootz.tensor([1.0, 0.0, 3.0]).expand(4000, 3)
    hard = F.gumbel_softmax(logits, hard=True)
    assert set(hard.unbind()[0].round().tolist()) == {0.0, 1.0}
    p = np.exp([1.0, 0.0, 3.0]) / np.exp([1.0, 0.0, 3.0]).sum()
    assert (abs(hard.numpy().mean(0) - p) < 5 * np.sqrt(p * (1 - p) / 4000)).all()
    x = wootz.randn(2, 3, requires_grad=True)
    soft = F.gumbel_softmax(x, tau=0.5)
    np.testing.assert_allclose(soft.sum(-1).detach().numpy(), 1, 1e-5)
    F.gumbel_softmax(x, hard=True)[:, 0].sum().backward()
    assert x.grad.abs().sum().item() > 0


def test_softmax_over_channels():
    image = wootz.randn(2, 3, 4, 5)
    np.testing.assert_allclose(nn.Softmax2d()(image).sum(1).numpy(), 1, 1e-5)
    with pytest.raises(ValueError, match="image"):
        nn.Softmax2d()(wootz.ones(2, 2))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: F.hardtanh(x, 1.0, -1.0),
        lambda x: F.softshrink(x, -1.0),
        lambda x: F.celu(x, 0.0),
        lambda x: F.glu(x, 0),
        lambda x: F.prelu(x, wootz.ones(5)),
        lambda x: F.rrelu(x, 0.5, 0.1),
    ],
)
def test_bad_options_are_refused(make):
    with pytest.raises(ValueError):
        make(wootz.ones(3, 4))


@pytest.mark.parametrize("name", [*IN_PLACE, "relu", "leaky_relu", "elu", "silu"])
def test_in_place_activations_have_the_derivative_of_the_others(name: str) -> None:
    start, options = (
        wootz.tensor([-2.0, -0.4, 0.3, 1.7, 5.0], dtype=wootz.float64),
        CASES[name][0] if name in CASES else {},
    )
    found = []
    for inplace in (False, True):
        leaf = (start + 0).requires_grad_()
        middle = leaf * 1.5
        out = getattr(F, name)(middle, **options, inplace=inplace)
        assert (out is middle) == inplace
        out.square().sum().backward()
        assert leaf.grad is not None
        found.append((out.detach().numpy(), leaf.grad.numpy()))
    for plain, there in zip(*found, strict=True):
        np.testing.assert_allclose(there, plain, rtol=1e-12)
