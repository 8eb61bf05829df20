"""Pruning, fusion, weight and spectral norm by hooks, parameters without first values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.errors import ShapeError
from wootz.nn import utils
from wootz.nn.utils import prune
from wootz.nn.utils.rnn import pack_sequence, unpack_sequence

VALUES = np.array([[0.1, -4.0, 0.3], [5.0, 0.2, -0.6]], np.float32)


def layer() -> nn.Linear:
    made = nn.Linear(3, 2)
    made.weight.data.copy_(wootz.from_numpy(VALUES))
    return made


def test_pruning_keeps_the_largest_and_trains_the_rest() -> None:
    pruned = prune.l1_unstructured(layer(), "weight", amount=2)
    mask = np.array([[0, 1, 1], [1, 0, 1]], np.float32)
    np.testing.assert_array_equal(pruned.weight.detach().numpy(), VALUES * mask)
    assert sorted(pruned.state_dict()) == ["bias", "weight_mask", "weight_orig"] and prune.is_pruned(pruned)
    optimizer = wootz.optim.SGD(pruned.parameters(), lr=1.0)
    pruned(wootz.ones(1, 3)).sum().backward()
    optimizer.step()
    pruned(wootz.ones(1, 3))
    np.testing.assert_allclose(pruned.weight.detach().numpy(), (VALUES - 1) * mask)
    prune.remove(pruned, "weight")
    np.testing.assert_allclose(pruned.weight.detach().numpy(), (VALUES - 1) * mask)
    assert sorted(pruned.state_dict()) == ["bias", "weight"] and not prune.is_pruned(pruned)
    assert isinstance(pruned.weight, nn.Parameter)


def test_pruning_again_looks_at_what_is_left() -> None:
    pruned = prune.l1_unstructured(layer(), "weight", amount=0.5)
    prune.l1_unstructured(pruned, "weight", amount=0.34)  # of three
    np.testing.assert_array_equal(pruned.weight.detach().numpy(), [[0, -4, 0], [5, 0, 0]])
    prune.ln_structured(pruned, "weight", 1, n=2, dim=1)  # one of the two columns that are left
    np.testing.assert_array_equal(pruned.weight.detach().numpy(), [[0, 0, 0], [5, 0, 0]])


def test_pruning_whole_rows_any_elements_by_mask_and_over_layers() -> None:
    rows = prune.random_structured(nn.Linear(3, 4), "weight", amount=0.5, dim=0)
    assert sorted(rows.weight_mask.sum(1).tolist()) == [0, 0, 3, 3]
    some = prune.random_unstructured(nn.Linear(3, 4), "bias", amount=3)
    assert some.bias_mask.sum().item() == 1
    mask = wootz.tensor([[1, 0, 1], [0, 1, 1]])
    own = prune.custom_from_mask(prune.identity(layer(), "weight"), "weight", mask)
    np.testing.assert_array_equal(own.weight.detach().numpy(), VALUES * mask.numpy())
    a, b = layer(), layer()
    b.weight.data.mul_(0.01)
    prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=6)
    assert (a.weight_mask.sum().item(), b.weight_mask.sum().item()) == (6, 0)


def test_what_cannot_be_pruned_is_refused() -> None:
    for amount in (-1, 7, 1.5, -0.1):
        with pytest.raises(ValueError, match="amount"):
            prune.l1_unstructured(layer(), "weight", amount)
    with pytest.raises(ValueError, match="no parameter 'other'"):
        prune.identity(layer(), "other")
    with pytest.raises(ValueError, match="is not pruned"):
        prune.remove(layer(), "weight")
    with pytest.raises(ShapeError):
        prune.custom_from_mask(layer(), "weight", wootz.ones(3, 2))
    with pytest.raises(ShapeError):
        prune.random_structured(layer(), "bias", 1, 0)
    with pytest.raises(TypeError, match="not unstructured"):
        prune.global_unstructured([(layer(), "weight")], prune.LnStructured, amount=1, n=2)


@pytest.mark.parametrize(
    ("make", "norm", "shape"),
    [
        (lambda: nn.Conv2d(3, 4, 2), lambda: nn.BatchNorm2d(4), (5, 3, 4, 4)),
        (lambda: nn.Conv1d(3, 4, 2, bias=False), lambda: nn.BatchNorm1d(4, affine=False), (5, 3, 4)),
        (lambda: nn.ConvTranspose2d(3, 4, 2), lambda: nn.BatchNorm2d(4), (5, 3, 4, 4)),
        (lambda: nn.Linear(3, 4), lambda: nn.BatchNorm1d(4), (5, 3)),
    ],
    ids=["conv2d", "conv1d", "transpose", "linear"],
)
def test_a_fused_layer_does_what_both_did(make: Any, norm: Any, shape: tuple[int, ...]) -> None:
    first, second = make(), norm()
    x = wootz.randn(*shape)
    for _ in range(3):
        second(first(x) * 3 + 1)
    with pytest.raises(ValueError, match="call eval"):
        utils.fuse_conv_bn_eval(first, second)
    first.eval(), second.eval()
    if isinstance(first, nn.Linear):
        fused = utils.fuse_linear_bn_eval(first, second)
    else:
        fused = utils.fuse_conv_bn_eval(first, second, isinstance(first, nn.ConvTranspose2d))
    expected = second(first(x)).detach().numpy()
    np.testing.assert_allclose(fused(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert type(fused) is type(first) and isinstance(fused.bias, nn.Parameter)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_by_hooks(dim: int | None) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    found = []
    for library, make in ((wootz, wootz.from_numpy), (torch, torch.from_numpy)):
        made = library.nn.Linear(3, 2, bias=False)
        made.weight.data.copy_(make(VALUES.copy()))
        library.nn.utils.weight_norm(made, dim=dim)
        made.weight_g.data.mul_(2)
        made(make(np.ones((1, 3), np.float32))).sum().backward()
        found.append([made.weight, made.weight_g.grad, made.weight_v.grad])
        assert sorted(made.state_dict()) == ["weight_g", "weight_v"]
        library.nn.utils.remove_weight_norm(made)
        assert list(made.state_dict()) == ["weight"]
        found[-1].append(made.weight)
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_spectral_norm_by_hooks_finds_the_largest_singular_value() -> None:
    made = utils.spectral_norm(layer(), n_power_iterations=20)
    made(wootz.ones(1, 3)).sum().backward()
    np.testing.assert_allclose(made.weight.detach().numpy(), VALUES / np.linalg.norm(VALUES, 2), rtol=1e-4)
    assert sorted(made.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    assert made.weight_orig.grad is not None
    before = made.eval().weight_u.clone()
    made(wootz.ones(1, 3))
    assert (made.weight_u == before).all().item()
    utils.remove_spectral_norm(made)
    assert sorted(made.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(made.weight.detach().numpy(), VALUES / np.linalg.norm(VALUES, 2), rtol=1e-4)
    turned = utils.spectral_norm(nn.ConvTranspose2d(2, 5, 3))
    assert turned.weight_u.shape == (5,)
    with pytest.raises(ValueError):
        utils.remove_weight_norm(turned)


def test_layers_without_first_values() -> None:
    made = utils.skip_init(nn.Linear, 4, 3, bias=False)
    assert type(made) is nn.Linear and made.weight.shape == (3, 4)
    made.reset_parameters()
    assert 0 < np.abs(made.weight.detach().numpy()).max() <= 0.5
    with pytest.raises(TypeError):
        utils.skip_init(dict)  # type: ignore[type-var]


def test_packed_sequences_come_apart_again() -> None:
    parts = [wootz.arange(3), wootz.arange(5), wootz.arange(1)]
    packed = pack_sequence(parts, enforce_sorted=False)
    assert [t.tolist() for t in unpack_sequence(packed)] == [t.tolist() for t in parts]


def test_calls_with_other_parameters_have_their_old_place_too() -> None:
    found = utils.stateless.functional_call(
        layer(), {"weight": wootz.zeros(2, 3), "bias": wootz.ones(2)}, wootz.ones(3)
    )
    assert found.tolist() == [1, 1]
