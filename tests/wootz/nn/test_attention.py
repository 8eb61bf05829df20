"""Scaled dot-product attention against NumPy in float64, and PyTorch where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.peer import agree

import wootz
from wootz.autograd import gradcheck, gradgradcheck
from wootz.errors import DTypeError, ShapeError
from wootz.nn import functional as F


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def reference(q, k, v, mask=None, causal=False, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        mask = np.tril(np.ones(scores.shape[-2:], bool))
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


CASES = [
    ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), {}),
    ((2, 5, 4), (2, 5, 4), (2, 5, 4), {"is_causal": True}),
    ((1, 2, 70, 13), (1, 2, 533, 13), (1, 2, 533, 21), {}),  # several blocks, uneven everywhere
    ((1, 2, 300, 16), (1, 2, 300, 16), (1, 2, 300, 16), {"is_causal": True, "scale": 0.5}),
    ((5, 4), (3, 4), (3, 2), {"scale": 2.0}),
    ((2, 1, 3, 4, 8), (1, 2, 3, 6, 8), (6, 8), {}),
]


@pytest.mark.parametrize(("q", "k", "v", "options"), CASES, ids=lambda x: str(x).replace(" ", ""))
def test_attention_is_the_formula(q, k, v, options):
    arrays = array(*q), array(*k, seed=1), array(*v, seed=2)
    expected = reference(*arrays, causal=options.get("is_causal", False), scale=options.get("scale"))
    found = F.scaled_dot_product_attention(*map(wootz.tensor, arrays), **options).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("q", "k", "v", "options"), CASES[:4], ids=lambda x: str(x).replace(" ", ""))
def test_gradients_agree_with_pytorch(q, k, v, options):
    torch = pytest.importorskip("torch").nn.functional
    agree(F.scaled_dot_product_attention, torch.scaled_dot_product_attention, array(*q), array(*k, seed=1),
          array(*v, seed=2), **options)  # fmt: skip


@pytest.mark.parametrize("shape", [(40, 300), (1, 300), (2, 1, 40, 300), (3, 40, 300)])
@pytest.mark.parametrize("kind", [bool, float])
def test_masks_broadcast(shape, kind):
    q, k, v = array(2, 3, 40, 8), array(2, 3, 300, 8, seed=1), array(2, 3, 300, 8, seed=2)
    mask = array(*shape, seed=3)
    mask = mask > 0 if kind is bool else mask
    tensors = [wootz.tensor(x) for x in (q, k, v)]
    found = F.scaled_dot_product_attention(*tensors, wootz.tensor(mask)).numpy()
    np.testing.assert_allclose(found, reference(q, k, v, mask), rtol=1e-12, atol=1e-12)


def test_a_query_that_may_look_at_nothing_gets_nothing():
    mask = wootz.tensor([[True, True, False], [False, False, False]])
    inputs = [wootz.tensor(array(1, 1, n, 4, seed=n)).requires_grad_() for n in (2, 3, 3)]
    for options in ({}, {"dropout_p": 1e-12}):
        out = F.scaled_dot_product_attention(*inputs, attn_mask=mask, **options)
        np.testing.assert_array_equal(out.detach().numpy()[0, 0, 1], 0)
    F.scaled_dot_product_attention(*inputs, attn_mask=mask).sum().backward()
    for t in inputs:
        assert np.isfinite(t.grad.numpy()).all()
    np.testing.assert_array_equal(inputs[0].grad.numpy()[0, 0, 1], 0)
    assert gradgradcheck(lambda *t: F.scaled_dot_product_attention(*t, attn_mask=mask), inputs)


@pytest.mark.parametrize(
    "call",
    [
        lambda q, k: F.scaled_dot_product_attention(q, k, k),
        lambda q, k: F.scaled_dot_product_attention(
            k.transpose(0, 1), k.flip(0).transpose(0, 1), k[:, :1], is_causal=True
        ),
        lambda q, k: F.scaled_dot_product_attention(q, q, q, scale=0.3),
        lambda q, k: F.scaled_dot_product_attention(q[:0], k[:0], k[:0]),
        lambda q, k: F.scaled_dot_product_attention(q, k[:, :1], k[:, :1], enable_gqa=True),
        lambda q, k: F.scaled_dot_product_attention(q, k, k, attn_mask=q @ k.transpose(-1, -2)),
    ],
)  # fmt: skip
def test_derivatives(call):
    inputs = [wootz.tensor(array(2, 2, n, 3, seed=n)).requires_grad_() for n in (2, 3)]
    assert gradcheck(call, inputs)
    assert gradgradcheck(call, inputs)


@pytest.mark.parametrize(("dtype", "tolerance"), [(wootz.float16, 2e-3), (wootz.bfloat16, 2e-2)], ids=["f16", "bf16"])
def test_two_derivatives_of_sixteen_bit_inputs(dtype, tolerance):
    inputs = [wootz.tensor(array(1, 2, n, 16, seed=n)).to(dtype) for n in (40, 30, 30)]

    def derivatives(*tensors):
        tensors = [t.detach().requires_grad_() for t in tensors]
        out = F.scaled_dot_product_attention(*tensors)
        first = wootz.autograd.grad((out * out).sum(), tensors, create_graph=True)
        return *first, *wootz.autograd.grad(sum((g * g).sum() for g in first), tensors)

    exact = [t.detach().numpy() for t in derivatives(*(t.to(wootz.float64) for t in inputs))]
    for found, expected in zip(derivatives(*inputs), exact, strict=True):
        assert found.dtype is dtype
        np.testing.assert_allclose(found.detach().double().numpy(), expected, atol=tolerance * np.abs(expected).max())


def test_a_large_gradient_of_float16_does_not_overflow_within():
    """Products of a scaled loss's gradient and the output may be beyond float16 where their results are not."""
    q, k, v = (wootz.tensor(array(1, 1, 4, 8, seed=n) * s, dtype=wootz.float16) for n, s in enumerate((0.01, 0.01, 30)))
    q.requires_grad_()
    F.scaled_dot_product_attention(q, k, v).backward(wootz.full((1, 1, 4, 8), 8192.0, dtype=wootz.float16))
    assert np.isfinite(q.grad.float().numpy()).all()


