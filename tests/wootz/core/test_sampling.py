"""Drawing by weights: frequencies against a binomial's bounds, and what is refused."""

from __future__ import annotations

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
