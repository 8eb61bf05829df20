"""Reductions, softmax, cross-entropy, norms and dropout on the host against NumPy in float64."""

import numpy as np
import pytest
from tests.wootz.cuda.emulator import DTYPES, Out
from tests.wootz.cuda.test_elementwise_kernels import TOLERANCE, compute, family, values

import wootz
from wootz.backend import geometry

FOLDS = {"sum": np.sum, "prod": np.prod, "amax": np.max, "amin": np.min}
# Short rows (a warp each), rows of no whole packs, long ones (a block each), more rows than one block takes.
MATRICES = [(1, 8), (3, 7), (11, 32), (2, 1032), (2, 4099), (3, 1)]


def near(got, expected, kind, slack=4.0):
    tolerance = TOLERANCE[kind] * slack
    np.testing.assert_allclose(got.astype("f8"), np.asarray(expected, "f8"), tolerance, tolerance)


def rows_of(out, *arrays):
    count, columns = arrays[0].shape
    stride = arrays[0].strides[0] // arrays[0].itemsize
    return geometry.rows(count, columns, stride, arrays[0].itemsize, [a.ctypes.data for a in (out, *arrays)])


def fold(emulator, name, kind, x, dims):
    operand = geometry.Operand(x.itemsize, (), x.ctypes.data)
    plan = geometry.reduction(x.shape, [s // x.itemsize for s in x.strides], dims, operand)
    outputs = np.prod([n for i, n in enumerate(x.shape) if i not in dims], dtype=int)
    one = np.ones((), compute(kind))[()]
    if plan.final is None:
        out = Out(np.zeros(outputs, x.dtype))
        return emulator.run(f"{name}_{kind}_{kind}", plan.first, x, out, one, plan.first.plan)[0]
    wide = {"f8": "f64"}.get(np.dtype(compute(kind)).str[1:], "f32")
    partial = Out(np.zeros(plan.splits * outputs, compute(kind)))
    (partials,) = emulator.run(f"{name}_{kind}_{wide}", plan.first, x, partial, one, plan.first.plan)
    out = Out(np.zeros(outputs, compute(kind)))
    return emulator.run(f"{name}_{wide}_{wide}", plan.final, partials, out, one, plan.final.plan)[0]


@pytest.mark.parametrize(
    ("shape", "dims", "order"),
    [
        ((5, 12), (1,), None),
        ((5, 13), (1,), None),
        ((70, 40), (0,), None),
        ((4, 3, 8), (0, 2), None),
        ((4, 3, 8), (1,), (2, 0, 1)),
        ((6, 5), (0, 1), None),
        ((3, 4), (), None),
        ((), (), None),
        ((3000, 2), (0,), None),  # split over blocks, folded again
        ((50_001,), (0,), None),
    ],
)
def test_reductions(emulator, shape, dims, order):
    rng = np.random.default_rng(1)
    for _, name, kind, result in family(emulator, "reduce"):
        if kind != result or (kind != "f32" and len(shape) == 1) or kind in ("i64", "boolean"):
            continue  # the half-to-float kernels write a split reduction's partial results; integers: test_integers
        x = values(rng, shape, kind)
        if name == "prod":
            x[...] = np.where(np.abs(x.astype("f8")) > 1, 1, x) if x.size < 40 else np.sign(x.astype("f4"))
        if order:
            x = x.transpose(order)
        got = fold(emulator, name, kind, x, dims)
        expected = FOLDS[name](x.astype("f8"), axis=dims).ravel() if dims else x.astype("f8").ravel()
        near(got, expected, kind, slack=40)


def test_half_types_reduce_to_float_partials(emulator):
    x = values(np.random.default_rng(2), (40_000,), "f16")
    got = fold(emulator, "sum", "f16", x, (0,))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0], x.astype("f8").sum(), rtol=1e-4, atol=1e-2)


