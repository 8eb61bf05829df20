"""An optimiser's state goes on in PyTorch, and PyTorch's in ours."""

import numpy as np
import pytest

import wootz
from wootz import optim

torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")

NAMES = {
    "SGD": {"momentum": 0.9}, "Adam": {"amsgrad": True}, "AdamW": {}, "Adagrad": {"lr_decay": 0.1}, "Adadelta": {},
    "RMSprop": {"momentum": 0.5, "centered": True}, "Adamax": {}, "NAdam": {}, "RAdam": {"betas": (0.8, 0.9)},
    "Rprop": {}, "ASGD": {"lambd": 0.1}, "Adafactor": {},
}  # fmt: skip
SHAPES = [(3, 4), (5,)]


def start():
    rng = np.random.default_rng(7)
    return [rng.normal(size=shape).astype("f4") for shape in SHAPES]


def run(make, params, optimizer, seed, steps=4):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        for p in params:
            p.grad = make(rng.normal(size=tuple(p.shape)).astype("f4"))
        optimizer.step()


def converted(value, make):
    """A state dict with the other library's tensors."""
    if isinstance(value, dict):
        return {k: converted(v, make) for k, v in value.items()}
    if isinstance(value, list):
        return [converted(v, make) for v in value]
    return make(value.detach().numpy().copy()) if hasattr(value, "detach") else value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ours_first", [True, False])
def test_training_goes_on_in_the_other_library(name, ours_first):
    sides = [(wootz.from_numpy, optim), (torch.from_numpy, torch.optim)]
    (make, library), (other_make, other_library) = sides if ours_first else sides[::-1]
    straight, moved = ([f(x).requires_grad_() for x in start()] for f in (make, make))
    whole = getattr(library, name)(straight, lr=0.01, **NAMES[name])
    run(make, straight, whole, 1)
    run(make, straight, whole, 2)
    first = getattr(library, name)(moved, lr=0.01, **NAMES[name])
    run(make, moved, first, 1)
    params = [other_make(p.detach().numpy().copy()).requires_grad_() for p in moved]
    second = getattr(other_library, name)(params, lr=99.0, **NAMES[name])
    second.load_state_dict(converted(first.state_dict(), other_make))
    run(other_make, params, second, 2)
    for p, q in zip(params, straight, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), 1e-4, 1e-5)
