"""Drawing by weights: frequencies against a binomial's bounds, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wootz


@pytest.mark.parametrize("replacement", [True, False])
def test_frequencies_follow_the_weights(replacement: bool) -> None:
    weights = wootz.tensor([1.0, 0.0, 3.0, 4.0])
    g = wootz.Generator().manual_seed(5)
    drawn = weights.expand((4000, 4)).multinomial(1, replacement, generator=g)
    share = np.bincount(drawn.numpy().ravel(), minlength=4) / 4000
    # five standard deviations of a share of 1/2 among 4000
    np.testing.assert_allclose(share, [0.125, 0, 0.375, 0.5], atol=5 * 0.5 / 4000**0.5)
    assert share[1] == 0


def test_without_replacement_nothing_is_drawn_twice() -> None:
    drawn = wootz.rand(50, 6).multinomial(6)
    assert (np.sort(drawn.numpy(), 1) == np.arange(6)).all()


def test_a_generator_gives_the_same_draws() -> None:
    weights = wootz.rand(9)
    first, second = (weights.multinomial(5, generator=wootz.Generator().manual_seed(3)) for _ in range(2))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize(
    ("weights", "count", "message"),
    [
        ([1.0, -1.0], 1, "element < 0"),
        ([1.0, float("nan")], 1, "nan"),
        ([0.0, 0.0], 1, "0 weights"),
        ([1.0, 0.0], 2, "only 1 weights"),
        ([1.0], 0, "n_sample <= 0"),
    ],
)
def test_bad_weights_are_named(weights: list[float], count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wootz.tensor(weights).multinomial(count)


@pytest.mark.parametrize(
    ("fill", "median"),
    [
        (lambda t, g: t.exponential_(2.0, generator=g), np.log(2) / 2),
        (lambda t, g: t.cauchy_(3.0, 0.5, generator=g), 3.0),
        (lambda t, g: t.log_normal_(0.5, 1.0, generator=g), np.exp(0.5)),
        (lambda t, g: t.geometric_(0.3, generator=g), 2.0),
        (lambda t, g: t.random_(10, 21, generator=g), 15.0),
    ],
)
def test_fills_have_their_distributions_median(fill: Any, median: float) -> None:
    g = wootz.Generator().manual_seed(7)
    x = wootz.empty(4001, dtype=wootz.float64)
    assert fill(x, g) is x
    below, at = float((x < median).double().mean().item()), float((x == median).double().mean().item())
    # five standard deviations of a share of 1/2 among 4001
    assert below <= 0.5 + 0.04 and below + at >= 0.5 - 0.04


def test_coins_follow_each_elements_probability() -> None:
    p = wootz.tensor([0.0, 0.25, 1.0]).expand((3000, 3))
    for drawn in (wootz.bernoulli(p), wootz.empty(3000, 3).bernoulli_(p)):
        share = drawn.mean(0)
        assert share[0].item() == 0 and share[2].item() == 1
        assert abs(share[1].item() - 0.25) < 5 * (0.25 * 0.75 / 3000) ** 0.5
    assert wootz.zeros(5, dtype=wootz.int8).random_().amax().item() <= 127


@pytest.mark.parametrize(
    "call",
    [
        lambda: wootz.ones(2).exponential_(0),
        lambda: wootz.ones(2).bernoulli_(1.5),
        lambda: wootz.ones(2).geometric_(1.0),
    ],
)
def test_bad_parameters_of_fills_are_named(call: Any) -> None:
    with pytest.raises(ValueError, match="expects"):
        call()
