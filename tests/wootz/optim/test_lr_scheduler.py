"""Learning-rate schedules against their formulas, and against PyTorch where it is installed."""

import json
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
    "PolynomialLR": ({"total_iters": 6, "power": 2.0}, lambda t: (1 - min(t, 6) / 6) ** 2),
    "MultiplicativeLR": ({"lr_lambda": lambda t: 0.9}, lambda t: 0.9**t),
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


OTHERS = {
    "cosine that comes up again": lambda s, o: s.CosineAnnealingLR(o, T_max=4, eta_min=0.05),
    "warm restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.01),
    "warm restarts of one length": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=4),
    "triangles": lambda s, o: s.CyclicLR(o, 0.1, 0.9, step_size_up=3, step_size_down=5),
    "shrinking triangles": lambda s, o: s.CyclicLR(o, 0.1, 0.9, step_size_up=3, mode="triangular2"),
    "triangles by steps": lambda s, o: s.CyclicLR(o, 0.1, 0.9, step_size_up=3, mode="exp_range", gamma=0.9),
    "own triangles": lambda s, o: s.CyclicLR(o, 0.1, 0.9, step_size_up=3, scale_fn=lambda x: 1 / x),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.7, total_steps=20),
    "one cycle in lines": lambda s, o: s.OneCycleLR(o, 0.7, epochs=4, steps_per_epoch=5, anneal_strategy="linear"),
    "one cycle of three": lambda s, o: s.OneCycleLR(o, 0.7, total_steps=20, three_phase=True, pct_start=0.4),
    "chain": lambda s, o: s.ChainedScheduler(
        [s.ExponentialLR(o, 0.9), s.CosineAnnealingLR(o, 7), s.ConstantLR(o, 0.5)]
    ),
    "sequence": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 9), s.ExponentialLR(o, 0.8), s.CosineAnnealingLR(o, 5)], milestones=[4, 9]
    ),
    "nothing left to multiply": lambda s, o: s.ChainedScheduler([s.PolynomialLR(o, 5), s.StepLR(o, 2)]),
}


def momentum(optimizer):
    group = optimizer.param_groups[0]
    return group["betas"][0] if "betas" in group else group["momentum"]


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_other_schedules_agree_with_pytorch(name, kind):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    options = {"lr": 0.5, **({"momentum": 0.5} if kind == "SGD" else {})}
    optims = [getattr(lib.optim, kind)([lib.ones(1)], **options) for lib in (wootz, torch)]
    pair = [OTHERS[name](lib.optim.lr_scheduler, o) for lib, o in zip((wootz, torch), optims, strict=True)]
    for _ in range(19):
        assert pair[0].get_last_lr() == pytest.approx(pair[1].get_last_lr(), abs=1e-9)
        assert optims[0].param_groups[0]["lr"] == pytest.approx(optims[1].param_groups[0]["lr"], abs=1e-9)
        assert momentum(optims[0]) == pytest.approx(momentum(optims[1]), abs=1e-9)
        optims[1].step()
        for schedule in pair:
            schedule.step()


def test_a_cycle_rises_and_falls_between_its_rates():
    optim = optimizer(1.0)
    schedule = schedules.CyclicLR(optim, 0.1, 0.5, step_size_up=2, cycle_momentum=False)
    rates = []
    for _ in range(6):
        rates += schedule.get_last_lr()
        schedule.step()
    assert rates == pytest.approx([0.1, 0.3, 0.5, 0.3, 0.1, 0.3])


def test_one_cycle_starts_peaks_and_ends_where_it_says():
    schedule = schedules.OneCycleLR(optimizer(1.0), 1.0, total_steps=101, pct_start=0.5, cycle_momentum=False)
    rates = []
    for _ in range(101):
        rates += schedule.get_last_lr()
        if len(rates) < 101:
            schedule.step()
    assert rates[0] == pytest.approx(1 / 25) and rates[-1] == pytest.approx(1 / 25e4)
    assert max(rates) == pytest.approx(1, abs=0.01) and rates.index(max(rates)) in (49, 50)
    schedule.step()
    with pytest.raises(ValueError, match="beyond the 101"):
        schedule.step()