def test_reductions_propagate_nan_and_fold_nothing_to_their_start(emulator):
    x = np.array([1, np.nan, 3, -np.inf], "f4")
    assert np.isnan(fold(emulator, "amax", "f32", x, (0,))[0])
    assert np.isnan(fold(emulator, "amin", "f32", x, (0,))[0])
    assert fold(emulator, "sum", "f32", np.zeros((3, 0), "f4"), (1,)).tolist() == [0, 0, 0]
    assert fold(emulator, "prod", "f32", np.zeros((0,), "f4"), (0,)).tolist() == [1]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("shape", MATRICES)
def test_softmax(emulator, shape):
    rng = np.random.default_rng(3)
    for _, name, kind, _ in family(emulator, "softmax"):
        x = values(rng, shape, kind)
        out = Out(np.zeros(shape, x.dtype))
        plan = rows_of(out.array, x)
        (y,) = emulator.run(f"{name}_{kind}_{kind}", plan, x, out, plan.plan)
        expected = softmax(x.astype("f8"))
        near(y, np.log(expected) if name == "log_softmax" else expected, kind)


@pytest.mark.parametrize("shape", MATRICES)
def test_softmax_backward(emulator, shape):
    rng = np.random.default_rng(4)
    for _, name, kind, _ in family(emulator, "softmax_backward"):
        g, y = values(rng, shape, kind), softmax(values(rng, shape, "f64")).astype(DTYPES[kind])
        wide_g, wide_y = g.astype("f8"), y.astype("f8")
        if name == "log_softmax_backward":
            y = np.log(wide_y).astype(y.dtype)
            expected = wide_g - np.exp(y.astype("f8")) * wide_g.sum(-1, keepdims=True)
        else:
            expected = wide_y * (wide_g - (wide_g * wide_y).sum(-1, keepdims=True))
        out = Out(np.zeros(shape, g.dtype))
        plan = rows_of(out.array, g, y)
        (dx,) = emulator.run(f"{name}_{kind}_{kind}", plan, g, y, out, plan.plan)
        near(dx, expected, kind, slack=8)


def test_softmax_of_masked_and_faulty_rows(emulator):
    inf = np.inf
    x = np.array([[0, -inf, 0, -inf], [-inf] * 4, [1, np.nan, 2, 3], [-inf, -inf, -inf, 5]], "f4")
    for columns in (1, 400):  # within a pack, and over a whole block
        wide = np.repeat(x, columns, axis=1)
        out = Out(np.zeros_like(wide))
        plan = rows_of(out.array, wide)
        (y,) = emulator.run("softmax_f32_f32", plan, wide, out, plan.plan)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(y, softmax(wide.astype("f8")), 1e-6)


def test_a_barrier_that_not_all_threads_reach_is_an_error(emulator):
    x, out = np.ones((1, 128), "f4"), np.zeros((1, 128), "f4")
    plan = rows_of(out, x)
    two_rows_a_block = geometry.Launch((1, 1, 1), (64, 2, 1))  # the second row's threads have nothing to do
    with pytest.raises(RuntimeError, match="divergence"):
        emulator.launch("softmax_f32_f32", two_rows_a_block, x, out, plan.plan)


def cross_entropy(x, labels, ignore, smoothing):
    """Losses, the log of the normaliser and the gradient of every row's loss, straight from the definition."""
    log_p = np.log(softmax(x))
    target = np.full(x.shape, smoothing / x.shape[1])
    keep = labels != ignore
    target[np.flatnonzero(keep), labels[keep]] += 1 - smoothing
    target[~keep] = 0
    gradient = np.where(keep[:, None], softmax(x) - target, 0)
    return -(target * log_p).sum(-1), (x - log_p)[:, 0], gradient


