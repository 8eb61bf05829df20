"""The Python array API standard 2024.12: every name with its signature, and semantics against NumPy's own namespace."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wootz
from wootz import array_api as xp
from wootz.func import grad, vmap

UNARY = """abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf
isnan log log10 log1p log2 logical_not negative positive real reciprocal round sign signbit sin sinh sqrt square tan
tanh trunc"""
BINARY = """add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal
floor_divide greater greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor maximum minimum
multiply nextafter not_equal pow remainder subtract"""
# name(signature) of everything else, as the standard writes it
OTHERS = """
arange(start, /, stop=None, step=1, *, dtype=None, device=None)
asarray(obj, /, *, dtype=None, device=None, copy=None)
empty(shape, *, dtype=None, device=None)
empty_like(x, /, *, dtype=None, device=None)
eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)
from_dlpack(x, /, *, device=None, copy=None)
full(shape, fill_value, *, dtype=None, device=None)
full_like(x, /, fill_value, *, dtype=None, device=None)
linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)
meshgrid(*arrays, indexing='xy')
ones(shape, *, dtype=None, device=None)
ones_like(x, /, *, dtype=None, device=None)
tril(x, /, *, k=0)
triu(x, /, *, k=0)
zeros(shape, *, dtype=None, device=None)
zeros_like(x, /, *, dtype=None, device=None)
astype(x, dtype, /, *, copy=True, device=None)
can_cast(from_, to, /)
finfo(type, /)
iinfo(type, /)
isdtype(dtype, kind)
result_type(*arrays_and_dtypes)
clip(x, /, min=None, max=None)
take(x, indices, /, *, axis=None)
take_along_axis(x, indices, /, *, axis=-1)
matmul(x1, x2, /)
matrix_transpose(x, /)
tensordot(x1, x2, /, *, axes=2)
vecdot(x1, x2, /, *, axis=-1)
broadcast_arrays(*arrays)
broadcast_to(x, /, shape)
concat(arrays, /, *, axis=0)
expand_dims(x, /, *, axis=0)
flip(x, /, *, axis=None)
moveaxis(x, source, destination, /)
permute_dims(x, /, axes)
repeat(x, repeats, /, *, axis=None)
reshape(x, /, shape, *, copy=None)
roll(x, /, shift, *, axis=None)
squeeze(x, /, axis)
stack(arrays, /, *, axis=0)
tile(x, repetitions, /)
unstack(x, /, *, axis=0)
argmax(x, /, *, axis=None, keepdims=False)
argmin(x, /, *, axis=None, keepdims=False)
count_nonzero(x, /, *, axis=None, keepdims=False)
nonzero(x, /)
searchsorted(x1, x2, /, *, side='left', sorter=None)
where(condition, x1, x2, /)
unique_all(x, /)
unique_counts(x, /)
unique_inverse(x, /)
unique_values(x, /)
argsort(x, /, *, axis=-1, descending=False, stable=True)
sort(x, /, *, axis=-1, descending=False, stable=True)
cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)
cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)
max(x, /, *, axis=None, keepdims=False)
mean(x, /, *, axis=None, keepdims=False)
min(x, /, *, axis=None, keepdims=False)
prod(x, /, *, axis=None, dtype=None, keepdims=False)
std(x, /, *, axis=None, correction=0.0, keepdims=False)
sum(x, /, *, axis=None, dtype=None, keepdims=False)
var(x, /, *, axis=None, correction=0.0, keepdims=False)
all(x, /, *, axis=None, keepdims=False)
any(x, /, *, axis=None, keepdims=False)
diff(x, /, *, axis=-1, n=1, prepend=None, append=None)
__array_namespace_info__()
"""
SIGNATURES = {line.partition("(")[0]: line[line.index("(") :] for line in OTHERS.strip().splitlines()}
SIGNATURES |= dict.fromkeys(UNARY.split(), "(x, /)") | dict.fromkeys(BINARY.split(), "(x1, x2, /)")
DUNDERS = [
    "abs",
    "add",
    "and",
    "eq",
    "floordiv",
    "ge",
    "gt",
    "le",
    "lshift",
    "lt",
    "matmul",
    "mod",
    "mul",
    "ne",
    "or",
    "pow",
    "rshift",
    "sub",
    "truediv",
    "xor",
]
CONSTANTS = [
    "e",
    "inf",
    "nan",
    "newaxis",
    "pi",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
TYPES = {"finfo", "iinfo"}  # classes whose one parameter may have any name


def test_every_name_of_the_standard_is_there_and_nothing_else() -> None:
    assert set(xp.__all__) == {*SIGNATURES, *CONSTANTS, "fft", "linalg", "__array_api_version__"}
    assert all(hasattr(xp, name) for name in xp.__all__) and xp.__array_api_version__ == "2024.12"


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_the_standards(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def wanted{SIGNATURES[name]}: ...", scope)
    wanted = inspect.signature(scope["wanted"]).parameters.values()
    found = inspect.signature(getattr(xp, name)).parameters.values()
    if name in TYPES:
        assert len(found) == 1
        return
    assert [(p.name, p.kind, p.default) for p in found] == [(p.name, p.kind, p.default) for p in wanted]
    assert getattr(xp, name).__doc__


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    r = np.random.default_rng(seed)
    return {
        "f": r.standard_normal((3, 4)),
        "p": r.uniform(0.5, 0.9, (3, 4)),
        "big": 1 + r.uniform(0.5, 2, (3, 4)),
        "s": r.standard_normal((3, 4)).astype(np.float32),
        "i": r.integers(-5, 6, (3, 4)),
        "u": r.integers(0, 9, (3, 4), np.uint8),
        "n": r.integers(1, 4, (3, 4)),
        "b": r.integers(0, 2, (3, 4)).astype(bool),
        "v": r.standard_normal(5),
        "w": np.array([1.0, np.nan, 2.0, 1.0, np.inf, np.nan, -0.0]),
        "z": np.array(2.5),
        "k": np.array([2, 0, 1, 2]),
        "c": r.standard_normal((3, 4)) + 1j * r.standard_normal((3, 4)),
        "e": np.zeros((0, 3)),
        "t": r.standard_normal((2, 1, 3)),
        "o": np.array([3.0, -1.0, 2.0, 3.0, -1.0]),
    }


Call = Callable[[Any, Any], Any]
IN_DOMAIN = {"acos": "p", "acosh": "big", "asin": "p", "atanh": "p", "log": "p", "log10": "p", "log2": "p", "sqrt": "p",
             "bitwise_invert": "i", "logical_not": "b", "real": "c", "imag": "c", "conj": "c"}  # fmt: skip
LOGICAL, SHIFTS, BITS = (
    ("logical_and", "logical_or", "logical_xor"),
    ("left_shift", "right_shift"),
    ("and", "or", "xor"),
)


def _binary_operands(name: str) -> list[tuple[str, str]]:
    if name in LOGICAL:
        return [("b", "b")]
    if name.startswith("bitwise"):
        return [("i", "n")] + ([("b", "b"), ("u", "u")] if name.split("_")[-1] in BITS else [])
    if name in ("floor_divide", "remainder"):
        return [("f", "p"), ("i", "n")]
    if name == "pow":
        return [("p", "f"), ("i", "n"), ("s", "s")]
    if name in ("atan2", "copysign", "divide", "hypot", "logaddexp", "nextafter"):
        return [("f", "p"), ("s", "s")]
    return [("f", "p"), ("s", "p"), ("i", "n"), ("u", "i"), ("f", "z"), ("s", "z")]


def cases() -> dict[str, Call]:
    out: dict[str, Call] = {}
    for name in UNARY.split():
        # a tuple: workers that share the tests must list them in one order
        for key in (
            IN_DOMAIN.get(name, "f"),
            *(("i", "u") if name in ("abs", "sign", "square", "ceil", "round") else ()),
        ):
            out[f"{name}({key})"] = lambda m, a, name=name, key=key: getattr(m, name)(a[key])
    for name in ("abs", "exp", "square", "sign", "negative", "round", "isnan", "isfinite"):
        out[f"{name}(c)"] = lambda m, a, name=name: getattr(m, name)(a["c"])
    for name in BINARY.split():
        for x, y in _binary_operands(name):
            out[f"{name}({x}, {y})"] = lambda m, a, name=name, x=x, y=y: getattr(m, name)(a[x], a[y])
    for name in ("add", "multiply", "greater", "pow", "maximum"):
        out[f"{name}(s, 2)"] = lambda m, a, name=name: getattr(m, name)(m.abs(a["s"]), 2)
        out[f"{name}(2.5, s)"] = lambda m, a, name=name: getattr(m, name)(2.5, a["s"])
        out[f"{name}(u, 3)"] = lambda m, a, name=name: getattr(m, name)(a["u"], 3)
    for name in ("sum", "prod", "max", "min", "mean", "std", "var", "all", "any", "count_nonzero"):
        for options in (
            {},
            {"axis": 0},
            {"axis": (0, -1)},
            {"axis": 1, "keepdims": True},
            {"keepdims": True},
            {"axis": ()},
        ):
            if name == "count_nonzero" and options.get("axis") == ():
                continue  # NumPy's own differs from the standard
            key = "b" if name in ("all", "any") else "f"
            out[f"{name}({key}, {options})"] = lambda m, a, n=name, k=key, o=options: getattr(m, n)(a[k], **o)
        if name in ("sum", "prod", "max", "min"):
            out[f"{name}(i)"] = lambda m, a, n=name: getattr(m, n)(a["i"])
            out[f"{name}(s)"] = lambda m, a, n=name: getattr(m, n)(a["s"], axis=1)
            out[f"{name}(z)"] = lambda m, a, n=name: getattr(m, n)(a["z"])
    texts = """