def test_shared_heads_agree_with_pytorch():
    torch = pytest.importorskip("torch").nn.functional
    agree(F.scaled_dot_product_attention, torch.scaled_dot_product_attention, array(2, 6, 5, 4), array(2, 2, 7, 4),
          array(2, 2, 7, 4, seed=1), enable_gqa=True)  # fmt: skip


def test_dropout_follows_the_generator_and_keeps_the_mean():
    q, k = wootz.tensor(array(1, 1, 4, 8)), wootz.tensor(array(1, 1, 500, 8, seed=1))
    v = wootz.ones(1, 1, 500, 2).double()

    def run(seed):
        return F.scaled_dot_product_attention(q * 0, k, v, dropout_p=0.3, generator=wootz.Generator(seed)).numpy()

    np.testing.assert_array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))
    assert abs(run(1).mean() - 1) < 0.1


DROPPED = [
    {"dropout_p": 0.4}, {"dropout_p": 0.4, "is_causal": True}, {"dropout_p": 1.0},
    {"dropout_p": 0.2, "attn_mask": wootz.tensor(array(2, 1, 21, 333, seed=3) > 0)},
    {"dropout_p": 0.2, "enable_gqa": True},
]  # fmt: skip


@pytest.mark.parametrize("options", DROPPED, ids=lambda o: " ".join(o))
def test_dropout_is_that_of_the_probabilities(options):
    """The blocked kernel drops what `dropout` drops of the whole matrix, in the result and in the gradients."""
    shared = 2 if "enable_gqa" in options else 4
    q, k, v = (
        wootz.tensor(array(2, heads, n, 5, seed=n)).requires_grad_()
        for heads, n in ((4, 21), (shared, 333), (shared, 333))
    )
    mask = options.get("attn_mask")
    if options.get("is_causal"):
        mask = wootz.tensor(np.tri(21, 333, dtype=bool))
    whole_k, whole_v = (t.repeat_interleave(4 // shared, 1) for t in (k, v))
    scores = q @ whole_k.transpose(-1, -2) / 5**0.5
    weights = (scores if mask is None else wootz.where(mask, scores, -np.inf)).softmax(-1)
    expected = F.dropout(weights, options["dropout_p"], generator=wootz.Generator(9)) @ whole_v
    found = F.scaled_dot_product_attention(q, k, v, generator=wootz.Generator(9), **options)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    grad = wootz.tensor(array(2, 4, 21, 5, seed=7))
    for ours, theirs in zip(*(wootz.autograd.grad(out, (q, k, v), grad) for out in (found, expected)), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}])
