"""float16 and bfloat16 on an emulated GPU, against the CPU's results in the same type or NumPy's in float64.

Every op computes in float32 and rounds once, as on the CPU: so the two differ by one unit in the last place, where
float32 came out on the two sides of a tie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support.devices import on_gpu
from tests.support.optable import Sample, rows, to_arrays

import wootz
from wootz import amp, nn, optim
from wootz.nn import functional as F

HALVES = ["float16", "bfloat16"]
EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
# A copy; ops that take or give one type beside another; and two whose results `attention` and `normalise` round.
APART = {
    "to_device", "resample", "resample_back", "complex", "view_as_complex", "attention_backward", "normalise_backward",
}  # fmt: skip
COMPOSED = {"attention", "convolve", "convolve_input", "convolve_weight", "normalise", "var", "logsumexp"}  # of others
SAMPLES = [
    Sample(row, text, number)
    for row in rows()
    for number, text in enumerate(row["samples"])
    if row["name"] not in APART and (number == 0 or row["name"] in COMPOSED)
]
OTHERS = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64", "complex64", *HALVES]

pytestmark = pytest.mark.usefixtures("cupy")


def close(ours: wootz.Tensor, theirs: Any, kind: str, units: float = 1, size: float = 0) -> None:
    """Within units in the last place, of numbers of a ``size`` where a result is their difference."""
    expected, atol = to_arrays(theirs), units * EPS[kind] * size + 2e-6
    np.testing.assert_allclose(to_arrays(ours.detach().cpu()), expected, units * EPS[kind], atol, equal_nan=True)


def tensor(values: Any, kind: str, device: str = "cpu") -> wootz.Tensor:
    return wootz.from_numpy(np.asarray(values, np.float64)).to(getattr(wootz, kind)).to(device)


def pair(kind: str, *shape: int, seed: int = 0) -> tuple[wootz.Tensor, wootz.Tensor]:
    """The same numbers on the CPU and the GPU."""
    x = tensor(np.random.default_rng(seed).standard_normal(shape), kind)
    return x, x.cuda()


def leaves(arguments: list[Any]) -> list[wootz.Tensor]:
    every = [t for a in arguments for t in (a if isinstance(a, list) else [a])]
    return [t for t in every if isinstance(t, wootz.Tensor) and t.requires_grad]


def values_and_gradients(sample: Sample, kind: str, place: Any) -> list[wootz.Tensor]:
    args, kwargs = sample.arguments(grad=sample.row["differentiable"], dtype=kind)
    args, kwargs = [place(a) for a in args], {k: place(v) for k, v in kwargs.items()}
    made = sample.op()(*args, **kwargs)
    outputs = [made] if isinstance(made, wootz.Tensor) else list(made)
    live, inputs = [t for t in outputs if t.requires_grad], leaves(args)
    if not live or not inputs:
        return outputs
    probe = np.random.default_rng(9)
    weights = [tensor(probe.integers(1, 4, t.shape), t.dtype.name, str(t.device)) for t in live]
    gradients = wootz.autograd.grad(live, inputs, weights, allow_unused=True)
    return outputs + [g for g in gradients if g is not None]


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_op_and_its_gradients_are_the_cpus(sample: Sample, kind: str) -> None:
    expected, found = (values_and_gradients(sample, kind, place) for place in (lambda x: x, on_gpu))
    assert len(found) == len(expected)
    units = 4 if sample.row["name"] == "attention" else 1  # whose probabilities are rounded before a product
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype is theirs.dtype and ours.shape == theirs.shape and ours.is_cuda
        size = np.abs(to_arrays(theirs)).max() if units > 1 and theirs.numel() else 0
        close(ours, theirs, kind, units, size)


@pytest.mark.parametrize("kind", HALVES)
def test_there_and_back(kind: str) -> None:
    x, y = pair(kind, 3, 5)
    assert y.dtype is x.dtype and y.cpu().tolist() == y.tolist() == x.tolist()
    assert y.T.cpu().tolist() == x.T.tolist() and y[1:, ::2].contiguous().tolist() == x[1:, ::2].tolist()
    assert repr(y).split() == repr(x).replace("dtype", "device='cuda:0', dtype").split()
    for make in (wootz.zeros, wootz.ones):
        assert make(3, dtype=x.dtype, device="cuda").tolist() == make(3).tolist()
    drawn = [wootz.randn(9, dtype=x.dtype, device=d, generator=wootz.Generator(3)).tolist() for d in ("cpu", "cuda")]
    assert drawn[0] == drawn[1]
    assert wootz.full((2,), 0.1, dtype=x.dtype, device="cuda").tolist() == tensor([0.1, 0.1], kind).tolist()


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("other", OTHERS)
def test_casts_to_and_from_every_type(kind: str, other: str) -> None:
    values = np.array([[0.0, 1, 2.5], [100, 7.75, 64]])
    x = tensor(values, kind)
    to = x.cuda().T.to(getattr(wootz, other))
    assert to.dtype is getattr(wootz, other) and to.tolist() == x.T.to(to.dtype).tolist()
    back = to.to(x.dtype)
    assert back.dtype is x.dtype and back.tolist() == x.T.to(to.dtype).to(x.dtype).tolist()
    filled = wootz.zeros(3, 2, dtype=x.dtype, device="cuda")
    filled.copy_(to)
    assert filled.tolist() == back.tolist()


@pytest.mark.parametrize("kind", HALVES)
def test_strides_broadcasting_and_mixed_types(kind: str) -> None:
    (a, x), (b, y), (c, z) = pair(kind, 6, 8), pair(kind, 8, 6, seed=1), pair(kind, 6, 1, seed=2)
    for f in (
        lambda a, b, c: a + b.T * c,
        lambda a, b, c: wootz.where(a > c, a, b.T),
        lambda a, b, c: a[::2, 1::3] - b.T[::2, 1::3],
        lambda a, b, c: a.float() * c + a,
        lambda a, b, c: a * 0.3 + 2 / (b.T.square() + 1),
        lambda a, b, c: a > 0.3,
        lambda a, b, c: (a + wootz.tensor(0.3, dtype=wootz.float64)).maximum(c),
        lambda a, b, c: a.expand(2, 6, 8).sum((0, 2)) + c[:, 0],
    ):
        ours, theirs = f(x, y, z), f(a, b, c)
        assert ours.dtype is theirs.dtype
        close(ours, theirs, kind, 2, 4)
    assert (x + z.to(wootz.bfloat16 if kind == "float16" else wootz.float16)).dtype is wootz.float32


@pytest.mark.parametrize("kind", HALVES)
def test_in_place(kind: str) -> None:
    a, x = pair(kind, 6, 8)
    for t in (a, x):
        t.mul_(1.5).add_(t.T[:6, :1].sum(), alpha=0.25)
        t[1].fill_(0.1)
        t[:, 2] = 9
        t[t > 8] = -0.3
        t.T[3:5].exp_().clamp_(0.2, 3)
        t[3:].copy_(t[:3])  # overlaps nothing
        t[1:].copy_(t[:-1])  # overlaps itself
    close(x, a, kind, 2)
    with pytest.raises(wootz.errors.DTypeError, match="can't be cast"):
        x.long().add_(x)


@pytest.mark.parametrize("kind", HALVES)
def test_functions_with_numbers_are_computed_in_float32(kind: str) -> None:
    """At 15 a softplus goes by way of exp(15), which is beyond float16."""
    values = np.array([-15.0, -3, -0.1, 0.1, 3, 12, 15])
    x = tensor(values, kind, "cuda")
    exact = to_arrays(x.cpu())
    close(F.softplus(x), np.log1p(np.exp(exact)), kind, 0.51)
    close(F.elu(x, 0.7), np.where(exact > 0, exact, 0.7 * np.expm1(exact)), kind, 0.51)
    close(F.leaky_relu(x, 0.3), np.where(exact > 0, exact, 0.3 * exact), kind, 0.51)
    close(x.sub(x.flip(0), alpha=0.7), exact - 0.7 * exact[::-1], kind, 0.51)


@pytest.mark.parametrize("kind", HALVES)
def test_long_sums_and_many_repeats_are_rounded_once(kind: str) -> None:
    """An accumulator of 16 bits would stop at 256 in bfloat16, at 2,048 in float16."""
    many = tensor(np.ones((2, 3001)), kind, "cuda")
    exact = tensor([3001.0, 3001], kind).tolist()
    half, places = many.dtype, wootz.zeros(3001, dtype=wootz.int64, device="cuda")
    assert many.sum(1).tolist() == wootz.matmul(many, many[0]).tolist() == exact
    assert wootz.zeros(2, 1, dtype=half, device="cuda").index_add(1, places, many)[:, 0].tolist() == exact
    table = wootz.zeros(4, 1, dtype=half, device="cuda", requires_grad=True)
    F.embedding(places, table).sum().backward()
    assert table.grad[0, 0].item() == exact[0] and many.mean().item() == 1
    bias = many.clone().requires_grad_()
    (wootz.zeros(4, 2, 3001, dtype=half, device="cuda") + bias[:, :1]).sum().backward()
    assert bias.grad[:, 0].tolist() == tensor([12004.0, 12004], kind).tolist()
    wide = tensor(np.full((1, 1, 2, 64), 60.0), kind, "cuda")  # scores of 230,400 before they are scaled
    assert F.scaled_dot_product_attention(wide, wide, wide).tolist() == wide.tolist()


def network(kind: str, device: str) -> nn.Module:
    wootz.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(0.0), nn.Linear(16, 3))
    return model.to(getattr(wootz, kind)).to(device)


def batch(kind: str, device: str) -> tuple[wootz.Tensor, wootz.Tensor]:
    random = np.random.default_rng(0)
    points, labels = random.standard_normal((32, 6)), random.integers(0, 3, 32)
    return tensor(points, kind, device), wootz.from_numpy(labels).to(device)


@pytest.mark.parametrize("kind", HALVES)
def test_one_step_of_training_is_the_cpus(kind: str) -> None:
    """Logits, loss, every gradient and, under both optimisers, every parameter after it."""
    for rule in (
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    ):
        made = []
        for device in ("cpu", "cuda"):
            model, (x, labels) = network(kind, device), batch(kind, device)
            optimizer = rule(model.parameters())
            logits = model(x)
            loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
            loss.backward()
            gradients = [p.grad.clone() for p in model.parameters()]
            optimizer.step()
            made.append([logits, loss, *gradients, *model.parameters()])
        assert all(t.is_cuda and t.dtype is getattr(wootz, kind) for t in made[1])
        for theirs, ours in zip(*made, strict=True):
            close(ours, theirs, kind, 4, np.abs(to_arrays(theirs)).max())


@pytest.mark.parametrize("kind", HALVES)
def test_optimisers_go_on_for_many_steps_as_on_the_cpu(kind: str, cupy: Any) -> None:
    for rule in (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.AdamW(p, lr=0.01)):
        made = []
        for t in pair(kind, 4, 5):
            p = t.clone().requires_grad_()
            optimizer = rule([p])
            for _ in range(10):
                optimizer.zero_grad()
                (p * p).sum().backward()
                optimizer.step()
            made.append(p)
        close(made[1], made[0], kind, 8, 1)
    short = {"float16": "f16", "bfloat16": "bf16"}[kind]
    assert {f"sgd_{short}_{short}", f"adam_{short}_{short}"} <= set(cupy.launches)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_grad_scaler_leaves_out_steps_that_overflow_and_trains() -> None:
    model, (x, labels) = network("float16", "cuda"), batch("float16", "cuda")
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    scaler = amp.GradScaler("cuda", init_scale=2.0**17, growth_interval=3)
    losses, scales = [], []
    for _ in range(12):
        before = [p.tolist() for p in model.parameters()]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scales.append(scaler.get_scale())
        scaler.update()
        losses.append(loss.item())
        left_out = scaler.get_scale() < scales[-1]
        assert left_out == ([p.tolist() for p in model.parameters()] == before)
    # A loss of 1.2 is beyond float16 at 2^16; the scale grows back to there after three good steps.
    assert 1.1 < losses[0] < 1.4 and scales[:6] == [2.0**17, 2.0**16, 2.0**15, 2.0**15, 2.0**15, 2.0**16]
    assert np.isfinite(losses).all() and losses[-1] < 0.8 * losses[0]
