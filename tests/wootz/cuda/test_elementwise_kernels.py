"""Element-wise kernels and copies on the host against NumPy in float64."""

import math
from math import erf

import numpy as np
import pytest
from tests.wootz.cuda.emulator import DTYPES, Out, aligned

from wootz.backend import geometry

verf = np.vectorize(erf, otypes=[float])


def cdf(x):
    return 0.5 * (1 + verf(x / np.sqrt(2)))


def pdf(x):
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def inverse(rising, y, low, high):
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < y else (low, middle)
    return low


def whole(function):
    return lambda x, y: function(x.astype("i8"), y.astype("i8"))


UNARY = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "reciprocal": np.reciprocal, "square": np.square,
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x), "tanh": np.tanh, "sigmoid": logistic, "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * cdf(x), "silu": lambda x: x * logistic(x), "erf": verf, "sin": np.sin, "cos": np.cos,
    "floor": np.floor, "ceil": np.ceil, "round": np.round, "trunc": np.trunc,
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "gelu_slope": lambda x: cdf(x) + x * pdf(x),
    "exp2": np.exp2, "log2": np.log2, "log10": np.log10, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "lgamma": np.vectorize(math.lgamma, otypes=[float]), "erfc": np.vectorize(math.erfc, otypes=[float]),
    # By differences of lgamma, and by halving, neither as exact as the kernels are.
    "digamma": lambda x: np.vectorize(lambda y: (math.lgamma(y + 1e-5) - math.lgamma(y - 1e-5)) / 2e-5)(x),
    "erfinv": np.vectorize(lambda y: inverse(math.erf, y, -6, 6), otypes=[float]),
    "bitwise_not": lambda x: -1 - x,
}  # fmt: skip
BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    "maximum": np.maximum, "minimum": np.minimum,
    "tanh_backward": lambda g, y: g * (1 - y * y),
    "sigmoid_backward": lambda g, y: g * y * (1 - y),
    "relu_backward": lambda g, x: np.where(x > 0, g, 0),
    "gelu_backward": lambda g, x: g * (cdf(x) + x * pdf(x)),
    "silu_backward": lambda g, x: g * logistic(x) * (1 + x * (1 - logistic(x))),
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "floor_divide": np.floor_divide, "remainder": np.remainder, "fmod": np.fmod, "copysign": np.copysign,
    "atan2": np.arctan2, "hypot": np.hypot,
    "bitwise_and": whole(np.bitwise_and), "bitwise_or": whole(np.bitwise_or), "bitwise_xor": whole(np.bitwise_xor),
    "left_shift": whole(np.left_shift), "right_shift": whole(np.right_shift), "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor,
}  # fmt: skip
POSITIVE = {
    "log", "log1p", "sqrt", "rsqrt", "reciprocal", "pow", "log2", "log10", "lgamma", "digamma", "floor_divide",
    "remainder", "fmod", "left_shift", "right_shift",
}  # fmt: skip
SMALL = {"asin", "acos", "atanh", "erfinv", "tan"}  # of arguments in [-1, 1]
SLOPE = {"digamma": 1e-4}
TOLERANCE = {"f32": 3e-6, "f64": 1e-12, "f16": 2e-3, "bf16": 1.6e-2}


def close(got, expected, kind, more=0):
    expected = np.asarray(expected)
    if kind in TOLERANCE:
        allowed = TOLERANCE[kind] + more
        np.testing.assert_allclose(got.astype("f8"), expected.astype("f8"), allowed, allowed)
    else:
        np.testing.assert_array_equal(got, expected.astype(got.dtype))


def values(rng, shape, kind, positive=False):
    x = rng.uniform(0.1 if positive else -3, 3, shape)
    x = np.round(x * 5) if kind in ("i64", "i32") else x
    array = aligned(x.size * DTYPES[kind].itemsize).view(DTYPES[kind]).reshape(shape)
    array[...] = np.abs(x) if kind in ("u8", "u16", "u32", "u64", "boolean") else x
    return array


