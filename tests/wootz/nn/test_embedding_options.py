"""Options of embeddings: norms that are cut, gradients by frequency, ready tables, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.errors import ShapeError
from wootz.nn import functional as F

TABLE = np.random.default_rng(0).standard_normal((6, 3)) * 2
INDEX = np.array([[1, 1, 4], [0, 4, 1]])


def test_rows_in_use_are_cut_to_the_norm_in_place_and_others_kept() -> None:
    table = wootz.from_numpy(TABLE.copy()).requires_grad_()
    out = F.embedding(wootz.from_numpy(INDEX), table, max_norm=1.0, norm_type=1.0)
    sizes = np.abs(TABLE).sum(1, keepdims=True)
    cut = np.where(sizes > 1, TABLE / (sizes + 1e-7), TABLE)
    expected = np.where(np.isin(np.arange(6), INDEX)[:, None], cut, TABLE)
    np.testing.assert_allclose(table.detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(out.detach().numpy(), expected[INDEX], rtol=1e-12)
    out.sum().backward()
    assert table.grad is not None and table.grad[4].tolist() == [2, 2, 2]


def test_gradients_are_divided_by_how_often_a_row_is_used() -> None:
    table = wootz.from_numpy(TABLE.copy()).requires_grad_()
    weight = np.arange(18.0).reshape(2, 3, 3)
    out = F.embedding(wootz.from_numpy(INDEX), table, scale_grad_by_freq=True)
    np.testing.assert_array_equal(out.detach().numpy(), TABLE[INDEX])
    (out * wootz.from_numpy(weight)).sum().backward()
    expected = np.zeros((6, 3))
    np.add.at(expected, INDEX, weight)
    expected /= np.maximum(np.bincount(INDEX.ravel(), minlength=6), 1)[:, None]
    assert table.grad is not None
    np.testing.assert_allclose(table.grad.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("options", [{"max_norm": 1.5}, {"padding_idx": 1}], ids=str)
@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags_take_the_same_options_as_pytorchs(options: dict[str, Any], mode: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    found = []
    for library, make in ((wootz, wootz.from_numpy), (torch, torch.from_numpy)):
        layer = library.nn.EmbeddingBag(6, 3, mode=mode, _weight=make(TABLE.copy()), **options)
        out = layer(make(INDEX.copy()))
        (out * out).sum().backward()
        found.append([x.detach().numpy() for x in (out, layer.weight, layer.weight.grad)])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10)


def test_bags_divide_gradients_by_frequency_too() -> None:
    """PyTorch's divides by the frequencies of other rows."""
    table = wootz.from_numpy(TABLE.copy()).requires_grad_()
    F.embedding_bag(wootz.from_numpy(INDEX), table, mode="sum", scale_grad_by_freq=True).sum().backward()
    assert table.grad is not None
    np.testing.assert_allclose(table.grad.numpy(), np.isin(np.arange(6), INDEX)[:, None] * np.ones((6, 3)), rtol=1e-12)


def test_ready_tables() -> None:
    layer = nn.Embedding.from_pretrained(wootz.from_numpy(TABLE), padding_idx=2)
    np.testing.assert_array_equal(layer(wootz.tensor([2, 5])).numpy(), TABLE[[2, 5]])
    assert not layer.weight.requires_grad and (layer.num_embeddings, layer.embedding_dim) == (6, 3)
    bag = nn.EmbeddingBag.from_pretrained(wootz.from_numpy(TABLE), freeze=False, mode="sum")
    assert bag.weight.requires_grad and repr(bag) == "EmbeddingBag(6, 3, mode='sum')"
    assert repr(nn.Embedding(4, 2, -1, 1.0)) == "Embedding(4, 2, padding_idx=3, max_norm=1.0)"
    with pytest.raises(ShapeError):
        nn.Embedding(4, 2, _weight=wootz.zeros(2, 4))
    with pytest.raises(ShapeError):
        nn.Embedding.from_pretrained(wootz.zeros(3))


def test_sparse_gradients_are_refused_where_they_are_asked_for() -> None:
    for make in (lambda: nn.Embedding(4, 2, sparse=True), lambda: nn.EmbeddingBag(4, 2, sparse=True)):
        with pytest.raises(ValueError, match="sparse tensors, which are not here"):
            make()
    with pytest.raises(ValueError, match="leave sparse=False"):
        F.embedding(wootz.tensor([0]), wootz.zeros(2, 2), sparse=True)
    with pytest.raises(ValueError, match="modes 'sum' and 'mean'"):
        F.embedding_bag(wootz.tensor([[0]]), wootz.zeros(2, 2), mode="max", scale_grad_by_freq=True)