arange(5) | arange(1, 6, 2) | arange(5, 1, -2) | arange(0, 1, 0.25, dtype=m.float64) | arange(3, 1) | eye(3, 4, k=1, dtype=m.float64)
eye(2, dtype=m.int64) | full((2, 3), 7) | full(2, True) | full_like(a["s"], 3) | linspace(0.0, 1.0, 5, dtype=m.float64)
linspace(0.0, 1.0, 4, endpoint=False, dtype=m.float64) | meshgrid(a["v"], a["k"]) | meshgrid(a["v"], a["k"], indexing="ij")
ones((2, 2), dtype=m.int32) | zeros(3, dtype=m.bool) | ones_like(a["u"]) | zeros_like(a["f"], dtype=m.int8) | tril(a["f"], k=-1)
triu(a["f"], k=1) | asarray([[1, 2], [3, 4]]) | asarray(True) | asarray([1.5], dtype=m.float64) | astype(a["f"], m.int32)
astype(a["b"], m.float32) | clip(a["f"], -0.5, 0.5) | clip(a["i"], min=0) | clip(a["s"], max=0.25) | take(a["f"], a["k"], axis=0)
take(a["v"], a["k"]) | take_along_axis(a["f"], a["n"], axis=1) | matmul(a["f"], m.matrix_transpose(a["p"])) | matmul(a["i"], m.matrix_transpose(a["n"]))
matmul(a["f"], a["f"][0, :]) | tensordot(a["f"], a["p"], axes=((0, 1), (0, 1))) | tensordot(a["f"], a["p"], axes=0) | vecdot(a["f"], a["p"])
vecdot(a["f"], a["p"], axis=-2) | vecdot(a["c"], a["f"]) | broadcast_arrays(a["t"], a["f"][:, :3]) | broadcast_to(a["t"], (2, 4, 3))
concat([a["f"], a["s"]], axis=0) | concat([a["f"], a["v"]], axis=None) | concat([a["i"], a["u"]], axis=-1) | expand_dims(a["f"], axis=1)
expand_dims(a["f"], axis=0) | flip(a["f"]) | flip(a["f"], axis=-1) | moveaxis(a["t"], 0, -1) | moveaxis(a["t"], (0, 1), (1, 2)) | permute_dims(a["t"], (2, 0, 1))
repeat(a["f"], 2) | repeat(a["f"], 2, axis=0) | repeat(a["f"], a["k"], axis=1) | reshape(a["f"], (2, -1)) | reshape(a["f"], (4, 3), copy=True)
roll(a["f"], 1) | roll(a["f"], (1, -1), axis=(0, 1)) | roll(a["f"], -2, axis=1) | squeeze(a["t"], 1) | stack([a["f"], a["p"]], axis=-1)
tile(a["f"], (2, 1)) | tile(a["v"], (2, 2)) | unstack(a["f"]) | unstack(a["f"], axis=1) | argmax(a["f"]) | argmax(a["f"], axis=0, keepdims=True)
argmin(a["o"]) | argmin(a["f"], axis=1) | nonzero(a["b"]) | nonzero(a["i"]) | searchsorted(m.sort(a["v"]), a["f"]) | where(a["b"], a["f"], 0.0)
searchsorted(a["o"], a["f"], side="right", sorter=m.argsort(a["o"])) | where(a["b"], a["s"], a["f"]) | unique_all(a["i"]) | unique_counts(a["o"])
unique_inverse(a["i"]) | unique_values(a["w"]) | unique_values(a["b"]) | argsort(a["o"]) | argsort(a["f"], axis=0) | sort(a["f"])
sort(a["i"], axis=0) | sort(a["o"], stable=False) | cumulative_sum(a["v"]) | cumulative_sum(a["f"], axis=1) | cumulative_sum(a["u"], axis=0, dtype=m.int64)
cumulative_sum(a["f"], axis=0, include_initial=True) | cumulative_prod(a["v"], include_initial=True) | cumulative_prod(a["f"], axis=-1)
std(a["f"], correction=1) | var(a["f"], axis=1, correction=1.0, keepdims=True) | sum(a["f"], dtype=m.float32) | sum(a["b"]) | prod(a["s"], axis=())
diff(a["f"]) | diff(a["f"], axis=0, n=2) | diff(a["v"], prepend=a["z"][None], append=a["z"][None]) | sum(a["e"]) | sum(a["e"], axis=0) | prod(a["e"])
all(a["e"]) | any(a["e"], axis=0) | isdtype(m.float32, "real floating") | isdtype(m.uint8, ("integral", m.bool)) | isdtype(m.bool, "numeric")
isdtype(m.complex64, "complex floating") | isdtype(m.int8, "unsigned integer") | can_cast(m.int8, m.int32) | can_cast(m.float64, m.float32) | sum(a["c"])
"""  # noqa: E501  # a table of calls
    for text in (part.strip() for line in texts.strip().splitlines() for part in line.split(" | ")):
        out[text] = eval(f"lambda m, a: m.{text}", {})
    return out


CASES = cases()


class Ours(dict[str, Any]):
    """The same arrays as tensors, each made when it is asked for."""

    def __init__(self, given: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.given = given

    def __missing__(self, key: str) -> wootz.Tensor:
        return wootz.from_numpy(np.array(self.given[key]))


def _leaves(value: Any) -> list[Any]:
    return [x for v in value for x in _leaves(v)] if isinstance(value, (tuple, list)) else [value]


@pytest.mark.parametrize("call", CASES)
def test_results_are_numpys(call: str) -> None:
    given = arrays()
    expected = _leaves(CASES[call](np, given))
    found = _leaves(CASES[call](xp, Ours(given)))
    assert len(found) == len(expected)
    for f, e in zip(found, expected, strict=True):
        if not isinstance(f, wootz.Tensor):
            assert f == e
            continue
        e = np.asarray(e)
        assert f.shape == e.shape, call
        unsigned = e.dtype == np.uint64  # sums of unsigned numbers: there is no uint64 here
        assert f.dtype.name == ("int64" if unsigned else e.dtype.name), call
        assert np.allclose(f.numpy(), e, rtol=2e-6 if f.dtype.itemsize <= 4 else 1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda a: xp.add(a["i"], 1.5), TypeError),
        (lambda a: xp.add(a["b"], 1), TypeError),
        (lambda a: xp.add(1, 2), TypeError),
        (lambda a: xp.astype(a["c"], xp.float64), TypeError),
        (lambda a: xp.squeeze(a["f"], 0), ValueError),
        (lambda a: xp.take(a["f"], a["k"]), ValueError),
        (lambda a: xp.nonzero(a["z"]), ValueError),
        (lambda a: xp.cumulative_sum(a["f"]), ValueError),
        (lambda a: xp.reshape(a["f"].T, (12,), copy=False), ValueError),
        (lambda a: xp.vecdot(a["f"], a["v"]), ValueError),
        (lambda a: xp.isdtype(xp.float32, "real"), ValueError),
        (lambda a: xp.result_type(1, 2.0), TypeError),
        (lambda a: xp.sum(a["f"], axis=2), IndexError),
        (lambda a: xp.sum(a["f"], axis=(0, 0)), ValueError),
        (lambda a: xp.asarray([1, 2], copy=False), ValueError),
        (lambda a: xp.clip(a["i"], 0.5), TypeError),
        (lambda a: xp.asarray(a["f"], dtype=xp.float32, copy=False), ValueError),
        (lambda a: xp.arange(1, 2, 0), ValueError),
        (lambda a: xp.expand_dims(a["f"], axis=4), IndexError),
        (lambda a: xp.max(a["e"]), IndexError),
        (lambda a: a["f"].__array_namespace__(api_version="1999.01"), ValueError),
    ],
)
def test_what_the_standard_forbids_is_an_error(call: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        call(Ours(arrays()))


def test_the_array_object_has_what_the_standard_asks_of_it() -> None:
    x = wootz.arange(6, dtype=wootz.float64).reshape(2, 3)
    assert x.__array_namespace__() is xp is x.__array_namespace__(api_version="2024.12")
    assert (x.dtype, x.ndim, x.shape, x.T.shape, x.mT.shape) == (wootz.float64, 2, (2, 3), (3, 2), (3, 2))
    assert x.to_device("cpu") is x and str(x.device) == "cpu" and x.__dlpack_device__() == (1, 0)
    n = wootz.tensor([1, 2, 3])
    assert (n << 2).tolist() == [4, 8, 12] and (n >> 1).tolist() == [0, 1, 1] and (1 << n).tolist() == [2, 4, 8]
    assert complex(wootz.tensor(2.0)) == 2 + 0j and float(wootz.tensor(2)) == 2.0 and int(wootz.tensor(2.7)) == 2
    for name in DUNDERS:
        assert hasattr(x, f"__{name}__")
        assert name in ("abs", "eq", "ge", "gt", "le", "lt", "ne") or (
            hasattr(x, f"__r{name}__") and hasattr(x, f"__i{name}__")
        )


def test_inspection_tells_the_truth() -> None:
    info = xp.__array_namespace_info__()
    assert info.capabilities()["max dimensions"] == 16 and info.capabilities()["boolean indexing"]
    assert wootz.zeros((1,) * 16).ndim == 16
    with pytest.raises(wootz.errors.ShapeError):
        wootz.zeros((1,) * 17)
    for name, kind in info.dtypes().items():
        assert xp.zeros(1, dtype=kind).dtype == kind == getattr(xp, name)
    assert set(info.dtypes(kind="integral")) == {"int8", "int16", "int32", "int64", "uint8"}
    assert info.default_dtypes()["real floating"] == xp.asarray(1.0).dtype and info.default_device() in info.devices()
    assert info.default_dtypes()["indexing"] == xp.argmax(xp.ones(2)).dtype


def test_descending_order_keeps_ties_in_theirs() -> None:
    x = wootz.tensor([1.0, 3.0, 2.0, 3.0])
    assert xp.sort(x, descending=True).tolist() == [3.0, 3.0, 2.0, 1.0]
    assert xp.argsort(x, descending=True).tolist() == [1, 3, 2, 0]


def test_zero_dimensional_arrays_promote_as_the_standard_says() -> None:
    single, wide = wootz.ones(3), wootz.tensor(1.0, dtype=wootz.float64)
    assert xp.add(single, wide).dtype == wootz.float64 == xp.result_type(single, wide)
    assert (single + wide).dtype == wootz.float32  # the operator's rules are PyTorch's


def standardise(x: Any) -> Any:
    """Written against the standard, for any library."""
    m = x.__array_namespace__()
    return m.divide(m.subtract(x, m.mean(x, axis=-1, keepdims=True)), m.std(x, axis=-1, keepdims=True))


def test_code_for_the_standard_runs_is_differentiated_and_maps_over_examples() -> None:
    a = np.random.default_rng(3).standard_normal((4, 5))
    x = wootz.from_numpy(a)
    assert np.allclose(standardise(x).numpy(), standardise(a))
    assert np.allclose(vmap(standardise)(x).numpy(), standardise(a))
    slope = grad(lambda t: (standardise(t) ** 3).sum())(x)
    assert wootz.autograd.gradcheck(standardise, (x.requires_grad_(),)) and slope.shape == (4, 5)


LINALG = """
cholesky(x, /, *, upper=False)
cross(x1, x2, /, *, axis=-1)
det(x, /)
diagonal(x, /, *, offset=0)
eigh(x, /)
eigvalsh(x, /)
inv(x, /)
matmul(x1, x2, /)
matrix_norm(x, /, *, keepdims=False, ord='fro')
matrix_power(x, n, /)
matrix_rank(x, /, *, rtol=None)
matrix_transpose(x, /)
outer(x1, x2, /)
pinv(x, /, *, rtol=None)
qr(x, /, *, mode='reduced')
slogdet(x, /)
solve(x1, x2, /)
svd(x, /, *, full_matrices=True)
svdvals(x, /)
tensordot(x1, x2, /, *, axes=2)
trace(x, /, *, offset=0, dtype=None)
vecdot(x1, x2, /, *, axis=-1)
vector_norm(x, /, *, axis=None, keepdims=False, ord=2)
"""
LINALG_CALLS = """
cholesky(a["h"]) | cholesky(a["h"], upper=True) | cross(a["m"], a["h"]) | det(a["m"]) | diagonal(a["m"], offset=1) | eigvalsh(a["h"])
eigh(a["h"])[0] | inv(a["m"]) | matrix_norm(a["m"]) | matrix_norm(a["m"], ord=1, keepdims=True) | matrix_norm(a["m"], ord="nuc")
matrix_power(a["m"], 3) | matrix_power(a["m"], -2) | matrix_rank(a["m"]) | outer(a["y"], a["y"]) | pinv(a["r"]) | svdvals(a["r"])
slogdet(a["m"]) | solve(a["m"], a["m"] @ a["h"]) | solve(a["m"], a["y"]) | svd(a["r"])[1] | svd(a["r"], full_matrices=False)[1]
trace(a["m"], offset=-1) | vector_norm(a["m"], axis=(0, 2)) | vector_norm(a["r"], ord=1, keepdims=True) | vector_norm(a["r"], axis=0, ord=3)
"""  # noqa: E501  # a table of calls


def matrices() -> dict[str, np.ndarray]:
    r = np.random.default_rng(2)
    m = r.uniform(-1, 1, (2, 3, 3)) + 3 * np.eye(3)
    return {"m": m, "h": m @ m.swapaxes(-1, -2), "r": r.standard_normal((4, 3)), "y": r.standard_normal(3)}


@pytest.mark.parametrize("line", LINALG.strip().splitlines())
def test_the_linear_algebra_extension_has_the_standards_signatures(line: str) -> None:
    scope: dict[str, Any] = {}
    name = line.partition("(")[0]
    exec(f"def wanted{line[len(name) :]}: ...", scope)
    wanted, found = (inspect.signature(f).parameters.values() for f in (scope["wanted"], getattr(xp.linalg, name)))
    assert [(p.name, p.kind, p.default) for p in found] == [(p.name, p.kind, p.default) for p in wanted]
    assert set(xp.linalg.__all__) == {x.partition("(")[0] for x in LINALG.strip().splitlines()}


@pytest.mark.parametrize("text", [t.strip() for line in LINALG_CALLS.strip().splitlines() for t in line.split(" | ")])
def test_linear_algebra_agrees_with_numpys(text: str) -> None:
    call = eval(f"lambda m, a: m.{text}", {})
    expected, found = _leaves(call(np.linalg, matrices())), _leaves(call(xp.linalg, Ours(matrices())))
    for f, e in zip(found, expected, strict=True):
        e = np.asarray(e)
        assert f.shape == e.shape and np.allclose(f.numpy(), e, rtol=1e-9, atol=1e-10)


def test_factorisations_put_together_are_what_they_were() -> None:
    m, h, r = (wootz.from_numpy(matrices()[k]) for k in "mhr")
    q, upper = xp.linalg.qr(r)
    assert np.allclose((q @ upper).numpy(), r.numpy()) and np.allclose((q.T @ q).numpy(), np.eye(3))
    u, s, vh = xp.linalg.svd(m)
    assert np.allclose((u * s[:, None, :] @ vh).numpy(), m.numpy())
    values, vectors = xp.linalg.eigh(h)
    assert np.allclose((vectors * values[:, None, :] @ vectors.mT).numpy(), h.numpy())
    assert xp.linalg.eigh(h)._fields == ("eigenvalues", "eigenvectors") and xp.linalg.svd(m)._fields == ("U", "S", "Vh")


ONE, MANY = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"), ("fftn", "ifftn", "rfftn", "irfftn")
FOURIER = dict.fromkeys(ONE, "(x, /, *, n=None, axis=-1, norm='backward')")
FOURIER |= dict.fromkeys(MANY, "(x, /, *, s=None, axes=None, norm='backward')")
FOURIER |= dict.fromkeys(("fftfreq", "rfftfreq"), "(n, /, *, d=1.0, dtype=None, device=None)")
FOURIER |= dict.fromkeys(("fftshift", "ifftshift"), "(x, /, *, axes=None)")


@pytest.mark.parametrize("name", FOURIER)
def test_the_fourier_extension_has_the_standards_signatures(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def wanted{FOURIER[name]}: ...", scope)
    wanted, found = (inspect.signature(f).parameters.values() for f in (scope["wanted"], getattr(xp.fft, name)))
    assert [(p.name, p.kind, p.default) for p in found] == [(p.name, p.kind, p.default) for p in wanted]
    assert set(xp.fft.__all__) == set(FOURIER)


@pytest.mark.parametrize("name", FOURIER)
def test_fourier_transforms_agree_with_numpys(name: str) -> None:
    real = name in ("rfft", "ihfft", "rfftn")
    calls: list[dict[str, Any]] = [{}]
    if name in ONE:
        calls += [{"n": 6}, {"axis": 0, "norm": "ortho"}]
    elif name in MANY:
        calls += [{"axes": (1,)}, {"axes": (0, 1), "s": (2, 4), "norm": "forward"}]
    elif name.endswith("shift"):
        calls += [{"axes": 1}]
    else:
        found = getattr(xp.fft, name)(5, d=0.5, dtype=xp.float64)
        assert np.allclose(found.numpy(), getattr(np.fft, name)(5, d=0.5))
        return
    key = "f" if real or name.endswith("shift") else "c"
    for options in calls:
        expected = getattr(np.fft, name)(arrays()[key], **options)
        found = getattr(xp.fft, name)(Ours(arrays())[key], **options)
        assert found.shape == expected.shape and found.dtype.name == expected.dtype.name
        assert np.allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
