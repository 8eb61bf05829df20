"""Optimisers against NumPy in float64, against PyTorch where it is installed, and their bad inputs."""

import numpy as np
import pytest

import wootz
from wootz.errors import StateDictError
from wootz.optim import SGD, Adam, AdamW


def sgd(p, g, state, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    d = (-g if maximize else g) + weight_decay * p
    if momentum:
        state["v"] = momentum * state["v"] + (1 - dampening) * d if "v" in state else d
        d = d + momentum * state["v"] if nesterov else state["v"]
    return p - lr * d


def adam(
    p, g, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False, decoupled=False
):
    d = -g if maximize else g
    if decoupled:
        p = p * (1 - lr * weight_decay)
    else:
        d = d + weight_decay * p
    t = state["t"] = state.get("t", 0) + 1
    state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * d
    state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * d * d
    state["top"] = np.maximum(state.get("top", 0), state["v"])
    second = state["top"] if amsgrad else state["v"]
    return p - lr * (state["m"] / (1 - betas[0] ** t)) / (np.sqrt(second / (1 - betas[1] ** t)) + eps)


def adamw(p, g, state, weight_decay=1e-2, **options):
    return adam(p, g, state, weight_decay=weight_decay, decoupled=True, **options)


CASES = [
    (SGD, sgd, {"lr": 0.1}),
    (SGD, sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.05}),
    (SGD, sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    (Adam, adam, {"lr": 0.01}),
    (Adam, adam, {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True, "betas": (0.5, 0.6)}),
    (AdamW, adamw, {"lr": 0.01}),
    (AdamW, adamw, {"lr": 0.01, "weight_decay": 0.2, "eps": 1e-3, "maximize": True}),
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
    optimizer = cls(params, **options)
    versions = [p._version for p in params]
    for step, grads in enumerate(gradients(6)):
        for i, (p, g) in enumerate(zip(params, grads, strict=True)):
            skipped = i == 1 and step < 2  # a parameter whose first gradient comes later
            p.grad = None if skipped else wootz.from_numpy(np.asarray(g.astype(dtype)))
            if not skipped:
                expected[i] = rule(expected[i], g.astype(dtype).astype("f8"), states[i], **options)
        optimizer.step()
    tolerance = 2e-5 if dtype == "f4" else 1e-12
    for p, e in zip(params, expected, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), e, tolerance, tolerance)
    assert all(p._version > v for p, v in zip(params, versions, strict=True))
    assert all(p.is_leaf and p.requires_grad for p in params)


@pytest.mark.parametrize(("cls", "_rule", "options"), CASES)
def test_a_hundred_steps_agree_with_pytorch(cls, _rule, options):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
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
    for cls in (SGD, Adam, AdamW):
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
    ],
)
def test_bad_options_are_refused(make, error):
    with pytest.raises(error):
        make(wootz.ones(2, requires_grad=True))
