"""Mixed precision on an emulated GPU: which op computes in what, by the lists that PyTorch documents for CUDA."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import wootz
from wootz import amp, nn, optim
from wootz.nn import functional as F
from wootz.testing import ops

FUNCTIONAL = "nn.functional."
LOW = (
    "matmul mm mv bmm addmm addmv addr baddbmm addbmm chain_matmul einsum linalg.vecdot linalg.multi_dot F.linear "
    "F.conv1d F.conv2d F.conv3d F.conv_transpose1d F.conv_transpose2d F.conv_transpose3d F.prelu "
    "F.scaled_dot_product_attention"
)
WIDE = (
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow F.softplus F.layer_norm "
    "F.rms_norm F.group_norm norm F.cosine_similarity F.poisson_nll_loss F.cosine_embedding_loss F.nll_loss "
    "F.hinge_embedding_loss F.kl_div F.l1_loss F.smooth_l1_loss F.huber_loss F.mse_loss F.margin_ranking_loss "
    "F.soft_margin_loss F.triplet_margin_loss F.multi_margin_loss F.binary_cross_entropy_with_logits F.cross_entropy "
    "dist F.pdist cdist renorm logsumexp F.interpolate prod softmax log_softmax cumprod cumsum linalg.vector_norm sum"
)
WIDEST = "addcdiv addcmul atan2 F.bilinear cross dot vdot F.grid_sample tensordot scatter_add"
FREE = "add mul div relu tanh sigmoid mean amax maximum where cat stack"
OPS = {op.name: op for op in ops()}

pytestmark = pytest.mark.usefixtures("cupy")


def named(names: str) -> list[str]:
    return names.replace("F.", FUNCTIONAL).split()


def run(name: str, *kinds: str) -> wootz.Tensor:
    """The op's first sample on the GPU, its floats in these types in turn."""
    types = itertools.cycle(kinds)

    def placed(value: Any) -> Any:
        if isinstance(value, wootz.Tensor):
            value = value.detach()
            return (value.to(getattr(wootz, next(types))) if value.dtype == wootz.float64 else value).cuda()
        if isinstance(value, dict):
            return {key: placed(part) for key, part in value.items()}
        return type(value)(placed(part) for part in value) if isinstance(value, (list, tuple)) else value

    args, kwargs = OPS[name].samples[0].arguments()
    with wootz.autocast("cuda"):
        found = OPS[name](*placed(args), **placed(kwargs))
    return found if isinstance(found, wootz.Tensor) else found[0]


@pytest.mark.parametrize("name", named(LOW))
def test_products_are_in_float16(name: str) -> None:
    assert run(name, "float32").dtype == wootz.float16


@pytest.mark.parametrize("name", named(WIDE))
def test_what_would_overflow_or_round_too_much_is_in_float32(name: str) -> None:
    assert run(name, "float16").dtype == wootz.float32


@pytest.mark.parametrize("name", named(WIDEST))
def test_what_takes_one_type_gets_the_widest(name: str) -> None:
    assert run(name, "float16", "float32").dtype == wootz.float32
    assert run(name, "float16").dtype == wootz.float16


@pytest.mark.parametrize("name", named(FREE))
def test_the_rest_computes_in_what_it_is_given(name: str) -> None:
    assert run(name, "float16").dtype == wootz.float16


def test_a_training_step_of_a_small_network() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3)).cuda()
    x, y = wootz.randn(6, 4).cuda(), wootz.tensor([0, 1, 2, 0, 1, 2]).cuda()
    optimizer, scaler = optim.SGD(model.parameters(), lr=0.5), amp.GradScaler("cuda", init_scale=256.0)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        with wootz.autocast("cuda"):
            scores = model(x)
            loss = F.cross_entropy(scores, y)
        assert scores.dtype == wootz.float16 and loss.dtype == wootz.float32
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(p.grad is not None and p.grad.dtype == wootz.float32 for p in model.parameters())


def test_each_type_of_device_has_its_own_switch() -> None:
    x = wootz.from_numpy(np.ones((2, 2), np.float32))
    with wootz.autocast("cuda", wootz.bfloat16):
        assert (x.cuda() @ x.cuda()).dtype == wootz.bfloat16
        assert (x @ x).dtype == wootz.float32
        assert wootz.is_autocast_enabled() and not wootz.is_autocast_enabled("cpu")
