"""Clipping gradients, parameters as a vector, parametrisations; against NumPy and PyTorch where it is installed."""

import copy

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.errors import GradientError, ShapeError
from wootz.nn.utils import parametrizations, parametrize
from wootz.optim import SGD


def with_gradients(library, make, dtype="f4"):
    params = []
    for i, shape in enumerate([(3, 2), (4,), (2,)]):
        p = make(np.zeros(shape, dtype)).requires_grad_()
        if i < 2:
            p.grad = make(np.random.default_rng(i).normal(size=shape).astype(dtype))
        params.append(p)
    return params


def flat(params):
    return np.concatenate([p.grad.numpy().ravel() for p in params if p.grad is not None])


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, np.inf])
@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_gradients_are_scaled_to_a_norm(norm_type, limit):
    params = with_gradients(wootz, wootz.from_numpy)
    before = flat(params)
    total = np.linalg.norm(before, norm_type)
    assert nn.utils.clip_grad_norm_(iter(params), limit, norm_type).item() == pytest.approx(total, rel=1e-5)
    np.testing.assert_allclose(flat(params), before * min(1, limit / (total + 1e-6)), 1e-5)


def test_gradients_are_cut_off():
    params = with_gradients(wootz, wootz.from_numpy)
    before = flat(params)
    nn.utils.clip_grad_value_(params, 0.3)
    np.testing.assert_array_equal(flat(params), np.clip(before, np.float32(-0.3), np.float32(0.3)))


def test_gradients_that_are_not_finite_can_be_an_error():
    (p, *_) = params = with_gradients(wootz, wootz.from_numpy)
    p.grad[0, 0] = float("nan")
    assert np.isnan(nn.utils.get_total_norm([q.grad for q in params[:2]]).item())
    with pytest.raises(GradientError, match="NaN"):
        nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert nn.utils.clip_grad_norm_(wootz.ones(2), 1.0).item() == 0


def test_parameters_as_a_vector_and_back():
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(model.parameters())
    assert vector.tolist() == model.weight.flatten().tolist() + model.bias.tolist() and vector.requires_grad
    nn.utils.vector_to_parameters(vector, other.parameters())
    assert other.weight.tolist() == model.weight.tolist() and other.weight.is_leaf
    with pytest.raises(ShapeError, match="8 elements"):
        nn.utils.vector_to_parameters(vector[:7], other.parameters())


class Symmetric(nn.Module):
    def forward(self, x):
        return wootz.triu(x) + wootz.triu(x, 1).T

    def right_inverse(self, x):
        return wootz.triu(x)


class Double(nn.Module):
    def forward(self, x):
        return x * 2


def test_a_parametrised_weight_is_a_function_of_what_is_trained():
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(layer, "bias")
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    optimizer = SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        layer(wootz.randn(5, 3)).square().sum().backward()
        optimizer.step()
    assert layer.weight.tolist() == layer.weight.T.tolist()
    layer.weight = wootz.tensor([[1.0, 2, 3], [2, 4, 5], [3, 5, 6]])
    assert layer.parametrizations.weight.original.tolist() == [[1, 2, 3], [0, 4, 5], [0, 0, 6]]
    assert copy.deepcopy(layer).weight.tolist() == layer.weight.tolist()
    parametrize.register_parametrization(layer, "weight", Double())
    assert layer.weight[0].tolist() == [2, 4, 6]
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    value = layer.weight.tolist()
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight.tolist() == value and isinstance(layer.weight, nn.Parameter)
    assert list(dict(layer.named_parameters())) == ["bias", "weight"] and layer.weight.requires_grad


def test_buffers_are_parametrised_too_and_originals_come_back():
    module = nn.Module()
    module.register_buffer("scale", wootz.ones(2))
    parametrize.register_parametrization(module, "scale", Double())
    assert module.scale.tolist() == [2, 2] and not list(module.parameters())
    parametrize.remove_parametrizations(module, "scale", leave_parametrized=False)
    assert module.scale.tolist() == [1, 1] and type(module) is nn.Module and "scale" in module.state_dict()


def test_what_does_not_fit_is_refused():
    class Half(nn.Module):
        def forward(self, x):
            return x[:1]

    layer = nn.Linear(3, 3)
    with pytest.raises(ShapeError, match="unsafe=True"):
        parametrize.register_parametrization(layer, "weight", Half())
    assert type(layer) is nn.Linear
    parametrize.register_parametrization(layer, "weight", Half(), unsafe=True)
    assert layer.weight.shape == (1, 3)
    with pytest.raises(KeyError, match="no parameter or buffer 'kernel'"):
        parametrize.register_parametrization(layer, "kernel", Double())
    with pytest.raises(ValueError, match="no parametrised 'bias'"):
        parametrize.remove_parametrizations(layer, "bias")
    parametrizations.weight_norm(layer, "bias")
    with pytest.raises(ValueError, match="several originals"):
        parametrize.remove_parametrizations(layer, "bias", leave_parametrized=False)
    with pytest.raises(KeyError):
        parametrizations.spectral_norm(layer, "kernel")
    with pytest.raises(ValueError, match="n_power_iterations"):
        parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_splits_length_from_direction(dim):
    layer = nn.Linear(3, 4)
    before = layer.weight.detach().numpy().copy()
    parametrizations.weight_norm(layer, dim=dim)
    length, direction = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    axes = None if dim is None else 1 - dim
    np.testing.assert_allclose(
        length.detach().numpy().ravel(), np.atleast_1d(np.sqrt((before**2).sum(axes))).ravel(), 1e-5
    )
    np.testing.assert_allclose(layer.weight.detach().numpy(), before, 1e-5)
    length.detach().mul_(2)
    direction.detach().mul_(5)
    np.testing.assert_allclose(layer.weight.detach().numpy(), before * 2, 1e-5)


