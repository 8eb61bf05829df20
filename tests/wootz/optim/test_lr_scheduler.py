"""Learning-rate schedules against their formulas, and against PyTorch where it is installed."""

import math

import pytest

import wootz
from wootz.optim import SGD
from wootz.optim import lr_scheduler as schedules

FORMULAS = {
    "StepLR": ({"step_size": 3, "gamma": 0.5}, lambda t: 0.5 ** (t // 3)),
    "MultiStepLR": ({"milestones": [2, 5], "gamma": 0.1}, lambda t: 0.1 ** ((t >= 2) + (t >= 5))),
    "ExponentialLR": ({"gamma": 0.9}, lambda t: 0.9**t),
    "ConstantLR": ({"factor": 0.25, "total_iters": 4}, lambda t: 0.25 if t < 4 else 1),
    "LinearLR": ({"start_factor": 0.1, "total_iters": 5}, lambda t: 0.1 + 0.9 * min(t, 5) / 5),
    "CosineAnnealingLR": ({"T_max": 10}, lambda t: (1 + math.cos(math.pi * t / 10)) / 2),
    "LambdaLR": ({"lr_lambda": lambda t: 1 / (1 + t)}, lambda t: 1 / (1 + t)),
}


def optimizer(*rates):
    return SGD([{"params": [wootz.ones(1)], "lr": rate} for rate in rates], lr=1.0)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_schedule_is_its_formula_for_every_group(name):
    options, formula = FORMULAS[name]
    optim = optimizer(0.5, 2.0)
    schedule = getattr(schedules, name)(optim, **options)
    for t in range(13):
        assert schedule.get_last_lr() == pytest.approx([0.5 * formula(t), 2.0 * formula(t)], abs=1e-12)
        schedule.step()


@pytest.mark.parametrize("name", FORMULAS)
def test_rates_agree_with_pytorch(name):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    options, _ = FORMULAS[name]
    ours, theirs = optimizer(0.5), torch.optim.SGD([torch.ones(1)], lr=0.5)
    pair = getattr(schedules, name)(ours, **options), getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    for _ in range(10):
        assert pair[0].get_last_lr() == pytest.approx(pair[1].get_last_lr(), abs=1e-9)
        theirs.step()
        for schedule in pair:
            schedule.step()


def test_warm_up_then_cosine():
    optim = optimizer(1.0)
    warm = schedules.LinearLR(optim, start_factor=0.25, total_iters=3)
    cosine = schedules.CosineAnnealingLR(optim, T_max=4, eta_min=0.2)
    schedule = schedules.SequentialLR(optim, [warm, cosine], milestones=[3])
    rates = []
    for _ in range(8):
        rates += schedule.get_last_lr()
        schedule.step()
    down = [0.2 + 0.8 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, *down])


def test_a_schedule_resumes_from_its_state():
    optim = optimizer(1.0)
    schedule = schedules.StepLR(optim, 2)
    for _ in range(5):
        schedule.step()
    other = schedules.StepLR(optimizer(7.0), 2)
    other.load_state_dict(schedule.state_dict())
    assert other.last_epoch == 5 and other.get_last_lr() == pytest.approx(schedule.get_last_lr()) == [0.01]
    with pytest.raises(ValueError, match="1 parameter groups, the optimizer has 2"):
        schedules.StepLR(optimizer(1.0, 2.0), 2).load_state_dict(schedule.state_dict())


@pytest.mark.parametrize(
    "make",
    [
        lambda o: schedules.StepLR(o, 0),
        lambda o: schedules.CosineAnnealingLR(o, 0),
        lambda o: schedules.LinearLR(o, start_factor=0),
        lambda o: schedules.LinearLR(o, end_factor=1.5),
        lambda o: schedules.LambdaLR(o, [abs, abs]),
        lambda o: schedules.SequentialLR(o, [], []),
        lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 1)], [3]),
        lambda o: schedules.SequentialLR(o, [schedules.StepLR(optimizer(1.0), 1)], []),
    ],
)
def test_bad_options_are_refused(make):
    with pytest.raises(ValueError):
        make(optimizer(1.0))
