"""Optimiser steps over several tensors in one launch, on the host against NumPy in float64."""

import numpy as np
import pytest
from tests.wootz.cuda.emulator import Out
from tests.wootz.cuda.test_elementwise_kernels import family, values
from tests.wootz.cuda.test_row_kernels import near

from wootz.backend import geometry

COUNTS = [1, 5, 4096, 4097, 64]


def slots(parameters, gradients, states, firsts):
    table = np.zeros(len(parameters), geometry.SLOT)
    for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
        address = [s[i].ctypes.data for s in states]
        table[i] = (p.ctypes.data, g.ctypes.data, address + [0] * (3 - len(address)), p.size, firsts[i])
    return table


def step(emulator, name, kind, parameters, gradients, states, rule):
    """One launch in order, one reversed on copies; both have to agree, and guards have to hold."""
    launch, firsts = geometry.slots([p.size for p in parameters])
    outcomes = []
    for reverse in (False, True):
        ours = [Out(p, skip=i % 2) for i, p in enumerate(parameters)]  # every other one is not aligned for packs
        kept = [[Out(s) for s in state] for state in states]
        table = slots([o.array for o in ours], gradients, [[o.array for o in k] for k in kept], firsts)
        emulator.launch(f"{name}_{kind}_{kind}", launch, table, np.int32(len(ours)), rule, reverse=reverse)
        outcomes.append([o.checked() for o in [*ours, *[o for k in kept for o in k]]])
    for one, other in zip(*outcomes, strict=True):
        assert one.tobytes() == other.tobytes()
    n = len(parameters)
    return [outcomes[0][i : i + n] for i in range(0, len(outcomes[0]), n)]


def rule_of(kinds, kind, **fields):
    rule = np.zeros((), kinds["f8" if kind == "f64" else "f4"])
    for field, value in fields.items():
        rule[field] = value
    return rule[()]


@pytest.mark.parametrize("first", [1, 0])
@pytest.mark.parametrize(("momentum", "nesterov", "maximize"), [(0.0, 0, 1), (0.9, 0, 0), (0.9, 1, 0)])
def test_sgd(emulator, momentum, nesterov, maximize, first):
    rng = np.random.default_rng(1)
    for _, name, kind, _ in family(emulator, "sgd"):
        p, g, v = ([values(rng, (n,), kind) for n in COUNTS] for _ in range(3))
        rate, dampening, decay = 0.1, 0.0 if nesterov else 0.3, 0.01
        rule = rule_of(
            geometry.SGD_RULE, kind, rate=rate, momentum=momentum, dampening=dampening, decay=decay,
            nesterov=nesterov, maximize=maximize, first=first,
        )  # fmt: skip
        got = step(emulator, name, kind, p, g, [v] if momentum else [], rule)
        for i in range(len(COUNTS)):
            x, d, velocity = p[i].astype("f8"), g[i].astype("f8") * (-1 if maximize else 1), v[i].astype("f8")
            d = d + decay * x
            if momentum:
                velocity = d if first else momentum * velocity + (1 - dampening) * d
                near(got[1][i], velocity, kind)
                d = d + momentum * velocity if nesterov else velocity
            near(got[0][i], x - rate * d, kind)


@pytest.mark.parametrize(("decoupled", "amsgrad", "maximize"), [(1, False, 0), (0, True, 0), (1, True, 1)])
def test_adam(emulator, decoupled, amsgrad, maximize):
    rng = np.random.default_rng(2)
    for _, name, kind, _ in family(emulator, "adam"):
        p, g, m = ([values(rng, (n,), kind) for n in COUNTS] for _ in range(3))
        v, top = ([values(rng, (n,), kind, positive=True) for n in COUNTS] for _ in range(2))
        rate, beta1, beta2, eps, decay, t = 1e-2, 0.9, 0.99, 1e-6, 0.1, 3
        rule = rule_of(
            geometry.ADAM_RULE, kind, rate=rate, beta1=beta1, beta2=beta2, eps=eps, decay=decay,
            correction1=1 - beta1**t, correction2_root=np.sqrt(1 - beta2**t), decoupled=decoupled, maximize=maximize,
        )  # fmt: skip
        got = step(emulator, name, kind, p, g, [m, v, top] if amsgrad else [m, v], rule)
        for i in range(len(COUNTS)):
            x, d = p[i].astype("f8"), g[i].astype("f8") * (-1 if maximize else 1)
            x, d = (x * (1 - rate * decay), d) if decoupled else (x, d + decay * x)
            mean = beta1 * m[i].astype("f8") + (1 - beta1) * d
            square = beta2 * v[i].astype("f8") + (1 - beta2) * d * d
            second = np.maximum(square, top[i].astype("f8")) if amsgrad else square
            x = x - rate * (mean / (1 - beta1**t)) / (np.sqrt(second / (1 - beta2**t)) + eps)
            for outcome, expected in zip(got, [x, mean, square, second], strict=False):
                near(outcome[i], expected, kind)


def test_a_table_of_many_tensors_finds_each_block(emulator):
    counts = [1 + (i * 977) % 9000 for i in range(40)]
    p, g = ([np.full(n, v, "f4") for n in counts] for v in (1.0, 2.0))
    rule = rule_of(geometry.SGD_RULE, "f32", rate=0.25)
    (after,) = step(emulator, "sgd", "f32", p, g, [], rule)
    assert all((a == 0.5).all() for a in after)