def operand(array, shape):
    view = np.broadcast_to(array, shape)
    return geometry.Operand(array.itemsize, tuple(s // array.itemsize for s in view.strides), array.ctypes.data)


def launch(out, *inputs):
    (only,) = geometry.elementwise(out.shape, [operand(a, out.shape) for a in (out, *inputs)])
    return only


def family(emulator, name):
    rows = [row for row in emulator.kernels() if row[0] == name]
    assert rows
    return rows


def test_unary(emulator):
    rng = np.random.default_rng(1)
    for _, name, kind, _ in family(emulator, "unary"):
        for shape in [(1,), (37,), (3, 5)]:
            x = values(rng, shape, kind, name in POSITIVE)
            x[...] = x / 4 if name in SMALL else np.abs(x) + 1 if name == "acosh" else x
            out = Out(np.zeros(shape, DTYPES[kind]))
            (y,) = emulator.run(f"{name}_{kind}_{kind}", launch(out.array, x), x, out, launch(out.array, x).plan)
            with np.errstate(all="ignore"):
                close(y, UNARY[name](x.astype("f8")), kind, SLOPE.get(name, 0))


@pytest.mark.parametrize("shape", [(64,), (4, 64)])
def test_one_element_broadcast_over_a_whole_output(emulator, shape):
    for kind in ("f32", "f16", "f64"):
        x = np.full((1,) * len(shape), -1.5, DTYPES[kind])
        for name, given, expected in (
            (f"neg_{kind}_{kind}", (), 1.5), (f"cast_{kind}_i64", (), -1), (f"clamp_{kind}_{kind}", (-1.0, 1.0), -1.0),
        ):  # fmt: skip
            out = Out(np.zeros(shape, DTYPES["i64" if "cast" in name else kind]))
            plan = launch(out.array, x)
            scalar = np.float64 if kind == "f64" else np.float32
            (y,) = emulator.run(name, plan, x, *map(scalar, given), out, plan.plan)
            assert (y == expected).all(), name


def test_unary_at_the_edges(emulator):
    edge = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 88.8, -104.0], "f4")
    for name in ("exp", "tanh", "sigmoid", "relu", "sign", "abs", "erf", "sqrt", "log"):
        out = Out(np.zeros(8, "f4"))
        (y,) = emulator.run(f"{name}_f32_f32", launch(out.array, edge), edge, out, launch(out.array, edge).plan)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(y, UNARY[name](edge.astype("f8")).astype("f4"), 2e-6, 1e-44)


@pytest.mark.parametrize(
    ("shapes", "transpose"),
    [
        (((41,), (41,)), False),  # contiguous with a tail
        (((64,), (1,)), False),  # a broadcast input along the packs
        (((6, 16), (16,)), False),  # a row for every row, in packs
        (((6, 16), (6, 1)), False),  # a column for every column, in packs
        (((6, 7), (7,)), False),  # rows that hold no whole packs
        (((3, 1, 4), (5, 1)), False),  # outer product of shapes
        (((8, 12), (8, 12)), True),  # an operand in the other order
        (((), ()), False),
    ],
)
def test_binary_layouts(emulator, shapes, transpose):
    rng = np.random.default_rng(2)
    for kind in ("f32", "f16", "f64", "i64"):
        x, y = (values(rng, shape, kind) for shape in shapes)
        if transpose:
            y = values(rng, shapes[1][::-1], kind).T
        out = Out(np.zeros(np.broadcast_shapes(*shapes), DTYPES[kind]))
        plan, zero = launch(out.array, x, y), np.zeros((), compute(kind))[()]
        (z,) = emulator.run(f"sub_{kind}_{kind}", plan, x, zero, y, zero, out, plan.plan)
        close(z, x.astype("f8") - y.astype("f8"), kind)


def compute(kind):
    return {"f16": "f4", "bf16": "f4", "boolean": "u1"}.get(kind, DTYPES[kind])


def test_binary(emulator):
    rng = np.random.default_rng(3)
    for _, name, kind, result in family(emulator, "binary"):
        x, y = (values(rng, (5, 9), kind, name in POSITIVE) for _ in range(2))
        y[...] = np.abs(y) + (y == 0) if name == "div" or name in POSITIVE else y
        y[0] = x[0] + (x[0] == 0 if kind == "i64" else 0) if name != "pow" else 2
        if name == "pow":
            y[...] = y % 5 if kind == "i64" else y
        out = Out(np.zeros((5, 9), DTYPES[result]))
        plan, zero = launch(out.array, x, y), np.zeros((), compute(kind))[()]
        (z,) = emulator.run(f"{name}_{kind}_{result}", plan, x, zero, y, zero, out, plan.plan)
        wide = "i8" if kind == "i64" else "f8"
        close(z, BINARY[name](x.astype(wide), y.astype(wide)), result)


@pytest.mark.parametrize("position", [0, 1])
def test_binary_takes_a_value_for_an_array(emulator, position):
    x, scalar = values(np.random.default_rng(4), (23,), "f16"), geometry.Operand(2, (0,))
    out, value, unused = Out(np.zeros(23, "f2")), np.float32(0.1), np.float32(0)
    operands, arguments = [operand(x, (23,))], [x, unused]
    operands.insert(position, scalar)
    arguments[2 * position : 2 * position] = [None, value]
    (plan,) = geometry.elementwise((23,), [operand(out.array, (23,)), *operands])
    (z,) = emulator.run("sub_f16_f16", plan, *arguments, out, plan.plan)
    difference = np.float64(value) - x.astype("f8")  # the value is not rounded to a half first
    np.testing.assert_array_equal(z, (difference if position == 0 else -difference).astype("f2"))


