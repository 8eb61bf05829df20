"""float16 and bfloat16: conversion to the last bit, and every op against float64 on the same rounded numbers."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest
from tests.support.optable import Sample, rows, samples, to_arrays

import wootz
from wootz import _core
from wootz.errors import DTypeError

HALVES = ["float16", "bfloat16"]
EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
SAMPLES = list(samples())
APART = {"cast", "complex", "view_as_complex", "resample", "resample_back"}  # take or give one type beside another


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """float32 to the nearest bfloat16 as bits, ties to even, by comparing the two neighbours in float64."""
    low = x.view(np.uint32) & 0xFFFF0000
    high = low + 0x10000
    with np.errstate(over="ignore"):
        a, b, v = (u.astype(np.float64) for u in (low.view(np.float32), high.view(np.float32), x))
    top = ~np.isfinite(b)
    b[top] = np.copysign(2.0**128, a[top])  # where infinity begins, were there one more number
    up = (np.abs(b - v) < np.abs(v - a)) | ((np.abs(b - v) == np.abs(v - a)) & (low & 0x10000 != 0))
    return (np.where(up, high, low) >> 16).astype(np.uint16)


def bits(t: wootz.Tensor) -> np.ndarray:
    return _core.bitcast(t, wootz.int16).numpy().view(np.uint16)


def float32_samples() -> np.ndarray:
    """Random bits, and every float16 with its two neighbours in float32 and the middle between it and the next."""
    random = np.random.default_rng(0)
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    halves = halves[np.isfinite(halves)]
    middles = ((halves[:-1].astype(np.float64) + halves[1:]) / 2).astype(np.float32)
    near = [np.nextafter(middles, np.float32(s)) for s in (np.inf, -np.inf)]
    wild = random.integers(0, 2**32, 100_003, dtype=np.uint32).view(np.float32)
    special = np.array([0, -0.0, np.inf, -np.inf, 65504, 65519, 65520, 65536, 3.4e38, 1e-45, 6e-8, 2.9e-8], np.float32)
    return np.concatenate([halves, middles, *near, wild[~np.isnan(wild)], special])


def test_float16_converts_as_numpy_does_to_the_last_bit() -> None:
    every = np.arange(65536, dtype=np.uint16)
    t = _core.bitcast(wootz.from_numpy(every.view(np.int16)), wootz.float16)
    np.testing.assert_array_equal(t.float().numpy(), every.view(np.float16).astype(np.float32))
    x = float32_samples()
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16).view(np.uint16)
    np.testing.assert_array_equal(bits(wootz.from_numpy(x).half()), expected)
    one_by_one = [bits(wootz.tensor(float(v)).half())[()] for v in x[::9973]]  # tails shorter than a vector
    np.testing.assert_array_equal(one_by_one, expected[::9973])


def test_bfloat16_rounds_to_the_nearest_even() -> None:
    every = np.arange(65536, dtype=np.uint16)
    t = _core.bitcast(wootz.from_numpy(every.view(np.int16)), wootz.bfloat16)
    np.testing.assert_array_equal(t.float().numpy(), (every.astype(np.uint32) << 16).view(np.float32))
    x = float32_samples()
    finite = x[np.isfinite(x)]
    np.testing.assert_array_equal(bits(wootz.from_numpy(finite).bfloat16()), to_bfloat16(finite))


@pytest.mark.parametrize("kind", HALVES)
def test_nan_and_infinity_survive(kind: str) -> None:
    x = wootz.tensor([float("nan"), -float("nan"), float("inf"), -float("inf"), 1e30]).to(getattr(wootz, kind))
    assert x.isnan().tolist() == [True, True, False, False, False]
    assert x.isinf().tolist() == [False, False, True, True, kind == "float16"]


@pytest.mark.parametrize("kind", HALVES)
def test_conversions_to_and_from_everything_go_through_float32(kind: str) -> None:
    half = getattr(wootz, kind)
    values = np.array([-3.0, 0, 1, 2.5, 100])
    for other in ("bool", "uint8", "int8", "int16", "int32", "int64", "float64", "complex64", "complex128", *HALVES):
        given = np.abs(values) if other == "uint8" else values
        t = wootz.tensor(given).to(getattr(wootz, other))
        back = t.to(half)
        assert back.dtype is half
        expected = given != 0 if other == "bool" else given.astype(np.int64) if "int" in other else given
        assert back.tolist() == expected.tolist()
        assert back.to(t.dtype).tolist() == t.tolist()


REFERENCED = [s for s in SAMPLES if s.row["reference"] and "X(" not in s.text]


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("sample", REFERENCED, ids=map(str, REFERENCED))
def test_every_op_is_float64_rounded_once(sample: Sample, kind: str) -> None:
    """Arithmetic is in float32 and there is one rounding at the end, however long the sum."""
    if sample.row["name"] in APART:
        pytest.skip("about dtypes of its own")
    args, kwargs = sample.arguments(dtype=kind)
    expected = np.asarray(sample.reference()(*to_arrays(args), **to_arrays(kwargs)))
    found = sample.op()(*args, **kwargs)
    if expected.dtype.kind == "f" and sample.row["name"] != "count_valid":
        assert found.dtype is getattr(wootz, kind)
    np.testing.assert_allclose(to_arrays(found), expected, rtol=0.51 * EPS[kind], atol=2e-6)


def gradients(sample: Sample, dtype: str, like: list[Any] | None = None) -> tuple[list[Any], list[Any]]:
    """The inputs and their gradients; `like` holds values to take instead of the sample's own."""
    args, kwargs = sample.arguments(grad=True, dtype=dtype)
    leaves = [t for a in args for t in (a if isinstance(a, list) else [a])]
    leaves = [t for t in leaves if isinstance(t, wootz.Tensor) and t.requires_grad and t.is_leaf]
    for leaf, value in zip(leaves, like or [], strict=False):
        leaf.data = value.double()
    out = sample.op()(*args, **kwargs)
    out = out[0] if isinstance(out, tuple) else out
    if not out.requires_grad:
        return [], []
    probe = np.random.default_rng(9).integers(1, 4, out.shape)
    out.backward(wootz.tensor(probe, dtype=out.dtype))
    return [t.detach() for t in leaves], [None if t.grad is None else t.grad for t in leaves]


