"""Muon against its formula in NumPy; PyTorch's iteration runs in bfloat16, so that it is only close."""

import numpy as np
import pytest

import wootz
from wootz.optim import Muon

A, B, C = 3.4445, -4.775, 2.0315


def orthogonalised(m):
    x = m / np.linalg.norm(m)
    for _ in range(5):
        gram = x @ x.T
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5)])
@pytest.mark.parametrize(("adjust", "nesterov"), [(None, True), ("match_rms_adamw", False)])
def test_steps_follow_the_formula(shape, adjust, nesterov):
    rng = np.random.default_rng(0)
    expected, buffer = rng.normal(size=shape), np.zeros(shape)
    p = wootz.from_numpy(expected.copy()).requires_grad_()
    optimizer = Muon([p], lr=0.1, adjust_lr_fn=adjust, nesterov=nesterov)
    scale = np.sqrt(max(1, shape[0] / shape[1])) if adjust is None else 0.2 * np.sqrt(max(shape))
    for _ in range(6):
        g = rng.normal(size=shape)
        p.grad = wootz.from_numpy(g)
        optimizer.step()
        buffer = 0.95 * buffer + 0.05 * g
        direction = 0.05 * g + 0.95 * buffer if nesterov else buffer
        expected = expected * (1 - 0.1 * 0.1) - 0.1 * scale * orthogonalised(direction)
        np.testing.assert_allclose(p.detach().numpy(), expected, 1e-8, 1e-10)
    spread = np.linalg.svd(orthogonalised(direction))[1]
    assert spread.min() > 0.3 and spread.max() < 1.3


def test_steps_are_near_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    rng = np.random.default_rng(1)
    start = rng.normal(size=(8, 5)).astype("f4")
    p, q = wootz.from_numpy(start.copy()).requires_grad_(), torch.from_numpy(start.copy()).requires_grad_()
    pair = Muon([p], lr=0.01), torch.optim.Muon([q], lr=0.01)
    assert pair[0].defaults == pair[1].defaults
    for _ in range(5):
        g = rng.normal(size=(8, 5)).astype("f4")
        p.grad, q.grad = wootz.from_numpy(g), torch.from_numpy(g)
        for optimizer in pair:
            optimizer.step()
    moved = abs(q.detach().numpy() - start).max()
    assert abs(p.detach().numpy() - q.detach().numpy()).max() < 0.05 * moved


@pytest.mark.parametrize(
    "options", [{"lr": -1}, {"adjust_lr_fn": "mine"}, {"ns_coefficients": (1, 2)}, {"ns_steps": 100}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError):
        Muon([wootz.ones(2, 2)], **options)


def test_vectors_are_refused():
    with pytest.raises(ValueError, match="give it to AdamW"):
        Muon([wootz.ones(2)])