def test_spectral_norm_divides_by_the_largest_singular_value():
    wootz.manual_seed(0)
    layer = nn.Linear(5, 4)
    matrix = layer.weight.detach().numpy().copy()
    parametrizations.spectral_norm(layer, n_power_iterations=5)
    for _ in range(20):
        layer(wootz.ones(1, 5))
    np.testing.assert_allclose(layer.weight.detach().numpy(), matrix / np.linalg.svd(matrix)[1][0], 1e-4, 1e-5)
    layer.eval()
    held = layer.parametrizations.weight[0]._u.tolist()
    layer(wootz.ones(1, 5)).sum().backward()
    assert held == layer.parametrizations.weight[0]._u.tolist()
    assert layer.parametrizations.weight.original.grad.abs().sum().item() > 0


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder", None])
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_orthogonal_weights_stay_orthogonal_while_they_are_trained(kind, shape):
    wootz.manual_seed(1)
    layer = nn.Linear(*shape, dtype=wootz.float64)
    nn.init.orthogonal_(layer.weight)
    before = layer.weight.detach().numpy().copy()
    parametrizations.orthogonal(layer, orthogonal_map=kind)
    np.testing.assert_allclose(layer.weight.detach().numpy(), before, atol=1e-12)
    optimizer = SGD(layer.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        layer(wootz.ones(2, shape[0], dtype=wootz.float64)).square().sum().backward()
        optimizer.step()
    weight = layer.weight.detach().numpy()
    product = weight.T @ weight if weight.shape[0] >= weight.shape[1] else weight @ weight.T
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-10)
    assert abs(weight - before).max() > 0.01


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_weights_and_their_derivatives_are_pytorchs(kind):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    theirs = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(3, 5, dtype=torch.float64), orthogonal_map=kind)
    ours = parametrizations.orthogonal(nn.Linear(3, 5, dtype=wootz.float64), orthogonal_map=kind)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    rng = np.random.default_rng(0)
    with torch.no_grad():
        theirs.parametrizations.weight.original.add_(torch.from_numpy(rng.normal(size=(5, 3)) * 0.3).tril(-1))
    ours.load_state_dict({k: wootz.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), 1e-8, 1e-10)
    factor = rng.normal(size=(5, 3))
    (ours.weight * wootz.from_numpy(factor)).sum().backward()
    (theirs.weight * torch.from_numpy(factor)).sum().backward()
    gradients = [layer.parametrizations.weight.original.grad.numpy() for layer in (ours, theirs)]
    np.testing.assert_allclose(*gradients, 1e-7, 1e-9)


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)], ids=str)
def test_orthogonal_maps_of_the_weight_alone_are_pytorchs(kind, shape):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    start = np.random.default_rng(4).standard_normal(shape)
    layers = []
    for library, make in ((wootz, wootz.from_numpy), (torch, torch.from_numpy)):
        layer = library.nn.Linear(shape[1], shape[0], bias=False).double()
        layer.weight.data.copy_(make(start.copy()))
        library.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=kind, use_trivialization=False)
        (layer.weight * make(start.copy())).sum().backward()
        layers.append(layer)
    ours, theirs = layers
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_allclose(*(layer.weight.detach().numpy() for layer in layers), rtol=1e-10, atol=1e-12)
    gradients = [layer.parametrizations.weight.original.grad.numpy() for layer in layers]
    np.testing.assert_allclose(*gradients, rtol=1e-8, atol=1e-10)


def test_what_cannot_be_orthogonal_is_refused():
    for call in (
        lambda: parametrizations.orthogonal(nn.Linear(2, 2), "bias"),
        lambda: parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="square"),
    ):
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize(("name", "options"), [("weight_norm", {"dim": 1}), ("weight_norm", {}), ("spectral_norm", {})])
def test_states_of_parametrised_layers_go_over_from_pytorch(name, options):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    theirs = getattr(torch.nn.utils.parametrizations, name)(torch.nn.Linear(3, 4), **options)
    ours = getattr(parametrizations, name)(nn.Linear(3, 4), **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: wootz.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("f4")
    for layer in (ours, theirs):
        layer.eval()
    ours(wootz.from_numpy(x)).square().sum().backward()
    theirs(torch.from_numpy(x)).square().sum().backward()
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), 1e-5, 1e-6)
    gradients = {k: p.grad for k, p in theirs.named_parameters()}
    for key, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), gradients[key].numpy(), 1e-4, 1e-5)