DIFFERENTIABLE = [s for s in SAMPLES if s.row["differentiable"] and "X(" not in s.text]


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=map(str, DIFFERENTIABLE))
def test_gradients_are_those_of_float64_within_rounding(sample: Sample, kind: str) -> None:
    if sample.row["name"] in APART or sample.row["name"].endswith("strided"):
        pytest.skip("about dtypes or memory of its own")
    inputs, found = gradients(sample, kind)
    if not inputs:
        pytest.skip("no input that a gradient flows to")
    _, expected = gradients(sample, "float64", inputs)
    for g, e in zip(found, expected, strict=True):
        assert (g is None) == (e is None)
        if g is None or e.numel() == 0:
            continue
        assert g.dtype is getattr(wootz, kind)
        size = float(np.abs(e.numpy()).max()) + 1.0
        np.testing.assert_allclose(to_arrays(g), e.numpy(), rtol=8 * EPS[kind], atol=8 * EPS[kind] * size)


FLOATING = [r for r in rows() if r["pointwise"].split(" ")[0] in ("all", "number", "float")]


@pytest.mark.parametrize("row", FLOATING, ids=lambda r: r["name"])
@pytest.mark.parametrize("kind", HALVES)
def test_layout_does_not_matter(row: dict[str, Any], kind: str) -> None:
    random = np.random.default_rng(3)
    count = row["signature"].count("Tensor") + row["signature"].count("Operand") - 1
    half = getattr(wootz, kind)
    arrays = [wootz.from_numpy(random.uniform(0.1, 0.9, (7, 70))).to(half) for _ in range(count)]
    if row["name"] == "where":
        arrays[0] = arrays[0] > 0.5
    op = getattr(_core, row["name"])
    dense = to_arrays(op(*arrays))
    np.testing.assert_array_equal(to_arrays(op(*(a.T.contiguous().T for a in arrays))), dense)
    strided = [wootz.stack([a, a], -1).reshape(7, 140)[:, ::2] for a in arrays]
    np.testing.assert_array_equal(to_arrays(op(*strided)), dense)


def test_long_sums_do_not_stop_where_the_type_runs_out_of_digits() -> None:
    ones = wootz.ones(1 << 15, dtype=wootz.bfloat16)
    assert ones.sum().item() == 1 << 15 and ones.reshape(-1, 2).sum(0).tolist() == [1 << 14] * 2
    assert wootz.full((70_000,), 1.0, dtype=wootz.float16).mean().item() == 1.0  # the sum is no float16
    assert wootz.full((70_000,), 1.0, dtype=wootz.float16).sum(dtype=wootz.float32).item() == 70_000.0
    assert (ones.reshape(1, -1) @ ones.reshape(-1, 1)).item() == 1 << 15
    index = wootz.zeros(1 << 12, dtype=wootz.int64)
    assert wootz.zeros(1, dtype=wootz.bfloat16).index_add(0, index, ones[: 1 << 12]).item() == 1 << 12


