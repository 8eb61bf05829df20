"""Layers and functions that few models have, against PyTorch's, or what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.errors import ShapeError
from wootz.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def layers(make: Any) -> list[Any]:
    """The same layer in both libraries, in float64, with the same values."""
    mine, theirs = make(wootz).double(), make(torch).double()
    state = theirs.state_dict()
    mine.load_state_dict({k: wootz.from_numpy(v.numpy().copy()) for k, v in state.items()})
    assert list(mine.state_dict()) == list(state)
    return [(wootz, mine, wootz.from_numpy), (torch, theirs, torch.from_numpy)]


def agree(mine: Any, theirs: Any) -> None:
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_adaptive_softmax(bias: bool) -> None:
    x, labels = normal(7, 8), np.array([0, 3, 4, 9, 19, 12, 1])
    found = []
    for _, layer, make in layers(lambda m: m.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], 2.0, head_bias=bias)):
        given = make(x.copy()).requires_grad_()
        result = layer(given, make(labels))
        result.loss.backward()
        single = layer(given[3], make(labels)[3])
        grads = [p.grad for p in layer.parameters()]
        found.append([*result, layer.log_prob(given), layer.predict(given), given.grad, single.output, *grads])
    for mine, theirs in zip(*found, strict=True):
        agree(mine, theirs)
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10])
    np.testing.assert_allclose(layer.log_prob(wootz.randn(3, 8)).exp().sum(1).detach().numpy(), 1, rtol=1e-5)


def test_adaptive_softmax_refuses_what_does_not_fit() -> None:
    for cutoffs in ([], [4, 4], [10, 4], [0, 4], [4, 20]):
        with pytest.raises(ValueError, match="cutoffs"):
            nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs)
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4])
    with pytest.raises(ValueError, match="targets lie in"):
        layer(wootz.zeros(1, 8), wootz.tensor([20]))
    with pytest.raises(ShapeError):
        layer(wootz.zeros(2, 8), wootz.tensor([1]))


@pytest.mark.parametrize(("n", "size"), [(2, (5, 6)), (3, (4, 5, 6))])
def test_fractional_max_pooling(n: int, size: tuple[int, ...]) -> None:
    x, samples = normal(2, 3, *size), np.random.default_rng(1).random((2, 3, n))
    found = []
    for library, make in ((wootz, wootz.from_numpy), (torch, torch.from_numpy)):
        kind = getattr(library.nn, f"FractionalMaxPool{n}d")
        layer = kind(2, output_ratio=0.6, return_indices=True, _random_samples=make(samples))
        found.append(layer(make(x)))
    for mine, theirs in zip(*found, strict=True):
        agree(mine, theirs)
    pool = getattr(nn, f"FractionalMaxPool{n}d")
    out = pool(2, output_size=2)(wootz.from_numpy(x))
    assert tuple(out.shape) == (2, 3, *(2,) * n) and np.isin(out.numpy(), x).all()
    with pytest.raises(ValueError, match="one of them"):
        pool(2)
    with pytest.raises(ShapeError, match="do not fit"):
        pool(4, output_size=4)(wootz.from_numpy(x))


def test_pools_with_indices_whatever_they_are_asked() -> None:
    x = wootz.from_numpy(normal(1, 2, 6, 6))
    for function, asked in ((F.max_pool2d_with_indices, F.max_pool2d),
                            (F.adaptive_max_pool2d_with_indices, F.adaptive_max_pool2d)):  # fmt: skip
        for mine, theirs in zip(function(x, 2), asked(x, 2, return_indices=True), strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_response_norm_over_channels_and_losses_by_their_old_names() -> None:
    a, b = wootz.from_numpy, torch.from_numpy
    x = normal(2, 5, 3, 4)
    agree(nn.CrossMapLRN2d(3, 0.2, 0.6, 1.5)(a(x)), torch.nn.LocalResponseNorm(3, 0.2, 0.6, 1.5)(b(x)))
    scores, labels = normal(2, 3, 4, 4), np.random.default_rng(2).integers(0, 3, (2, 4, 4))
    agree(nn.NLLLoss2d()(a(scores), a(labels)), torch.nn.NLLLoss()(b(scores), b(labels)))


@pytest.mark.parametrize("out", [(), (2,)])
def test_cross_entropy_of_a_linear_layer(out: tuple[int, ...]) -> None:
    (_, mine, a), (_, theirs, b) = layers(
        lambda m: m.nn.LinearCrossEntropyLoss(3, 5, out_features=out, bias=True, label_smoothing=0.1)
    )
    x, labels = normal(4, 3), np.random.default_rng(2).integers(0, 5, (4, *out))
    agree(mine(a(x), a(labels)), theirs(b(x), b(labels)))


def test_synchronised_batch_norm_is_batch_norm_in_one_process() -> None:
    plain = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Sequential(nn.BatchNorm2d(3, 0.1), nn.BatchNorm2d(3, affine=False)))
    x = wootz.randn(4, 2, 3, 3)
    plain(x)
    made = nn.SyncBatchNorm.convert_sync_batchnorm(plain)
    assert [type(m).__name__ for m in made[1]] == ["SyncBatchNorm", "SyncBatchNorm"]
    other = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Sequential(nn.BatchNorm2d(3, 0.1), nn.BatchNorm2d(3, affine=False)))
    other.load_state_dict(made.state_dict())
    for mode in (True, False):
        np.testing.assert_array_equal(*(m.train(mode)(x).detach().numpy() for m in (made, other)))
    assert list(made.parameters())[2] is list(plain.parameters())[2]
    assert tuple(nn.SyncBatchNorm(4)(wootz.randn(3, 4)).shape) == (3, 4)
    with pytest.raises(ValueError, match="several processes"):
        nn.SyncBatchNorm.convert_sync_batchnorm(plain, process_group=object())


@pytest.mark.parametrize("separate", [False, True])
def test_multi_head_attention_as_a_function(separate: bool) -> None:
    width, options = 4, {"kdim": 3, "vdim": 2} if separate else {}
    q, k, v = normal(5, 2, 4), normal(6, 2, 3 if separate else 4), normal(6, 2, 2 if separate else 4)
    found = []
    for library, layer, make in layers(lambda m: m.nn.MultiheadAttention(width, 2, add_bias_kv=True, **options)):
        out = library.nn.functional.multi_head_attention_forward(
            make(q), make(k), make(v), width, 2, layer.in_proj_weight, layer.in_proj_bias, layer.bias_k, layer.bias_v,
            True, 0.0, layer.out_proj.weight, layer.out_proj.bias, use_separate_proj_weight=separate,
            q_proj_weight=layer.q_proj_weight, k_proj_weight=layer.k_proj_weight, v_proj_weight=layer.v_proj_weight,
            average_attn_weights=False,
        )  # fmt: skip
        found.append(out)
    for mine, theirs in zip(*found, strict=True):
        agree(mine, theirs)


def test_grouped_products_are_those_of_each_group() -> None:
    a, b, ends = normal(7, 3), normal(2, 3, 4, seed=1), [2, 6]
    out = F.grouped_mm(wootz.from_numpy(a), wootz.from_numpy(b), offs=wootz.tensor(ends)).numpy()
    np.testing.assert_allclose(out, np.concatenate([a[:2] @ b[0], a[2:6] @ b[1], np.zeros((1, 4))]), rtol=1e-12)
    c = normal(7, 4, seed=2)
    inner = F.grouped_mm(wootz.from_numpy(a.T.copy()), wootz.from_numpy(c), offs=wootz.tensor(ends)).numpy()
    np.testing.assert_allclose(inner, np.stack([a[:2].T @ c[:2], a[2:6].T @ c[2:6]]), rtol=1e-12)
    left, right = normal(2, 3, 4, seed=3), normal(4, 7, seed=4)
    wide = F.grouped_mm(wootz.from_numpy(left), wootz.from_numpy(right), offs=wootz.tensor(ends)).numpy()
    expected = np.concatenate([left[0] @ right[:, :2], left[1] @ right[:, 2:6], np.zeros((3, 1))], 1)
    np.testing.assert_allclose(wide, expected, rtol=1e-12)
    for offs in ([6, 2], [2, 9], [2]):
        with pytest.raises(ShapeError, match="groups that end at"):
            F.grouped_mm(wootz.from_numpy(a), wootz.from_numpy(b), offs=wootz.tensor(offs))
    with pytest.raises(ShapeError, match="two 3-d"):
        F.grouped_mm(wootz.from_numpy(a), wootz.from_numpy(b))
