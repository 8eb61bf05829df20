"""Averaged weights against their formulas, and against PyTorch where it is installed."""

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.optim import SGD, swa_utils


def values(model):
    return [p.detach().numpy().copy() for p in model.parameters()]


def history(model, averaged, updates=5):
    """Random weights for the model, taken into the average one after the other."""
    rng, seen = np.random.default_rng(0), []
    for _ in range(updates):
        for p in model.parameters():
            p.detach().copy_(wootz.from_numpy(rng.normal(size=p.shape).astype("f4")))
        averaged.update_parameters(model)
        seen.append(values(model))
    return seen


def test_equal_averages_are_means():
    model = nn.Linear(3, 2)
    averaged = swa_utils.AveragedModel(model)
    seen = history(model, averaged)
    for i, p in enumerate(values(averaged)):
        np.testing.assert_allclose(p, np.mean([step[i] for step in seen], axis=0), 1e-5, 1e-6)
    assert averaged.n_averaged.item() == 5
    assert set(averaged.state_dict()) == {"n_averaged", "module.weight", "module.bias"}


@pytest.mark.parametrize("how", ["avg_fn", "multi_avg_fn"])
def test_exponential_averages(how):
    model = nn.Linear(3, 2)
    make = {"avg_fn": swa_utils.get_ema_avg_fn, "multi_avg_fn": swa_utils.get_ema_multi_avg_fn}[how]
    averaged = swa_utils.AveragedModel(model, **{how: make(0.9)})
    seen = history(model, averaged)
    for i, p in enumerate(values(averaged)):
        expected = seen[0][i]
        for step in seen[1:]:
            expected = 0.9 * expected + 0.1 * step[i]
        np.testing.assert_allclose(p, expected, 1e-5, 1e-6)


def test_the_averaged_model_computes_with_its_own_weights():
    model = nn.Linear(3, 2)
    averaged = swa_utils.AveragedModel(model)
    history(model, averaged, 3)
    x = wootz.randn(4, 3)
    weight, bias = values(averaged)
    np.testing.assert_allclose(averaged(x).detach().numpy(), x.numpy() @ weight.T + bias, 1e-4, 1e-5)
    assert all(not np.array_equal(a, b) for a, b in zip(values(model), values(averaged), strict=True))


@pytest.mark.parametrize("use_buffers", [False, True])
def test_buffers_are_copied_or_averaged(use_buffers):
    model = nn.Linear(1, 1)
    model.register_buffer("scale", wootz.tensor(0.0))
    averaged = swa_utils.AveragedModel(model, use_buffers=use_buffers)
    for value in (1.0, 2.0, 6.0):
        model.scale.fill_(value)
        averaged.update_parameters(model)
    assert averaged.module.scale.item() == pytest.approx(3.0 if use_buffers else 6.0)


def test_bad_options_are_refused():
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="decay"):
        swa_utils.get_ema_avg_fn(1.5)
    with pytest.raises(ValueError, match="not both"):
        swa_utils.AveragedModel(model, avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn())
    with pytest.raises(ValueError, match="anneal_strategy"):
        swa_utils.SWALR(SGD([wootz.ones(1)]), 0.1, anneal_strategy="square")


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 4])
def test_the_rate_anneals_as_pytorchs_does(strategy, epochs):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    optims = SGD([wootz.ones(1)], lr=0.5), torch.optim.SGD([torch.ones(1)], lr=0.5)
    pair = [
        lib.optim.swa_utils.SWALR(o, 0.05, anneal_epochs=epochs, anneal_strategy=strategy)
        for lib, o in zip((wootz, torch), optims, strict=True)
    ]
    for _ in range(7):
        assert pair[0].get_last_lr() == pytest.approx(pair[1].get_last_lr())
        optims[1].step()
        for schedule in pair:
            schedule.step()