def test_warm_restarts_take_fractions_of_an_epoch():
    schedule = schedules.CosineAnnealingWarmRestarts(optimizer(1.0), T_0=2, T_mult=2)
    for epoch, at, period in ((0.5, 0.5, 2), (2.0, 0, 4), (3.0, 1, 4), (5.75, 3.75, 4), (6.0, 0, 8)):
        schedule.step(epoch)
        assert schedule.get_last_lr() == pytest.approx([(1 + math.cos(math.pi * at / period)) / 2])


@pytest.mark.parametrize("options", [{}, {"mode": "max"}, {"threshold_mode": "abs"}, {"cooldown": 2, "min_lr": 0.02}])
def test_a_plateau_cuts_the_rate_as_pytorch_does(options):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    metrics = [1.0, 0.5, 0.5, 0.49999, 0.6, 0.7, 0.4, 0.8, 0.8, 0.8, 0.9, 0.9, 0.9, 1.1, 1.1, 1.1, 1.1, 1.1]
    optims = optimizer(0.5), torch.optim.SGD([torch.ones(1)], lr=0.5)
    pair = [
        lib.optim.lr_scheduler.ReduceLROnPlateau(o, factor=0.3, patience=1, **options)
        for lib, o in zip((wootz, torch), optims, strict=True)
    ]
    rates = []
    for metric in metrics:
        for schedule in pair:
            schedule.step(metric)
        rates.append(pair[0].get_last_lr()[0])
        assert rates[-1] == pytest.approx(pair[1].get_last_lr()[0])
    assert rates[-1] < 0.5


def test_a_plateau_waits_for_its_patience():
    schedule = schedules.ReduceLROnPlateau(optimizer(1.0), patience=2)
    rates = []
    for metric in (3, 2, 2, 2, 2, 1):
        schedule.step(metric)
        rates += schedule.get_last_lr()
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1])


def test_a_rate_changed_by_hand_stays_changed():
    optim = optimizer(1.0)
    schedule = schedules.StepLR(optim, 2, gamma=0.5)
    optim.param_groups[0]["lr"] = 8.0
    for expected in (8, 4, 4, 2):
        schedule.step()
        assert optim.param_groups[0]["lr"] == expected


@pytest.mark.parametrize("name", ["chain", "sequence", "one cycle", "shrinking triangles", "warm restarts"])
def test_composed_schedules_resume_from_their_state(name):
    first, second = (wootz.optim.AdamW([wootz.ones(1)], lr=0.5) for _ in range(2))
    a, b = OTHERS[name](schedules, first), OTHERS[name](schedules, second)
    for _ in range(6):
        a.step()
    b.load_state_dict(json.loads(json.dumps(a.state_dict())))
    for _ in range(6):
        assert a.get_last_lr() == pytest.approx(b.get_last_lr())
        a.step()
        b.step()


def test_resuming_needs_the_rates_started_with():
    with pytest.raises(KeyError, match="initial_lr"):
        schedules.StepLR(optimizer(1.0), 2, last_epoch=4)


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
        lambda o: schedules.SequentialLR(o, [schedules.ReduceLROnPlateau(o)], []),
        lambda o: schedules.ChainedScheduler([]),
        lambda o: schedules.ConstantLR(o, 1.5),
        lambda o: schedules.PolynomialLR(o, 0),
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 0),
        lambda o: schedules.CyclicLR(o, 0.1, 1.0, mode="square"),
        lambda o: schedules.CyclicLR(o, [0.1, 0.1], 1.0),
        lambda o: schedules.CyclicLR(wootz.optim.Adagrad([wootz.ones(1)]), 0.1, 1.0),
        lambda o: schedules.OneCycleLR(o, 1.0),
        lambda o: schedules.OneCycleLR(o, 1.0, total_steps=10, pct_start=1.5),
        lambda o: schedules.OneCycleLR(o, 1.0, total_steps=10, anneal_strategy="square"),
        lambda o: schedules.ReduceLROnPlateau(o, factor=1.0),
        lambda o: schedules.ReduceLROnPlateau(o, mode="least"),
    ],
)
def test_bad_options_are_refused(make):
    with pytest.raises(ValueError):
        make(optimizer(1.0))