def test_two_derivatives_with_dropout(options):
    inputs = [wootz.tensor(array(1, 2, n, 3, seed=n)).requires_grad_() for n in (3, 4, 4)]

    def attention(*tensors):
        return F.scaled_dot_product_attention(*tensors, dropout_p=0.4, generator=wootz.Generator(5), **options)

    assert gradcheck(attention, inputs)
    assert gradgradcheck(attention, inputs)


def test_a_jacobian_draws_the_numbers_of_its_function():
    q = wootz.tensor(array(1, 1, 3, 2)).requires_grad_()

    def attention(x):
        return F.scaled_dot_product_attention(x, x, x, dropout_p=0.5, generator=wootz.Generator(5))

    rows = [wootz.autograd.grad(attention(q).flatten()[i], q)[0].numpy().ravel() for i in range(6)]
    found = wootz.func.jacrev(attention)(q).detach().numpy().reshape(6, 6)
    np.testing.assert_allclose(found, np.stack(rows), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.1])
def test_memory_grows_with_the_length_and_not_with_its_square(p):
    def peak(n):
        inputs = [wootz.randn(1, 1, n, 16, requires_grad=True) for _ in range(3)]
        wootz._core.reset_peak_memory_stats()
        before = wootz._core.memory_stats()["in_use"]
        F.scaled_dot_product_attention(*inputs, is_causal=True, dropout_p=p).sum().backward()
        return wootz._core.memory_stats()["peak"] - before

    short, long = peak(1024), peak(4096)
    assert long < 6 * short
    assert long < 4096 * 4096 * 4 / 4


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda q: F.scaled_dot_product_attention(q, q[..., :2], q), ShapeError, "as wide as queries"),
        (lambda q: F.scaled_dot_product_attention(q, q, q.double()), DTypeError, "of one dtype"),
        (lambda q: F.scaled_dot_product_attention(q, q, q, q, is_causal=True), ValueError, "exclude each other"),
        (lambda q: F.scaled_dot_product_attention(q, q, q, dropout_p=1.5), ValueError, "probability"),
        (
            lambda q: F.scaled_dot_product_attention(q, q[:, :2], q[:, :2], enable_gqa=True),
            ShapeError,
            "dividing those of queries",
        ),
        (lambda q: F.scaled_dot_product_attention(q[0, 0, 0], q, q), ShapeError, r"\[..., length, width\]"),
        (lambda q: wootz._core.attention(q, q, q, None, 1.0, False, -0.5), ValueError, "a probability"),
        (lambda q: wootz._core.attention(q[0], q, q, None, 1.0), ShapeError, "batch, heads, length, width"),
        (lambda q: wootz._core.attention(q, q, q, wootz.ones(5, 5), 1.0), ShapeError, "does not broadcast"),
        (lambda q: wootz._core.attention(q, q, q, wootz.tensor([1]), 1.0), DTypeError, "a mask of bool or float32"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call(wootz.ones(2, 3, 4, 4))
