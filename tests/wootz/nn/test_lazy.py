"""Layers whose first input tells their size: what they become, what they refuse, loading, optimisers."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.errors import ShapeError

CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Linear", {"out_features": 3}, (2, 5)),
    ("Conv1d", {"out_channels": 4, "kernel_size": 2, "groups": 2}, (2, 6, 7)),
    ("Conv2d", {"out_channels": 4, "kernel_size": (2, 3), "bias": False}, (2, 3, 5, 6)),
    ("Conv3d", {"out_channels": 2, "kernel_size": 2, "padding": 1}, (1, 3, 3, 3, 3)),
    ("ConvTranspose1d", {"out_channels": 4, "kernel_size": 3, "stride": 2}, (2, 3, 5)),
    ("ConvTranspose2d", {"out_channels": 4, "kernel_size": 2, "groups": 2}, (2, 6, 3, 3)),
    ("ConvTranspose3d", {"out_channels": 2, "kernel_size": 2}, (1, 3, 2, 2, 2)),
    ("BatchNorm1d", {}, (4, 3, 5)),
    ("BatchNorm2d", {"affine": False}, (4, 3, 2, 2)),
    ("BatchNorm3d", {"track_running_stats": False}, (4, 3, 2, 2, 2)),
    ("InstanceNorm1d", {"affine": True}, (4, 3, 5)),
    ("InstanceNorm2d", {"affine": True, "track_running_stats": True}, (4, 3, 2, 2)),
    ("InstanceNorm3d", {}, (4, 3, 2, 2, 2)),
]
IDS = [name for name, _, _ in CASES]


def made(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module, wootz.Tensor]:
    """A lazy layer, the same layer with its size said, and an input."""
    size = {"Linear": ("in_features", shape[-1])}.get(name, ("in_channels", shape[1]))
    if "Norm" in name:
        size = ("num_features", shape[1])
    x = wootz.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    return getattr(nn, f"Lazy{name}")(**options), getattr(nn, name)(**{size[0]: size[1]}, **options), x


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
def test_after_the_first_input_a_lazy_layer_is_the_layer(name: str, options: dict[str, Any], shape: Any) -> None:
    lazy, plain, x = made(name, options, shape)
    kept = list(lazy.parameters())
    assert any(lazy.has_uninitialized_params() for _ in kept[:1]) or not kept
    lazy(x)
    assert type(lazy) is getattr(nn, name) and repr(lazy) == repr(plain)
    assert all(a is b for a, b in zip(kept, lazy.parameters(), strict=True))
    assert all(type(p) is nn.Parameter for p in lazy.parameters())
    assert {k: v.shape for k, v in lazy.state_dict().items()} == {k: v.shape for k, v in plain.state_dict().items()}
    plain.load_state_dict(lazy.state_dict())
    np.testing.assert_array_equal(lazy(x).detach().numpy(), plain(x).detach().numpy())


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
def test_loading_makes_a_lazy_layer_too(name: str, options: dict[str, Any], shape: Any) -> None:
    lazy, plain, x = made(name, options, shape)
    lazy.load_state_dict(plain.state_dict())
    np.testing.assert_array_equal(lazy(x).detach().numpy(), plain(x).detach().numpy())
    assert type(lazy) is type(plain) and repr(lazy) == repr(plain)


def test_an_optimiser_may_hold_parameters_that_are_not_there_yet() -> None:
    model = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(1))
    optimizer = wootz.optim.SGD(model.parameters(), lr=0.1)
    x = wootz.randn(16, 3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (model(x).squeeze(1) - x[:, 0]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_values_lie_within_the_layers_bounds() -> None:
    lazy = nn.LazyLinear(50)
    lazy(wootz.zeros(1, 25))
    values = lazy.weight.detach().numpy()
    assert 0.15 < np.abs(values).max() <= 0.2


def test_copies_and_dtypes_before_the_first_input() -> None:
    lazy = nn.LazyLinear(2, dtype=wootz.float64)
    other = deepcopy(lazy)
    lazy(wootz.zeros(1, 3, dtype=wootz.float64))
    assert lazy.weight.dtype == wootz.float64 and other.has_uninitialized_params()
    other(wootz.zeros(1, 4, dtype=wootz.float64))
    assert other.weight.shape == (2, 4) and lazy.weight.shape == (2, 3)


def test_inputs_that_tell_no_size_are_refused() -> None:
    with pytest.raises(ShapeError, match="LazyConv2d expects 3 or 4 dimensions"):
        nn.LazyConv2d(2, 2)(wootz.zeros(3, 3))
    with pytest.raises(ValueError, match="divisible by groups"):
        nn.LazyConv1d(4, 1, groups=2)(wootz.zeros(1, 3, 5))
    with pytest.raises(ShapeError, match="LazyBatchNorm1d expects"):
        nn.LazyBatchNorm1d()(wootz.zeros(3))


class Half(nn.LazyModuleMixin):
    """Forgets its second parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.UninitializedParameter(), nn.UninitializedParameter()
        self._wait()

    def initialize_parameters(self, x: wootz.Tensor) -> None:
        self.a.materialize(x.shape)


def test_a_class_of_ones_own_that_leaves_something_out_is_told() -> None:
    with pytest.raises(RuntimeError, match="left parameters without a shape"):
        Half()(wootz.zeros(2))
