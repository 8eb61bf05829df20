"""First values: their distribution by exact bounds and by moments with error bars, their seed, and bad inputs."""

import math

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.nn import init

SHAPE = (200, 100)
N = SHAPE[0] * SHAPE[1]


def uniform(bound):
    return bound / math.sqrt(3), bound


def normal(std):
    return std, None


CASES = {
    "uniform": (lambda t: init.uniform_(t, -2, 2), uniform(2)),
    "normal": (lambda t: init.normal_(t, 0, 3), normal(3)),
    "xavier_uniform": (lambda t: init.xavier_uniform_(t, 2), uniform(2 * math.sqrt(6 / 300))),
    "xavier_normal": (lambda t: init.xavier_normal_(t), normal(math.sqrt(2 / 300))),
    "kaiming_uniform": (lambda t: init.kaiming_uniform_(t, math.sqrt(5)), uniform(1 / math.sqrt(100))),
    "kaiming_normal": (
        lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
        normal(math.sqrt(2 / 200)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_moments_and_bounds(name):
    fill, (std, bound) = CASES[name]
    wootz.manual_seed(1)
    t = wootz.zeros(SHAPE, requires_grad=True)
    assert fill(t) is t and t.is_leaf and t.requires_grad
    values = t.detach().numpy().astype("f8")
    assert abs(values.mean()) < 5 * std / math.sqrt(N)
    assert abs(values.std() / std - 1) < 5 / math.sqrt(N)
    if bound:
        assert abs(values).max() <= bound and abs(values).max() > bound * 0.999
    wootz.manual_seed(1)
    np.testing.assert_array_equal(fill(wootz.zeros(SHAPE)).numpy(), t.detach().numpy())


def test_truncated_normal_stays_within_its_bounds():
    wootz.manual_seed(2)
    values = init.trunc_normal_(wootz.zeros(SHAPE), std=1.0, a=-1.0, b=1.0).numpy()
    assert abs(values).max() <= 1 and abs(values.mean()) < 0.02
    assert abs(values.std() - 0.5396) < 0.01  # of a normal cut off at one deviation
    with pytest.raises(ValueError, match="out of order"):
        init.trunc_normal_(wootz.zeros(1), a=1.0, b=-1.0)
    with pytest.raises(ValueError, match="too far"):
        init.trunc_normal_(wootz.zeros(1), a=50.0, b=51.0)


def test_constants():
    t = wootz.zeros(2, 3)
    assert init.ones_(t) is t and t.tolist() == [[1] * 3] * 2
    assert init.constant_(t, 0.5).tolist() == [[0.5] * 3] * 2 and init.zeros_(t).tolist() == [[0] * 3] * 2
    assert init.eye_(t).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_gains():
    gains = {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    assert {name: init.calculate_gain(name) for name in gains} == gains
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)


def test_bad_inputs_are_refused():
    for call in (
        lambda: init.xavier_uniform_(wootz.zeros(3)),
        lambda: init.kaiming_normal_(wootz.zeros(3, 3), mode="in"),
        lambda: init.calculate_gain("softmax"),
        lambda: init.eye_(wootz.zeros(3)),
    ):
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize("make", [lambda m: m.Linear(64, 128), lambda m: m.Embedding(100, 100)])
def test_layers_start_like_pytorchs(make):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    wootz.manual_seed(3)
    torch.manual_seed(3)
    ours, theirs = make(nn), make(torch.nn)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        a, b = p.detach().numpy(), q.detach().numpy()
        error = 6 * b.std() / math.sqrt(a.size)
        assert abs(a.mean() - b.mean()) < 2 * error and abs(a.std() - b.std()) < 2 * error


def test_a_layer_without_inputs():
    layer = nn.Linear(0, 3)
    assert layer(wootz.zeros(2, 0)).tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3)])
def test_orthogonal_matrices(shape):
    matrix = init.orthogonal_(wootz.empty(shape, dtype=wootz.float64), gain=2.0).numpy().reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(min(matrix.shape)), atol=1e-12)
    assert init.orthogonal_(wootz.empty(0, 3)).shape == (0, 3)


def test_sparse_matrices_have_zeros_in_every_column():
    matrix = init.sparse_(wootz.empty(50, 8), 0.3, std=2.0).numpy()
    assert ((matrix == 0).sum(0) == 15).all() and 1.5 < matrix[matrix != 0].std() < 2.5
    assert len({tuple(column == 0) for column in matrix.T}) == 8


@pytest.mark.parametrize(("shape", "groups"), [((3, 3, 3), 1), ((4, 2, 3, 3), 2), ((2, 5, 1, 2, 3), 1)])
def test_dirac_weights_hand_channels_through(shape, groups):
    weight = init.dirac_(wootz.empty(shape), groups).numpy()
    middle = weight[(..., *(n // 2 for n in shape[2:]))]
    part = shape[0] // groups
    assert (middle == np.concatenate([np.eye(part, shape[1])] * groups)).all() and weight.sum() == middle.sum()


def test_further_bad_tensors_are_refused():
    for call in (
        lambda: init.orthogonal_(wootz.empty(3)),
        lambda: init.sparse_(wootz.empty(3), 0.1),
        lambda: init.sparse_(wootz.empty(3, 3), 1.1),
        lambda: init.dirac_(wootz.empty(3, 3)),
        lambda: init.dirac_(wootz.empty(3, 3, 3), 2),
    ):
        with pytest.raises(ValueError):
            call()