def test_nan_reaches_maximum_minimum_and_clamp(emulator):
    x, y = np.array([np.nan, 1, 2, 7], "f4"), np.array([1, np.nan, 3, -7], "f4")
    for name in ("maximum", "minimum"):
        out, zero = Out(np.zeros(4, "f4")), np.float32(0)
        plan = launch(out.array, x, y)
        (z,) = emulator.run(f"{name}_f32_f32", plan, x, zero, y, zero, out, plan.plan)
        np.testing.assert_array_equal(z, BINARY[name](x, y))
    for kind in ("f32", "f16", "bf16", "f64"):
        a = x.astype(DTYPES[kind])
        out = Out(np.zeros(4, a.dtype))
        plan, wide = launch(out.array, a), np.dtype(compute(kind)).type
        (z,) = emulator.run(f"clamp_{kind}_{kind}", plan, a, wide(1.5), wide(5), out, plan.plan)
        np.testing.assert_array_equal(z.astype("f8"), [np.nan, 1.5, 2, 5])


def test_where(emulator):
    rng = np.random.default_rng(5)
    for _, _, kind, _ in family(emulator, "where"):
        condition, x, y = values(rng, (6, 16), "u8") > 1, values(rng, (6, 16), kind), values(rng, (16,), kind)
        out = Out(np.zeros((6, 16), DTYPES[kind]))
        plan, zero = launch(out.array, condition, x, y), np.zeros((), compute(kind))[()]
        (z,) = emulator.run(f"where_{kind}_{kind}", plan, condition, x, zero, y, zero, out, plan.plan)
        np.testing.assert_array_equal(z, np.where(condition, x, y))


def test_cast_from_every_type_to_every_type_over_strides(emulator):
    rng = np.random.default_rng(6)
    for _, _, kind, result in family(emulator, "cast"):
        x = values(rng, (7, 6), kind).T
        out = Out(np.zeros((6, 7), DTYPES[result]), skip=1)
        plan = launch(out.array, x)
        (y,) = emulator.run(f"cast_{kind}_{result}", plan, x, out, plan.plan)
        with np.errstate(invalid="ignore"):
            expected = x.astype("f8")
            if result == "u8":  # C++ leaves a negative number to u8 open, so only what fits is compared
                fits = expected >= 0
                np.testing.assert_array_equal(y[fits], expected.astype("u1")[fits])
                continue
            np.testing.assert_array_equal(y, expected.astype(DTYPES[result]))


def test_double_to_half_rounds_once(emulator):
    x = np.array([1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-8 + 2.0**-40, 65519.99, 65520.0, 1e-8, 6e-8, np.inf, np.nan])
    for kind in ("f16", "bf16"):
        out = Out(np.zeros(8, DTYPES[kind]))
        plan = launch(out.array, x)
        (y,) = emulator.run(f"cast_f64_{kind}", plan, x, out, plan.plan)
        if kind == "f16":
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(y, x.astype("f2"))
        else:
            assert float(y[1]) == 1 + 2.0**-7  # through a float first, the tie would go to even: 1.0


def test_fill(emulator):
    for _, _, kind, _ in family(emulator, "fill"):
        out = Out(np.zeros((4, 33), DTYPES[kind]))
        bits = np.uint64(0xFEDCBA9876543210)
        plan = launch(out.array)
        (y,) = emulator.run(f"fill_{kind}_{kind}", plan, bits, out, plan.plan)
        assert (y == bits.astype(DTYPES[kind])).all()


def test_every_family_is_tested_here_or_beside(emulator):
    assert {row[0] for row in emulator.kernels()} == {
        "unary", "binary", "where", "clamp", "cast", "fill",
        "reduce", "softmax", "softmax_backward", "loss", "loss_backward", "count",
        "norm", "norm_backward", "norm_parameters", "dropout", "sgd", "adam",
        "attention", "attention_queries", "attention_keys", "link_rows", "add_rows",
        "random", "randint", "random_mask",  # test_device.py
        "ternary", "shaped", "test",  # test_op_table.py, of every type
        "copy", "indexed", "compact", "count_up", "scan", "place", "add_at", "add_runs", "sort_keys",
        "sort_step", "sort_near", "max_pool",  # test_indexed_and_ordered.py
    }  # fmt: skip


def test_a_name_that_no_kernel_has_is_an_error(emulator):
    with pytest.raises(KeyError, match="add_f32_u8"):
        emulator.launch("add_f32_u8", geometry.flat(1))
