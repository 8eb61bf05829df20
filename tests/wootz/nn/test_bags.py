"""Bilinear maps, bags of embeddings, pairs of rows, buffers by assignment; PyTorch where it is installed."""

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.autograd import gradcheck
from wootz.errors import ShapeError
from wootz.nn import functional as F

RNG = np.random.default_rng(0)


def tensor(*shape, grad=True):
    return wootz.from_numpy(RNG.normal(size=shape)).requires_grad_(grad)


def test_bilinear_maps():
    layer = nn.Bilinear(3, 4, 2, dtype=wootz.float64)
    x, y = tensor(5, 2, 3), tensor(5, 2, 4)
    expected = np.einsum("abi,kij,abj->abk", x.detach().numpy(), layer.weight.detach().numpy(), y.detach().numpy())
    np.testing.assert_allclose(layer(x, y).detach().numpy(), expected + layer.bias.detach().numpy(), 1e-9)
    assert gradcheck(F.bilinear, (x[0], y[0], layer.weight, layer.bias))
    assert abs(layer.weight.detach().numpy()).max() <= 3**-0.5 and nn.Bilinear(3, 4, 2, bias=False).bias is None
    with pytest.raises(ShapeError):
        layer(x, y[:1])
    with pytest.raises(ValueError):
        nn.Bilinear(0, 1, 1)


TABLE = RNG.normal(size=(6, 3))
VECTOR = np.array([1, 2, 4, 5, 4, 3, 2, 9 % 6])
OFFSETS = np.array([0, 3, 3, 6])


def by_hand(bags, mode, padding=None, weights=None):
    rows = []
    for k, bag in enumerate(bags):
        kept = [TABLE[i] * (1 if weights is None else weights[k][j]) for j, i in enumerate(bag) if i != padding]
        rows.append(getattr(np, mode)(kept, axis=0) if kept else np.zeros(3))
    return np.array(rows)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 4])
def test_bags_of_embeddings(mode, padding):
    table = wootz.from_numpy(TABLE.copy()).requires_grad_()
    bags = np.split(VECTOR, OFFSETS[1:])
    options = {"mode": mode, "padding_idx": padding}
    flat, offsets = wootz.from_numpy(VECTOR), wootz.from_numpy(OFFSETS)
    got = F.embedding_bag(flat, table, offsets, **options)
    np.testing.assert_allclose(got.detach().numpy(), by_hand(bags, mode, padding), 1e-9)
    square = wootz.from_numpy(VECTOR.reshape(2, 4))
    got = F.embedding_bag(square, table, **options)
    np.testing.assert_allclose(got.detach().numpy(), by_hand(VECTOR.reshape(2, 4), mode, padding), 1e-9)
    ends = wootz.from_numpy(np.append(OFFSETS, 7))
    got = F.embedding_bag(flat, table, ends, include_last_offset=True, **options)
    np.testing.assert_allclose(got.detach().numpy(), by_hand([*bags[:-1], VECTOR[6:7]], mode, padding), 1e-9)
    assert gradcheck(lambda w: F.embedding_bag(flat, w, offsets, **options), (table,))


def test_weighted_bags_and_the_layer():
    layer = nn.EmbeddingBag(6, 3, mode="sum", dtype=wootz.float64)
    layer.load_state_dict({"weight": wootz.from_numpy(TABLE)})
    weights = RNG.normal(size=(2, 4))
    got = layer(wootz.from_numpy(VECTOR.reshape(2, 4)), per_sample_weights=wootz.from_numpy(weights))
    np.testing.assert_allclose(got.detach().numpy(), by_hand(VECTOR.reshape(2, 4), "sum", weights=weights), 1e-9)
    assert nn.EmbeddingBag(6, 3, padding_idx=2).weight[2].tolist() == [0, 0, 0]
    assert (
        F.embedding_bag(wootz.zeros(0, dtype=wootz.int64), layer.weight, wootz.tensor([0, 0])).tolist() == [[0] * 3] * 2
    )


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_are_pytorchs(mode):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    results = []
    for library in (wootz, torch):
        table = library.from_numpy(TABLE.copy()).requires_grad_()
        indices, offsets = library.from_numpy(VECTOR), library.from_numpy(OFFSETS)
        out = library.nn.functional.embedding_bag(indices, table, offsets, mode=mode, padding_idx=3)
        out.sum().backward()
        results.append((out.detach().numpy(), table.grad.numpy()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-9, 1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, w: F.embedding_bag(x, w, wootz.tensor([0]), mode="median"),
        lambda x, w: F.embedding_bag(x, w),
        lambda x, w: F.embedding_bag(x.reshape((2, 4)), w, wootz.tensor([0])),
        lambda x, w: F.embedding_bag(x, w, wootz.tensor([1, 2])),
        lambda x, w: F.embedding_bag(x, w, wootz.tensor([0, 5, 3])),
        lambda x, w: F.embedding_bag(x, w, wootz.tensor([0, 9])),
        lambda x, w: F.embedding_bag(x, w, wootz.tensor([0]), per_sample_weights=wootz.ones(8)),
        lambda x, w: F.pdist(x),
    ],
)
def test_what_does_not_fit_is_refused(call):
    with pytest.raises(ValueError):
        call(wootz.from_numpy(VECTOR), wootz.from_numpy(TABLE))


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
def test_distances_of_all_pairs(p):
    x = tensor(4, 3)
    a = x.detach().numpy()
    expected = [np.linalg.norm(a[i] - a[j], p) for i in range(4) for j in range(i + 1, 4)]
    np.testing.assert_allclose(F.pdist(x, p).detach().numpy(), expected, 1e-9)
    assert gradcheck(lambda x: F.pdist(x, p), (x,))


def test_a_buffer_is_registered_by_assigning_it():
    module = nn.Module()
    module.kept, module.scratch = nn.Buffer(wootz.ones(2)), nn.Buffer(wootz.zeros(1), persistent=False)
    assert list(module.state_dict()) == ["kept"] and len(list(module.buffers())) == 2
    assert not list(module.parameters()) and not module.kept.requires_grad
