"""Gradient scaling: steps as without it, bad ones left out, the scale's growth; PyTorch's where it is installed."""

import json

import pytest

import wootz
from wootz import nn
from wootz.amp import GradScaler
from wootz.errors import GradientError
from wootz.optim import SGD


def parameter(value=1.0):
    p = nn.Parameter(wootz.tensor([value]))
    return p, SGD([p], lr=0.5)


def test_a_scaled_step_is_the_step_itself():
    scaler = GradScaler(init_scale=1024.0)
    p, optimizer = parameter(2.0)
    loss = (p * p).sum()
    assert scaler.scale(loss).item() == 4096
    scaler.scale(loss).backward()
    assert p.grad.item() == 4096
    scaler.unscale_(optimizer)
    assert p.grad.item() == 4
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == 0.0


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_a_step_with_bad_gradients_is_left_out_and_the_scale_falls(bad):
    scaler = GradScaler(init_scale=8.0)
    p, optimizer = parameter()
    other, fine = parameter()
    p.grad, other.grad = wootz.tensor([bad]), wootz.tensor([8.0])
    scaler.step(optimizer)
    scaler.step(fine)
    scaler.update()
    assert p.item() == 1.0 and other.item() == 0.5 and scaler.get_scale() == 4.0


def test_small_gradients_of_float16_survive():
    def gradient(scale):
        p = nn.Parameter(wootz.ones(1).half())
        (scale(p * 2.0**-14) * 2.0**-14).sum().backward()
        return p.grad.item()

    assert gradient(lambda x: x) == 0  # 2^-28 is none of float16
    assert gradient(GradScaler(init_scale=2.0**10).scale) == 2.0**-18


SCRIPT = [0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]


def scales(scaler, library):
    p = library.nn.Parameter(library.tensor([1.0]))
    optimizer, seen = library.optim.SGD([p], lr=0.1), []
    scaler.scale(library.ones(1))  # PyTorch's makes its state here
    for bad in SCRIPT:
        p.grad = library.tensor([float("inf") if bad else 1.0])
        scaler.step(optimizer)
        scaler.update()
        seen.append((scaler.get_scale(), round(p.item(), 5)))
    return seen, scaler.state_dict()


OPTIONS = {"init_scale": 8.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 2}


def test_the_scale_follows_its_rule():
    seen, _ = scales(GradScaler(**OPTIONS), wootz)
    scale, good = 8.0, 0
    for bad, (got, _) in zip(SCRIPT, seen, strict=True):
        good = 0 if bad else good + 1
        scale = scale / 4 if bad else scale * 4 if good == 2 else scale
        good = 0 if good == 2 else good
        assert got == scale


def test_the_scale_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    assert scales(GradScaler(**OPTIONS), wootz) == scales(torch.amp.GradScaler("cpu", **OPTIONS), torch)


def test_a_saved_scale_is_taken_over():
    first, second = GradScaler(init_scale=4.0, growth_interval=3), GradScaler()
    scales(first, wootz)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.state_dict() == first.state_dict()
    with pytest.raises(ValueError, match="a scaler's state has"):
        second.load_state_dict({"scale": 1.0})


def test_a_disabled_scaler_does_nothing():
    scaler = GradScaler(enabled=False)
    p, optimizer = parameter()
    loss = (p * 2).sum()
    assert scaler.scale(loss) is loss and scaler.get_scale() == 1 and not scaler.is_enabled()
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == 0.0 and scaler.state_dict() == {}


def test_wrong_orders_and_options_are_refused():
    scaler = GradScaler()
    p, optimizer = parameter()
    with pytest.raises(GradientError, match="no gradients"):
        scaler.update()
    p.grad = wootz.ones(1)
    scaler.unscale_(optimizer)
    with pytest.raises(GradientError, match="already called"):
        scaler.unscale_(optimizer)
    with pytest.raises(GradientError, match="closure"):
        scaler.step(optimizer, lambda: p.sum())
    scaler.step(optimizer)
    with pytest.raises(GradientError, match="already called"):
        scaler.step(optimizer)
    scaler.update(new_scale=3.0)
    assert scaler.get_scale() == 3.0 and [x.item() for x in scaler.scale([p.sum()])] == [p.item() * 3]
    with pytest.raises(TypeError):
        scaler.scale(3.0)
    for options in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}, {"init_scale": 0.0}, {"growth_interval": 0}):
        with pytest.raises(ValueError):
            GradScaler(**options)