@pytest.mark.parametrize("kind", HALVES)
def test_dtype_arguments(kind: str) -> None:
    half, x = getattr(wootz, kind), wootz.tensor([1.0, 2.0, 3.0])
    assert x.sum(dtype=half).dtype is half and x.half().sum(dtype=wootz.float64).dtype is wootz.float64
    assert wootz.tensor([1, 2]).sum(dtype=half).tolist() == 3 and x.softmax(0, half).dtype is half
    assert x.to(half).softmax(0, wootz.float32).dtype is wootz.float32
    with pytest.raises(DTypeError, match="same dtype"):
        x.to(half) @ x
    with pytest.raises(DTypeError, match=f"'{kind}'"):
        x.to(half) & x.to(half)


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("step", ["sgd", "adam"])
def test_optimiser_steps_are_float32_rounded_once(kind: str, step: str) -> None:
    random = np.random.default_rng(5)
    half = getattr(wootz, kind)
    start = [wootz.from_numpy(random.uniform(0.1, 2, 40_001)).to(half) for _ in range(4)]
    narrow, wide = [t.clone() for t in start], [t.double() for t in start]
    for p, g, m, v in (narrow, wide):
        if step == "sgd":
            _core.sgd_step([p], [g], [m], 0.1, momentum=0.9, weight_decay=0.01)
        else:
            _core.adamw_step([p], [g], [m], [v], None, 3, 0.01, 0.9, 0.99, 1e-8, 0.01)
    for n, w in zip(narrow, wide, strict=True):
        np.testing.assert_allclose(to_arrays(n), w.numpy(), rtol=0.51 * EPS[kind], atol=2e-6)


@pytest.mark.parametrize("kind", HALVES)
def test_random_numbers(kind: str) -> None:
    half = getattr(wootz, kind)
    wootz.manual_seed(3)
    u, n = wootz.rand(50_000, dtype=half), wootz.randn(50_000, dtype=half).double()
    assert u.dtype is half and u.amin().item() >= 0 and u.amax().item() < 1
    assert abs(u.double().mean().item() - 0.5) < 0.01 and abs(n.var().item() - 1) < 0.03
    assert set(wootz.randint(0, 3, (100,), dtype=half).tolist()) == {0.0, 1.0, 2.0}


def test_numpy_shares_memory_and_says_what_bfloat16_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    t = wootz.ones(2, dtype=wootz.float16)
    t.numpy()[0] = 5
    assert t.tolist() == [5.0, 1.0] and memoryview(t).format == "e"
    assert wootz.from_numpy(np.ones(2, np.float16)).dtype is wootz.float16
    b = wootz.tensor([1.0, 3.0], dtype=wootz.bfloat16)
    assert b.tolist() == [1.0, 3.0] and repr(b) == "tensor([1., 3.], dtype=wootz.bfloat16)"
    with pytest.raises(BufferError, match="bfloat16"):
        memoryview(b)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(DTypeError, match="install ml_dtypes"):
        b.numpy()


def test_bfloat16_arrays_go_both_ways_with_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="NumPy has no bfloat16 without it")
    b = wootz.tensor([[1.0, 3.0]], dtype=wootz.bfloat16)
    array = b.numpy()
    assert array.dtype == ml_dtypes.bfloat16 and array.tolist() == [[1.0, 3.0]]
    array[0, 0] = 7
    assert b.tolist() == [[7.0, 3.0]] and np.asarray(b).dtype == ml_dtypes.bfloat16
    shared = wootz.from_numpy(array)
    shared[0, 1] = 2
    assert shared.dtype is wootz.bfloat16 and array.tolist() == [[7.0, 2.0]]
    assert wootz.tensor(array).dtype is wootz.bfloat16 and wootz.as_tensor(array).data_ptr() == array.ctypes.data
    assert wootz.dtypes.from_numpy_dtype(array.dtype) is wootz.bfloat16
    x = float32_samples()
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(
            bits(wootz.from_numpy(x).bfloat16()), x.astype(ml_dtypes.bfloat16).view(np.uint16)
        )


