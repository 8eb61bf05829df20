"""Settings of the process: devices of new tensors, determinism, precision of products, random state."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import wootz
from wootz.device import Device
from wootz.errors import BackendError, DTypeError, ShapeError


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    state = wootz.get_rng_state()
    yield
    wootz.set_default_device(None)
    wootz.use_deterministic_algorithms(False)
    wootz.set_float32_matmul_precision("highest")
    wootz.set_rng_state(state)


def test_the_default_device_is_where_makers_go() -> None:
    assert wootz.get_default_device() == Device("cpu") and wootz.ones(1).get_device() == -1
    wootz.set_default_device("cuda:1")
    assert wootz.get_default_device() == Device("cuda", 1)
    with wootz.device("cpu"):
        assert wootz.get_default_device() == Device("cpu") and wootz.tensor([1.0]).device.type == "cpu"
        with wootz.device("cuda"):
            assert wootz.get_default_device() == Device("cuda")
        assert wootz.rand(2).device.type == "cpu"
    with pytest.raises(BackendError):  # there is no GPU here, and that is where it goes
        wootz.zeros(2)
    wootz.set_default_device(None)
    assert wootz.zeros(2).device.type == "cpu"


def test_a_copy_stays_where_its_source_is() -> None:
    source = wootz.ones(2)
    wootz.set_default_device("cuda")
    assert wootz.tensor(source).device.type == "cpu" and wootz.zeros_like(source).device.type == "cpu"


def test_determinism_is_remembered_and_refuses_nothing() -> None:
    wootz.use_deterministic_algorithms(True, warn_only=True)
    assert wootz.is_deterministic_algorithms_warn_only_enabled() and wootz.get_deterministic_debug_mode() == 1
    wootz.set_deterministic_debug_mode("error")
    assert wootz.are_deterministic_algorithms_enabled() and wootz.get_deterministic_debug_mode() == 2
    with pytest.raises(ValueError, match="default, warn, error"):
        wootz.set_deterministic_debug_mode("never")
    x = wootz.zeros(2).index_add_(0, wootz.tensor([0, 0]), wootz.ones(2))
    assert x.tolist() == [2, 0]


def test_the_precision_of_products_is_one_of_three() -> None:
    assert wootz.get_float32_matmul_precision() == "highest"
    wootz.set_float32_matmul_precision("high")
    assert wootz.get_float32_matmul_precision() == "high"
    with pytest.raises(ValueError, match="highest, high, medium"):
        wootz.set_float32_matmul_precision("tf32")


def test_the_random_state_is_put_back() -> None:
    assert wootz.initial_seed() != wootz.seed() == wootz.initial_seed()
    wootz.rand(3)
    state = wootz.get_rng_state()
    first = wootz.rand(4)
    wootz.set_rng_state(state)
    assert state.dtype is wootz.uint8 and wootz.rand(4).tolist() == first.tolist()
    with pytest.raises(DTypeError, match="uint8"):
        wootz.set_rng_state(wootz.zeros(16))
    with pytest.raises(ShapeError, match="16 bytes"):
        wootz.set_rng_state(state[:8])


def test_poissons_counts_have_its_mean_and_variance() -> None:
    wootz.manual_seed(5)
    rates = wootz.tensor([0.0, 0.3, 4.0, 90.0]).reshape(4, 1).expand(4, 20000)
    counts = wootz.poisson(rates)
    assert counts.dtype is wootz.float32 and bool((counts == counts.round()).all()) and not counts[0].any()
    for row, rate in zip(counts[1:].double().numpy(), [0.3, 4.0, 90.0], strict=True):
        assert abs(row.mean() - rate) < 6 * (rate / 20000) ** 0.5
        assert abs(row.var() / rate - 1) < 0.1
    np.testing.assert_array_equal(*(wootz.poisson(rates, wootz.Generator(3)).numpy() for _ in range(2)))
    with pytest.raises(ValueError, match="non-negative"):
        wootz.poisson(wootz.tensor([-1.0]))


def test_bernoulli_of_a_tensor_takes_its_own_chances_or_one() -> None:
    x = wootz.tensor([0.0, 1.0, 1.0])
    assert x.bernoulli().tolist() == [0, 1, 1] and x.bernoulli(1.0).tolist() == [1, 1, 1]


def test_names_of_types_are_pytorchs() -> None:
    x = wootz.ones(2)
    assert x.type() == wootz.typename(x) == "wootz.FloatTensor"
    assert x.type("wootz.LongTensor").dtype is wootz.int64 and x.type(wootz.float16).type() == "wootz.HalfTensor"
    assert wootz.typename(wootz.nn.Linear) == "wootz.nn.layers.Linear" and wootz.typename(3) == "int"
    with pytest.raises(ValueError, match="invalid type"):
        x.type("FancyTensor")


def test_batch_norm_of_16_bit_numbers_stays_in_their_type() -> None:
    x, ones = wootz.randn(2, 3, 4).half(), wootz.ones(3)
    for mean, weight in ((ones, ones), (ones, None), (ones.half(), ones.half())):
        out = wootz.nn.functional.batch_norm(x, mean, mean, weight, weight)
        assert out.dtype is wootz.float16
        expected = (x.double() - 1) / (1 + 1e-5) ** 0.5 + (0 if weight is None else 1)
        wootz.testing.assert_close(out.double(), expected, rtol=4e-3, atol=4e-3)
