"""Optimisers' formulas on NumPy arrays: each takes p, g, the state it keeps and options, and returns the new p."""

import numpy as np


def _descent(p, g, weight_decay, maximize):
    return (-g if maximize else g) + weight_decay * p


def sgd(p, g, state, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    d = _descent(p, g, weight_decay, maximize)
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


def adagrad(p, g, state, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, maximize=False):
    d = _descent(p, g, weight_decay, maximize)
    t = state["t"] = state.get("t", 0) + 1
    state["s"] = state.get("s", initial_accumulator_value) + d * d
    return p - lr / (1 + (t - 1) * lr_decay) * d / (np.sqrt(state["s"]) + eps)


def adadelta(p, g, state, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, maximize=False):
    d = _descent(p, g, weight_decay, maximize)
    state["g2"] = rho * state.get("g2", 0) + (1 - rho) * d * d
    move = np.sqrt(state.get("d2", 0) + eps) / np.sqrt(state["g2"] + eps) * d
    state["d2"] = rho * state.get("d2", 0) + (1 - rho) * move * move
    return p - lr * move


def rmsprop(p, g, state, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, maximize=False):
    d = _descent(p, g, weight_decay, maximize)
    state["g2"] = alpha * state.get("g2", 0) + (1 - alpha) * d * d
    state["g"] = alpha * state.get("g", 0) + (1 - alpha) * d
    step = d / (np.sqrt(state["g2"] - (state["g"] ** 2 if centered else 0)) + eps)
    state["b"] = momentum * state.get("b", 0) + step
    return p - lr * state["b"]


def adamax(p, g, state, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, maximize=False):
    d = _descent(p, g, weight_decay, maximize)
    t = state["t"] = state.get("t", 0) + 1
    state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * d
    state["u"] = np.maximum(betas[1] * state.get("u", 0), np.abs(d) + eps)
    return p - lr / (1 - betas[0] ** t) * state["m"] / state["u"]


def nadam(
    p, g, state, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3,
    decoupled_weight_decay=False, maximize=False,
):  # fmt: skip
    d = _descent(p, g, 0 if decoupled_weight_decay else weight_decay, maximize)
    p = p * (1 - lr * weight_decay) if decoupled_weight_decay else p
    t = state["t"] = state.get("t", 0) + 1
    state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * d
    state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * d * d
    weight = [betas[0] * (1 - 0.96 ** (k * momentum_decay) / 2) for k in (t, t + 1)]
    state["product"] = state.get("product", 1) * weight[0]
    mean = weight[1] * state["m"] / (1 - state["product"] * weight[1]) + (1 - weight[0]) * d / (1 - state["product"])
    return p - lr * mean / (np.sqrt(state["v"] / (1 - betas[1] ** t)) + eps)


def radam(
    p, g, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False, maximize=False
):
    d = _descent(p, g, 0 if decoupled_weight_decay else weight_decay, maximize)
    p = p * (1 - lr * weight_decay) if decoupled_weight_decay else p
    t = state["t"] = state.get("t", 0) + 1
    state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * d
    state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * d * d
    top = 2 / (1 - betas[1]) - 1
    now = top - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
    mean = state["m"] / (1 - betas[0] ** t)
    if now <= 5:
        return p - lr * mean
    rectified = np.sqrt((now - 4) * (now - 2) * top / ((top - 4) * (top - 2) * now))
    return p - lr * mean * rectified * np.sqrt(1 - betas[1] ** t) / (np.sqrt(state["v"]) + eps)


def lion(p, g, state, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, maximize=False):
    d = -g if maximize else g
    mean = state.get("m", np.zeros_like(p))
    state["m"] = betas[1] * mean + (1 - betas[1]) * d
    return p * (1 - lr * weight_decay) - lr * np.sign(betas[0] * mean + (1 - betas[0]) * d)


def rprop(p, g, state, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), maximize=False):
    d = -g if maximize else g
    turn = np.sign(d * state.get("d", np.zeros_like(p)))
    size = np.choose((turn + 1).astype(int), [etas[0], 1.0, etas[1]]) * state.get("size", lr)
    state["size"] = np.clip(size, *step_sizes)
    state["d"] = np.where(turn < 0, 0, d)
    return p - np.sign(state["d"]) * state["size"]


def asgd(p, g, state, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0, maximize=False):
    d = _descent(p, g, weight_decay, maximize)
    t = state["t"] = state.get("t", 0) + 1
    eta = state.get("eta", lr)
    state["eta"] = lr / (1 + lambd * lr * t) ** alpha
    return p * (1 - lambd * eta) - eta * d


def adafactor(
    p, g, state, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, maximize=False, machine=None
):
    g = -g if maximize else g
    floor = machine if eps[0] is None else eps[0]
    t = state["t"] = state.get("t", 0) + 1
    rate = max(eps[1], np.sqrt((p**2).mean())) * min(lr, 1 / np.sqrt(t))
    p = p * (1 - lr * weight_decay)
    new = t**beta2_decay
    if g.ndim > 1:
        for name, axis in (("r", -1), ("c", -2)):
            state[name] = (1 - new) * state.get(name, 0) + new * (g**2).mean(axis, keepdims=True)
        square = state["r"] @ state["c"] / np.maximum(state["r"].mean(-2, keepdims=True), floor)
    else:
        square = state["v"] = (1 - new) * state.get("v", 0) + new * g**2
    update = g / np.sqrt(np.maximum(square, floor**2))
    return p - rate / max(1, np.sqrt((update**2).mean()) / d) * update