@pytest.mark.parametrize("shape", [(4, 10), (9, 3), (3, 2048)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(emulator, shape, smoothing):
    rng = np.random.default_rng(5)
    for _, name, kind, _ in family(emulator, "loss"):
        x, labels = values(rng, shape, kind), rng.integers(0, shape[1], shape[0])
        labels[1] = -100
        wide = np.dtype(compute(kind))
        losses, lse, dx = Out(np.zeros(shape[0], wide)), Out(np.zeros(shape[0], wide)), Out(np.zeros(shape, x.dtype))
        fault, divisor = Out(np.zeros(1, "i8")), np.array([shape[0] - 1.0], wide)
        tail = (np.int64(-100), wide.type(smoothing))
        plan = rows_of(dx.array, x)
        fused = emulator.run(
            f"{name}_{kind}_{kind}", plan, x, labels, losses, lse, dx, None, np.int64(0), divisor, *tail, fault,
            plan.plan,
        )  # fmt: skip
        expected = cross_entropy(x.astype("f8"), labels, -100, smoothing)
        near(fused[0], expected[0], "f64" if kind == "f64" else "f32")
        near(fused[1], expected[1], "f64" if kind == "f64" else "f32")
        near(fused[2], expected[2] / (shape[0] - 1), kind)
        assert fused[3] == 0

        # The backward pass alone: a gradient for every row.
        upstream = rng.uniform(0.5, 2, shape[0]).astype(wide)
        (alone,) = emulator.run(
            f"{name}_backward_{kind}_{kind}", plan, x, labels, fused[1], dx, upstream, np.int64(1), None, *tail,
            plan.plan,
        )  # fmt: skip
        near(alone, expected[2] * upstream.astype("f8")[:, None], kind)


def test_cross_entropy_reports_a_label_out_of_range(emulator):
    x, labels = np.zeros((3, 5), "f4"), np.array([4, 5, -1])
    losses, lse, fault = Out(np.zeros(3, "f4")), Out(np.zeros(3, "f4")), Out(np.zeros(1, "i8"))
    plan = rows_of(x, x)
    emulator.launch(
        "cross_entropy_f32_f32", plan, x, labels, losses.array, lse.array, None, None, np.int64(0), None,
        np.int64(-100), np.float32(0), fault.array, plan.plan,
    )  # fmt: skip
    assert np.isnan(losses.checked()).tolist() == [False, True, True]
    assert fault.checked()[0] in (2, 3)


def test_count_labels(emulator):
    for _, name, kind, result in family(emulator, "count"):
        labels = np.arange(-1, 999) % 7
        out = Out(np.zeros(1, DTYPES[result]))
        block = geometry.Launch((1, 1, 1), (256, 1, 1))
        (y,) = emulator.run(f"{name}_{kind}_{result}", block, labels, np.int64(1000), np.int64(3), out)
        assert y[0] == (labels != 3).sum()


def norm(x, weight, bias, eps, centred):
    mean = x.mean(-1, keepdims=True) if centred else np.zeros((len(x), 1))
    scale = 1 / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps)
    return (x - mean) * scale * weight + bias, mean, scale


@pytest.mark.parametrize("shape", MATRICES[1:5])
def test_norms(emulator, shape):
    rng = np.random.default_rng(6)
    for _, name, kind, _ in family(emulator, "norm"):
        centred = name == "layer_norm"
        x, weight, bias = values(rng, shape, kind), values(rng, shape[1:], kind), values(rng, shape[1:], kind)
        wide = np.dtype(compute(kind))
        out, means, scales = Out(np.zeros(shape, x.dtype)), Out(np.zeros(shape[0], wide)), Out(np.zeros(shape[0], wide))
        plan = rows_of(out.array, x, weight, bias)
        y, mean, scale = emulator.run(
            f"{name}_{kind}_{kind}", plan, x, weight, bias, wide.type(1e-5), out, means, scales, plan.plan
        )
        wide_x, gain, shift = x.astype("f8"), weight.astype("f8"), bias.astype("f8")
        expected, mu, s = norm(wide_x, gain, shift, 1e-5, centred)
        near(y, expected, kind)

        # Backward, held against the derivative of the definition by central differences along one direction.
        g = values(rng, shape, kind)
        (dx,) = emulator.run(f"{name}_backward_{kind}_{kind}", plan, g, x, weight, mean, scale, out, plan.plan)
        h, u = g.astype("f8") * gain, (wide_x - mu) * s
        exact = s * (h - (h.mean(-1, keepdims=True) if centred else 0) - u * (h * u).mean(-1, keepdims=True))
        near(dx, exact, kind, slack=8)
        step = rng.normal(size=shape) * 1e-6
        ahead, behind = (norm(wide_x + d, gain, shift, 1e-5, centred)[0] for d in (step, -step))
        np.testing.assert_allclose((exact * step).sum(), ((ahead - behind) / 2 * g.astype("f8")).sum(), 1e-5)

        # Gradients of weight and bias: partial sums, then their fold.
        result = "f64" if kind == "f64" else "f32"
        launch, lines = geometry.norm_parameters(*shape, shape[1])
        dw, db = Out(np.zeros((lines, shape[1]), wide)), Out(np.zeros((lines, shape[1]), wide))
        dw_, db_ = emulator.run(f"{name}_parameters_{kind}_{result}", launch, g, x, mean, scale, dw, db, launch.plan)
        near(dw_.sum(0), (g.astype("f8") * u).sum(0), result, slack=10)
        near(db_.sum(0), g.astype("f8").sum(0), result, slack=10)


def philox(seed, stream, counter):
    """Philox 4x32-10 in Python integers, from the paper's definition."""
    mask = 0xFFFFFFFF
    c = [counter & mask, counter >> 32, stream & mask, stream >> 32]
    k = [seed & mask, seed >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & mask, (p >> 32) ^ c[3] ^ k[1], p & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def test_philox_gives_the_known_answers():
    # Known-answer vectors published with the paper's reference implementation (Random123, kat_vectors).
    assert philox(0, 0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 2**64 - 1
    assert philox(ones, ones, ones) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_dropout_draws_philox_whatever_the_launch(emulator):
    seed, draw, p, count = 0x123456789ABCDEF, 7, 0.3, 1003
    blocks = [philox(seed, draw, i) for i in range(count // 2 + 1)]
    bits = np.array([(b[2 * half] | b[2 * half + 1] << 32) >> 11 for b in blocks for half in (0, 1)][:count])
    kept = bits * 2.0**-53 < 1 - p
    for _, name, kind, _ in family(emulator, "dropout"):
        x, wide = values(np.random.default_rng(7), (count,), kind, positive=True), np.dtype(compute(kind)).type
        draws = (np.uint64(seed), np.uint64(draw), None)
        arguments = (np.int64(count), np.uint64(np.ceil((1 - p) * 2.0**53)), wide(1 / (1 - p)), *draws)
        for launch in (geometry.flat(count, 2), geometry.Launch((1, 1, 1), (32, 1, 1))):
            out = Out(np.zeros(count, x.dtype))
            (y,) = emulator.run(
                f"{name}_{kind}_{kind}", launch, x, out, *arguments, np.uint64(seed), np.uint64(draw), None
            )
            near(y, np.where(kept, x.astype("f8") / (1 - p), 0), kind)


def test_dropout_keeps_what_the_cpu_keeps(emulator):
    mask = wootz.bernoulli(0.7, (1001,), generator=wootz.Generator().set_state((42, 9)))
    out, ones = Out(np.zeros(1001, "f4")), np.ones(1001, "f4")
    (y,) = emulator.run(
        "dropout_f32_f32", geometry.flat(1001, 2), ones, out, np.int64(1001), np.uint64(np.ceil(0.7 * 2.0**53)),
        np.float32(1), np.uint64(42), np.uint64(9), None,
    )  # fmt: skip
    np.testing.assert_array_equal(y, mask.numpy())
