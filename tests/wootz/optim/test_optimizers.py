"""Optimisers against NumPy in float64, against PyTorch where it is installed, and their bad inputs."""

import numpy as np
import pytest
from tests.support import optim_rules as rules

import wootz
from wootz.errors import StateDictError
from wootz.optim import (
    ASGD,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
)

CASES = [
    (SGD, rules.sgd, {"lr": 0.1}),
    (SGD, rules.sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.05}),
    (SGD, rules.sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    (Adam, rules.adam, {"lr": 0.01}),
    (Adam, rules.adam, {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True, "betas": (0.5, 0.6)}),
    (AdamW, rules.adamw, {"lr": 0.01}),
    (AdamW, rules.adamw, {"lr": 0.01, "weight_decay": 0.2, "eps": 1e-3, "maximize": True}),
    (Adagrad, rules.adagrad, {"lr": 0.1}),
    (Adagrad, rules.adagrad, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    (Adadelta, rules.adadelta, {"lr": 1.0}),
    (Adadelta, rules.adadelta, {"lr": 0.5, "rho": 0.7, "weight_decay": 0.1, "maximize": True}),
    (RMSprop, rules.rmsprop, {"lr": 0.01}),
    (RMSprop, rules.rmsprop, {"lr": 0.01, "momentum": 0.8, "centered": True, "weight_decay": 0.1}),
    (Adamax, rules.adamax, {"lr": 0.01}),
    (Adamax, rules.adamax, {"lr": 0.01, "weight_decay": 0.1, "betas": (0.5, 0.9), "maximize": True}),
    (NAdam, rules.nadam, {"lr": 0.01}),
    (NAdam, rules.nadam, {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (RAdam, rules.radam, {"lr": 0.01, "weight_decay": 0.1}),
    (RAdam, rules.radam, {"lr": 0.01, "betas": (0.8, 0.9), "decoupled_weight_decay": True, "weight_decay": 0.1}),
    (Lion, rules.lion, {"lr": 0.01}),
    (Lion, rules.lion, {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    (Rprop, rules.rprop, {"lr": 0.01}),
    (Rprop, rules.rprop, {"lr": 0.01, "etas": (0.3, 1.5), "step_sizes": (0.005, 0.02)}),
    (ASGD, rules.asgd, {"lr": 0.1, "lambd": 0.1, "weight_decay": 0.1}),
    (Adafactor, rules.adafactor, {"lr": 0.1}),
    (Adafactor, rules.adafactor, {"lr": 0.1, "weight_decay": 0.1, "eps": (1e-4, 1e-2), "d": 1.5}),
]
SHAPES = [(7,), (3, 5), (), (1000,)]


def gradients(steps):
    rng = np.random.default_rng(5)
    return [[rng.normal(size=shape) for shape in SHAPES] for _ in range(steps)]


@pytest.mark.parametrize(("cls", "rule", "options"), CASES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_steps_follow_the_formula(cls, rule, options, dtype):
    rng = np.random.default_rng(1)
    start = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
    params = [wootz.from_numpy(s.copy()).requires_grad_() for s in start]
    expected, states = [s.astype("f8") for s in start], [{} for _ in start]
    given = {"machine": np.finfo(dtype).eps} if cls is Adafactor else {}
    optimizer = cls(params, **options)
    versions = [p._version for p in params]
    for step, grads in enumerate(gradients(6)):
        for i, (p, g) in enumerate(zip(params, grads, strict=True)):
            skipped = i == 1 and step < 2  # a parameter whose first gradient comes later
            p.grad = None if skipped else wootz.from_numpy(np.asarray(g.astype(dtype)))
            if not skipped:
                expected[i] = rule(expected[i], g.astype(dtype).astype("f8"), states[i], **options, **given)
        optimizer.step()
    tolerance = 2e-5 if dtype == "f4" else 1e-12
    for p, e in zip(params, expected, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), e, tolerance, tolerance)
    assert all(p._version > v for p, v in zip(params, versions, strict=True))
    assert all(p.is_leaf and p.requires_grad for p in params)


@pytest.mark.parametrize(("cls", "_rule", "options"), CASES)
def test_a_hundred_steps_agree_with_pytorch(cls, _rule, options):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    if not hasattr(torch.optim, cls.__name__):
        pytest.skip(f"PyTorch has no {cls.__name__}")
    rng = np.random.default_rng(2)
    start = [rng.normal(size=shape).astype("f4") for shape in SHAPES]
    ours = [wootz.from_numpy(s.copy()).requires_grad_() for s in start]
    theirs = [torch.from_numpy(s.copy()).requires_grad_() for s in start]
    pair = cls(ours, **options), getattr(torch.optim, cls.__name__)(theirs, **options)
    for grads in gradients(100):
        for p, q, g in zip(ours, theirs, grads, strict=True):
            p.grad, q.grad = (make(np.asarray(g.astype("f4"))) for make in (wootz.from_numpy, torch.from_numpy))
        for optimizer in pair:
            optimizer.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), 1e-4, 1e-5)
    names = [set(optimizer.state_dict()["state"].get(0, {})) for optimizer in pair]
    assert names[0] <= names[1]


def test_defaults_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    for cls in {cls for cls, _, _ in CASES} - {Lion}:
        theirs = getattr(torch.optim, cls.__name__)([torch.ones(1)]).defaults
        ours = cls([wootz.ones(1)]).defaults
        assert ours == {name: theirs[name] for name in ours}


def test_groups_have_options_of_their_own():
    a, b = (wootz.ones(2, requires_grad=True) for _ in range(2))
    optimizer = SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.1)
    for p in (a, b):
        p.grad = wootz.ones(2)
    optimizer.step()
    assert a.tolist() == pytest.approx([0.9] * 2) and b.tolist() == [0, 0]
    c = wootz.ones(2, requires_grad=True)
    optimizer.add_param_group({"params": c, "weight_decay": 0.5})
    optimizer.zero_grad()
    assert a.grad is None and len(optimizer.param_groups) == 3
    assert "lr=1.0" in repr(optimizer)


def test_zero_grad_can_keep_the_tensors():
    p = wootz.ones(2, requires_grad=True)
    (p * 3).sum().backward()
    held = p.grad
    SGD([p]).zero_grad(set_to_none=False)
    assert p.grad is held and held.tolist() == [0, 0]


def test_a_closure_is_run_with_gradients():
    p = wootz.tensor([2.0], requires_grad=True)
    optimizer = SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with wootz.no_grad():
        assert optimizer.step(closure).item() == 4
    assert p.item() == 1.0


@pytest.mark.parametrize(("cls", "_rule", "options"), CASES)
def test_training_goes_on_from_a_saved_state(cls, _rule, options):
    def make():
        return [wootz.full((3,), 1.0 + i, requires_grad=True) for i in range(2)]

    def run(params, optimizer, steps):
        for grads in steps:
            for p, g in zip(params, grads, strict=True):
                p.grad = wootz.from_numpy(g)
            optimizer.step()

    rng = np.random.default_rng(3)
    steps = [[rng.normal(size=3).astype("f4") for _ in range(2)] for _ in range(6)]
    straight, broken = make(), make()
    run(straight, cls(straight, **options), steps)
    first = cls(broken, **options)
    run(broken, first, steps[:3])
    saved = first.state_dict()
    second = cls(broken, lr=99.0)
    second.load_state_dict(saved)
    run(broken, second, steps[3:])
    for p, q in zip(straight, broken, strict=True):
        assert p.tolist() == q.tolist()
    assert second.param_groups[0]["lr"] == options["lr"]


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    p = wootz.ones(2, requires_grad=True)
    p.grad = wootz.ones(2)
    optimizer = Adam([p])
    optimizer.step()
    saved = optimizer.state_dict()
    for other, reason in ((Adam([wootz.ones(3)]), "shape"), (Adam([wootz.ones(2), wootz.ones(2)]), "groups of")):
        with pytest.raises(StateDictError, match=reason):
            other.load_state_dict(saved)
        assert not other.state


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda p: SGD([]), ValueError),
        (lambda p: SGD(p), TypeError),
        (lambda p: SGD([3.0]), TypeError),
        (lambda p: SGD([p, p]), ValueError),
        (lambda p: SGD([p * 2]), ValueError),
        (lambda p: SGD([p], lr=-1), ValueError),
        (lambda p: SGD([p], lr=float("nan")), ValueError),
        (lambda p: SGD([p], momentum=-0.1), ValueError),
        (lambda p: SGD([p], nesterov=True), ValueError),
        (lambda p: SGD([p], momentum=0.9, dampening=0.1, nesterov=True), ValueError),
        (lambda p: SGD([{"params": [p], "learning_rate": 1}]), ValueError),
        (lambda p: Adam([p], betas=(1.0, 0.9)), ValueError),
        (lambda p: Adam([p], betas=(0.9,)), ValueError),
        (lambda p: AdamW([p], eps=-1e-8), ValueError),
        (lambda p: AdamW([p], weight_decay=-1), ValueError),
        (lambda p: AdamW([p], fuzed=True), TypeError),
        (lambda p: AdamW([p], differentiable=True), ValueError),
        (lambda p: Adadelta([p], rho=1.5), ValueError),
        (lambda p: RMSprop([p], alpha=-1), ValueError),
        (lambda p: NAdam([p], momentum_decay=-1), ValueError),
        (lambda p: Rprop([p], etas=(1.1, 1.2)), ValueError),
        (lambda p: Lion([p], betas=(0.9, 1.0)), ValueError),
        (lambda p: Adafactor([p], d=0.5), ValueError),
        (lambda p: Adafactor([p], eps=(-1.0, 1e-3)), ValueError),
        (lambda p: Adafactor([p], beta2_decay=0.1), ValueError),
    ],
)
def test_bad_options_are_refused(make, error):
    with pytest.raises(error):
        make(wootz.ones(2, requires_grad=True))