@pytest.mark.parametrize("kind", HALVES)
def test_creation_pickle_and_item(kind: str) -> None:
    half = getattr(wootz, kind)
    t = wootz.tensor([[1.5, -2], [0.1, 4]], dtype=half, requires_grad=True)
    again = pickle.loads(pickle.dumps(t))
    assert again.dtype is half and again.requires_grad and again.tolist() == t.tolist()
    assert wootz.arange(0, 3, dtype=half).tolist() == [0, 1, 2] and wootz.full((2,), 0.1, dtype=half)[0] == t[1, 0]
    assert wootz.linspace(0, 1, 3, dtype=half).tolist() == [0, 0.5, 1] and wootz.eye(2, dtype=half).sum().item() == 2
    assert type(t[1, 0].item()) is float and abs(t[1, 0].item() - 0.1) <= EPS[kind] * 0.1
    assert t.detach().half().dtype is wootz.float16 and t.bfloat16().dtype is wootz.bfloat16
    before = wootz.get_default_dtype()
    try:
        wootz.set_default_dtype(half)
        assert wootz.tensor([0.5]).dtype is half and (wootz.tensor([1]) / 2).dtype is half
    finally:
        wootz.set_default_dtype(before)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_finfo(kind: str) -> None:
    found = wootz.finfo(getattr(wootz, kind))
    if kind == "bfloat16":
        torch = pytest.importorskip("torch", reason="NumPy does not know bfloat16's limits")
        known = torch.finfo(torch.bfloat16)
    else:
        known = np.finfo(kind)
    assert found.bits == known.bits
    rounded = 1e-3 if kind == "float16" else 1e-12  # NumPy gives its answers in the type itself
    for name in ("eps", "max", "min", "tiny", "smallest_normal", "resolution"):
        assert getattr(found, name) == pytest.approx(float(getattr(known, name)), rel=rounded), name
    with pytest.raises(TypeError, match="iinfo"):
        wootz.finfo(wootz.int8)


@pytest.mark.parametrize("kind", HALVES)
def test_a_model_trains_in_sixteen_bits(kind: str) -> None:
    """Loss, backward and AdamW, all in the type: the loss falls to what its digits allow."""
    wootz.manual_seed(0)
    model = wootz.nn.Sequential(wootz.nn.Linear(4, 16), wootz.nn.GELU(), wootz.nn.Linear(16, 3))
    model = model.half() if kind == "float16" else model.bfloat16()
    assert {p.dtype for p in model.parameters()} == {getattr(wootz, kind)}
    optimizer = wootz.optim.AdamW(model.parameters(), lr=0.02, eps=1e-4)
    x = wootz.randn(48, 4).to(getattr(wootz, kind))
    labels = x.float()[:, :3].argmax(1)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = wootz.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert loss.dtype is getattr(wootz, kind) and losses[0] > 0.8 and losses[-1] < 0.25


@pytest.mark.parametrize("kind", [*HALVES, "complex64", "complex128"])
def test_dlpack_with_pytorch(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="the other end of the exchange")
    ours = wootz.tensor([[1.5, -2], [0.25, 4]], dtype=getattr(wootz, kind))
    theirs = torch.from_dlpack(ours)
    assert theirs.dtype is getattr(torch, kind) and theirs.tolist() == ours.tolist()
    theirs[0, 0] = 8
    back = wootz.from_dlpack(theirs.T)
    assert ours[0, 0].item() == 8 and back.dtype is ours.dtype and back.tolist() == ours.T.tolist()


@pytest.mark.parametrize("kind", HALVES)
def test_layers_whose_kernels_know_no_sixteen_bits(kind: str) -> None:
    """Convolution, pooling, norms, resizing and attention."""
    half, functional = getattr(wootz, kind), wootz.nn.functional
    random = np.random.default_rng(7)

    def give(*shape: int) -> tuple[wootz.Tensor, wootz.Tensor]:
        narrow = wootz.from_numpy(random.standard_normal(shape)).to(half)
        return narrow.requires_grad_(), narrow.detach().double().requires_grad_()

    image, kernel, query = give(2, 3, 8, 8), give(4, 3, 3, 3), give(2, 2, 5, 4)
    mean, var = wootz.randn(3), wootz.rand(3) + 0.5
    layers: dict[str, Any] = {
        "conv2d": lambda i: functional.conv2d(image[i], kernel[i], padding=1),
        "max_pool2d": lambda i: functional.max_pool2d(image[i], 2),
        "avg_pool2d": lambda i: functional.avg_pool2d(image[i], 2),
        "layer_norm": lambda i: functional.layer_norm(image[i], (8,)),
        "batch_norm": lambda i: functional.batch_norm(image[i], mean.to(image[i].dtype), var.to(image[i].dtype)),
        "interpolate": lambda i: functional.interpolate(image[i], scale_factor=2, mode="bilinear"),
        "attention": lambda i: functional.scaled_dot_product_attention(query[i], query[i], query[i], is_causal=True),
    }
    for name, layer in layers.items():
        found, expected = layer(0), layer(1)
        assert found.dtype is half, name
        np.testing.assert_allclose(to_arrays(found), expected.detach().numpy(), rtol=2 * EPS[kind], atol=EPS[kind])
        found.sum().backward()
        expected.sum().backward()
    for narrow, wide in (image, kernel, query):
        assert narrow.grad is not None and wide.grad is not None and narrow.grad.dtype is half
        size = wide.grad.abs().amax().item()
        np.testing.assert_allclose(to_arrays(narrow.grad), wide.grad.numpy(), atol=8 * EPS[kind] * size)