def test_hints_for_other_implementations_change_nothing():
    results = []
    for hints in ({}, {"fused": True}, {"foreach": False, "capturable": False}):
        p = wootz.ones(3, requires_grad=True)
        p.grad = wootz.arange(3).float()
        AdamW([p], **hints).step()
        results.append(p.tolist())
    assert results[0] == results[1] == results[2]


def test_hooks_run_around_a_step_until_they_are_taken_off():
    p = wootz.ones(1, requires_grad=True)
    p.grad = wootz.ones(1)
    optimizer, seen = SGD([p], lr=1.0), []
    off = optimizer.register_step_pre_hook(lambda o: seen.append(("before", p.item())))
    optimizer.register_step_post_hook(lambda o: seen.append(("after", p.item())))
    optimizer.step()
    off()
    optimizer.step()
    assert seen == [("before", 1.0), ("after", 0.0), ("after", -1.0)]


def test_asgd_averages_what_comes_after_t0():
    p = wootz.tensor([1.0], requires_grad=True)
    optimizer, seen = ASGD([p], lr=0.1, lambd=0.0, alpha=0.0, t0=2), []
    for _ in range(6):
        p.grad = wootz.ones(1)
        optimizer.step()
        seen.append(p.item())
    assert optimizer.state[p]["ax"].item() == pytest.approx(np.mean(seen[3:]), rel=1e-5)
