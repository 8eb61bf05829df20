"""Complex numbers: the op table against NumPy and finite differences, views of parts, and what they refuse."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.support.optable import Sample, rows, samples, to_arrays

import wootz
from wootz.autograd import gradcheck, gradgradcheck
from wootz.errors import DTypeError, GradientError, ShapeError

# Ops that are linear, or move elements about, beside those whose rows say that they have a complex kernel.
ALSO = [
    "sum", "mean", "prod", "sum_to_size", "matmul", "linear", "where", "cat", "stack", "flip", "tril", "triu",
    "masked_fill", "clone", "index", "index_put", "index_select", "index_add", "gather", "scatter_add",
    "embedding", "reshape", "view", "permute", "transpose", "expand", "squeeze", "unsqueeze", "flatten",
    "select", "slice", "narrow", "diagonal", "unfold", "as_strided", "as_strided_scatter", "copy", "fill",
    "any", "all", "nonzero",
]  # fmt: skip
SAMPLES = [s for s in samples() if s.row["complex"] or s.row["name"] in ALSO]


def complex_sample(sample: Sample, grad: bool = False) -> tuple[list[Any], dict[str, Any]]:
    return sample.arguments(grad=grad, dtype="complex128")


REFERENCED = [s for s in SAMPLES if s.row["reference"]]


@pytest.mark.parametrize("kind", ["complex128", "complex64"])
@pytest.mark.parametrize("sample", REFERENCED, ids=map(str, REFERENCED))
def test_forward_agrees_with_numpy(sample: Sample, kind: str) -> None:
    if "X(" in sample.text and kind == "complex64":
        pytest.skip("drawn as complex128")
    args, kwargs = sample.arguments(dtype=kind)
    wide = [a.astype(np.complex128) if getattr(a, "dtype", None) == np.complex64 else a for a in to_arrays(args)]
    expected = np.asarray(sample.reference()(*wide, **to_arrays(kwargs)))
    found = sample.op()(*args, **kwargs).numpy()
    assert found.shape == expected.shape and (found.dtype.kind == expected.dtype.kind or expected.dtype.kind == "f")
    tolerance = 1e-13 if kind == "complex128" else 2e-6
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


DIFFERENTIABLE = [s for s in SAMPLES if s.row["differentiable"]]


@pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=map(str, DIFFERENTIABLE))
def test_derivatives_agree_with_finite_differences(sample: Sample) -> None:
    args, kwargs = complex_sample(sample, grad=True)
    inputs = [t for a in args for t in (a if isinstance(a, list) else [a])]
    inputs = [t for t in inputs if isinstance(t, wootz.Tensor) and t.requires_grad]
    if not inputs:
        pytest.skip("this sample has no input that a gradient flows to")

    def call(*given: wootz.Tensor) -> Any:
        left = iter(given)
        fill = lambda a: next(left) if isinstance(a, wootz.Tensor) and any(a is t for t in inputs) else a  # noqa: E731
        return sample.op()(*([fill(x) for x in a] if isinstance(a, list) else fill(a) for a in args), **kwargs)

    assert gradcheck(call, inputs)
    assert gradgradcheck(call, inputs)


def numbers(*shape: int, seed: int = 0, grad: bool = False) -> wootz.Tensor:
    random = np.random.default_rng(seed)
    values = random.standard_normal(shape) + 1j * random.standard_normal(shape)
    return wootz.from_numpy(np.asarray(values)).requires_grad_(grad)


def reals(*shape: int, seed: int = 0, grad: bool = False) -> wootz.Tensor:
    return wootz.from_numpy(np.asarray(np.random.default_rng(seed).uniform(0.5, 2, shape))).requires_grad_(grad)


MIXED: dict[str, tuple[Callable[..., Any], list[wootz.Tensor]]] = {
    "real times complex": (lambda x, z: x * z, [reals(3, grad=True), numbers(2, 3, grad=True)]),
    "real by complex": (lambda x, z: x / z, [reals(3, grad=True), numbers(2, 3, grad=True)]),
    "real to the complex": (lambda x, z: x**z, [reals(3, grad=True), numbers(3, grad=True)]),
    "complex to the real": (lambda z, x: z**x, [numbers(3, grad=True), reals(3, grad=True)]),
    "complex to the complex": (lambda z, x: z**x, [numbers(3, grad=True), numbers(3, seed=2, grad=True)]),
    "a complex scalar": (lambda x: (x * 2j + (1 - 1j)).exp(), [reals(3, grad=True)]),
    "parts": (lambda z: z.real * z.imag, [numbers(2, 3, grad=True)]),
    "polar": (lambda r, a: wootz.polar(r, a), [reals(3, grad=True), reals(3, seed=1, grad=True)]),
    "complex": (lambda x, y: wootz.complex(x, y) ** 2, [reals(3, grad=True), reals(2, 1, seed=1, grad=True)]),
    "abs and angle": (lambda z: z.abs() * z.angle(), [numbers(3, grad=True)]),
    "sgn": (lambda z: z.sgn(), [numbers(3, grad=True)]),
    "norm": (lambda z: z.norm() + z.norm(1), [numbers(3, 2, grad=True)]),
    "conj": (lambda z: z.conj() * z, [numbers(3, grad=True)]),
    "adjoint": (lambda z: z @ z.mH + z.H.T.T.conj() @ z.mT, [numbers(2, 2, grad=True)]),
    "vdot": (lambda a, b: a.vdot(b), [numbers(3, grad=True), numbers(3, seed=1, grad=True)]),
    "views": (lambda z: wootz.view_as_complex(wootz.view_as_real(z).flip(0) * 2.0), [numbers(3, grad=True)]),
    "a cast to real": (lambda z: z.real.to(wootz.complex128) * z, [numbers(3, grad=True)]),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_real_and_complex_mix(name: str) -> None:
    fn, inputs = MIXED[name]
    assert gradcheck(fn, inputs)
    assert gradgradcheck(fn, inputs)


def test_a_wrong_rule_is_found() -> None:
    """gradcheck would not notice a missing conjugate if it only looked along the real axis."""

    class Wrong(wootz.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: wootz.Tensor) -> wootz.Tensor:
            ctx.save_for_backward(z)
            return z * z

        @staticmethod
        def backward(ctx: Any, grad: wootz.Tensor) -> wootz.Tensor:
            return grad * ctx.saved_tensors[0] * 2

    with pytest.raises(wootz.autograd.GradcheckError):
        gradcheck(Wrong.apply, numbers(3, grad=True))


def test_parts_are_views_and_gradients_follow_writes_through_them() -> None:
    z = numbers(3)
    z.real[0] = 7.0
    z.imag = wootz.tensor([1.0, 2.0, 3.0], dtype=wootz.float64)
    assert z[0].item() == 7 + 1j and z.imag.tolist() == [1, 2, 3] and z.real.stride() == (2,)
    assert z.real.data_ptr() == z.data_ptr() and z.imag.data_ptr() == z.data_ptr() + 8

    def written(x: wootz.Tensor, y: wootz.Tensor) -> wootz.Tensor:
        w = x * 1.0
        w.real.mul_(y)
        w.imag[0] = 5.0
        return w * w

    assert gradcheck(written, [numbers(3, grad=True), reals(3, grad=True)])

    def seen(x: wootz.Tensor) -> wootz.Tensor:
        w = x * 1.0
        part = w.imag
        w.mul_(2j)
        return part * part  # its history is now that of what w became

    assert gradcheck(seen, [numbers(3, grad=True)])

    def paired(x: wootz.Tensor) -> wootz.Tensor:
        pairs = x * 1.0
        wootz.view_as_complex(pairs).mul_(1 + 2j)
        return pairs * pairs

    assert gradcheck(paired, [reals(3, 2, grad=True)])


FUNCTIONS = [
    "exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "abs", "reciprocal",
    "expm1", "log1p", "log2", "log10",
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values_and_branch_cuts_are_numpys(name: str) -> None:
    points = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e-9, 1e3]
    z = np.array([complex(x, y) for x in points for y in points])
    numpy_name = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}.get(name, name)
    with np.errstate(all="ignore"):
        expected = getattr(np, numpy_name)(z)
    found = getattr(wootz, name)(wootz.from_numpy(z)).numpy()
    finite = np.isfinite(expected)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-12, atol=1e-15)
    if name not in (
        "reciprocal",
        "log2",
        "log10",
        "exp",
        "sinh",
        "cosh",
        "expm1",
    ):  # where NumPy and C differ about infinities
        np.testing.assert_array_equal(np.isfinite(found), finite)


def test_division_does_not_overflow_on_the_way_and_powers_of_zero_exist() -> None:
    z = wootz.tensor([1e300 + 1e300j, 1e-300 + 1e-300j], dtype=wootz.complex128)
    np.testing.assert_allclose((z / z).numpy(), [1, 1])
    zero = wootz.zeros(1, dtype=wootz.complex128)
    assert (zero**0).tolist() == [1] and (zero**2).tolist() == [0] and (zero**2.5).tolist() == [0]


def test_creation_and_exchange() -> None:
    z = wootz.tensor([1 + 2j, -3j])
    assert z.dtype is wootz.complex64 and z.dtype.is_complex and not z.dtype.is_floating_point and z.is_complex()
    assert wootz.tensor(2j).item() == 2j and complex(wootz.tensor(2j)) == 2j and z.tolist() == [1 + 2j, -3j]
    a = np.ones((2, 3), np.complex64)
    t = wootz.from_numpy(a[:, 1:])
    t[0, 0] = 5j
    assert a[0, 1] == 5j and t.numpy().dtype == np.complex64 and t.numpy()[0, 0] == 5j
    assert pickle.loads(pickle.dumps(z)).tolist() == z.tolist()
    assert (wootz.ones(2) + np.complex64(1j)).dtype is wootz.complex64
    assert wootz.full((2,), 1j).dtype is wootz.complex64 and wootz.zeros(2, dtype=wootz.complex128).tolist() == [0, 0]
    assert wootz.tensor([1, 2]).to(wootz.complex128).tolist() == [1, 2] and z.to(wootz.bool).tolist() == [True, True]
    assert wootz.tensor([1, 2 + 1j], dtype=wootz.complex128).dtype is wootz.complex128
    assert bool(wootz.tensor(1j)) and not bool(wootz.tensor(0j)) and wootz.any(wootz.tensor([0j, 1j])).item()
    wootz.manual_seed(0)
    n = wootz.randn(20_000, dtype=wootz.complex64)
    assert abs(n.abs().square().mean().item() - 1) < 0.03 and abs(n.mean().item()) < 0.02
    assert wootz.rand(3, dtype=wootz.complex128).dtype is wootz.complex128
    assert wootz.isreal(wootz.tensor([1j, 1 + 0j])).tolist() == [False, True] and wootz.isreal(
        wootz.ones(1)
    ).tolist() == [True]
    assert wootz.angle(wootz.tensor([-1.0, 2.0])).tolist() == [pytest.approx(np.pi), 0]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: wootz.tensor([1 + 2j, -3j]), "tensor([1.+2.j, -0.-3.j])"),
        (lambda: wootz.tensor(1.5 - 0.25j), "tensor(1.5000-0.2500j)"),
        (lambda: wootz.tensor([0.5 + 1.2j]), "tensor([0.5000+1.2000j])"),
        (lambda: wootz.tensor(2j), "tensor(0.+2.j)"),
        (lambda: wootz.tensor([1j], dtype=wootz.complex128), "tensor([0.+1.j], dtype=wootz.complex128)"),
        (lambda: wootz.tensor([0.1, 100]), "tensor([  0.1000, 100.0000])"),
        (lambda: wootz.tensor([1.0, 10]), "tensor([ 1., 10.])"),
        (lambda: wootz.tensor([0.1], dtype=wootz.float16), "tensor([0.1000], dtype=wootz.float16)"),
        (lambda: wootz.tensor([1.2345], dtype=wootz.bfloat16), "tensor([1.2344], dtype=wootz.bfloat16)"),
    ],
)  # fmt: skip
def test_repr_is_pytorchs(make: Callable[[], wootz.Tensor], text: str) -> None:
    assert repr(make()) == text


def test_repr_agrees_with_the_installed_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="the texts above stand in for it")
    for values in ([1 + 2j, -3j], [0.5 + 1.2j], [[1j, 2], [3, 4]], [1.25 - 2.5j, 100.125]):
        assert repr(wootz.tensor(values)) == repr(torch.tensor(values))
    inf, nan = float("inf"), float("nan")
    plain = [
        [0.1, 2.5],
        [1.0, 20.0],
        [0.1, 100.25],
        [1e-5, 1],
        [nan, 1, -20],
        [inf, 0.5],
        [0.0, -0.0],
        [65504.0, 1],
        [],
    ]
    for values in (*plain, 1e-5, 3.0, list(np.linspace(-3, 900, 1200)), [[0.5] * 30] * 40):
        for kind in ("float16", "bfloat16", "float32", "float64"):
            ours, theirs = (repr(m.tensor(values, dtype=getattr(m, kind))).split() for m in (wootz, torch))
            assert ours == [word.replace("torch.", "wootz.") for word in theirs]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: numbers(2) < numbers(2), DTypeError, "not implemented for 'complex128'"),
        (lambda: numbers(2).amax(), DTypeError, "no order"),
        (lambda: numbers(2).argmin(), DTypeError, "no order"),
        (lambda: numbers(2) // 2, DTypeError, "not implemented"),
        (lambda: numbers(2).erf(), DTypeError, "not implemented"),
        (lambda: numbers(2).softmax(0), DTypeError, "floating point"),
        (lambda: float(wootz.tensor(1j)), DTypeError, "real"),
        (lambda: int(wootz.tensor(1j)), DTypeError, "real"),
        (lambda: wootz.tensor([1j], dtype=wootz.float32), DTypeError, "imaginary"),
        (lambda: wootz.ones(2).fill_(1j), DTypeError, "imaginary"),
        (lambda: wootz.ones(2).__setitem__(0, 1j), DTypeError, "imaginary"),
        (lambda: wootz.full((2,), 1j, dtype=wootz.int64), DTypeError, "imaginary"),
        (lambda: wootz.ones(2).imag, DTypeError, "non-complex"),
        (lambda: wootz.view_as_real(wootz.ones(2)), DTypeError, "complex"),
        (lambda: wootz.view_as_complex(wootz.ones(3)), ShapeError, "size 2"),
        (lambda: wootz.view_as_complex(wootz.ones(2, 3).T), ShapeError, "stride 1"),
        (lambda: wootz.view_as_complex(wootz.ones(9)[1:].reshape(4, 2)), ShapeError, "even"),
        (lambda: wootz.view_as_complex(wootz.ones(2, dtype=wootz.int64)), DTypeError, "float32"),
        (lambda: wootz.complex(wootz.ones(2), wootz.ones(2, dtype=wootz.float64)), DTypeError, "two float32"),
        (lambda: wootz.conj_physical(wootz.ones(2)), DTypeError, "not implemented for 'float32'"),
        (lambda: numbers(2, 2, 2).H, ShapeError, "matrices"),
        (lambda: numbers(2, 2).vdot(numbers(2)), ShapeError, "two vectors"),
        (lambda: (numbers(2, grad=True) * 2).sum().backward(), GradientError, "real scalar outputs"),
        (lambda: wootz.ones(3).view(wootz.complex64), ShapeError, "whole numbers of complex64"),
    (lambda: numbers(2).abs_(), DTypeError, "its result is real"),
    (lambda: (numbers(2, grad=True) * 1).abs_(), DTypeError, "its result is real"),
    ],
)  # fmt: skip
def test_what_complex_numbers_cannot_do_is_a_typed_error(
    make: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_complex_rows_have_complex_references() -> None:
    """Every row with a complex kernel is reached by the two tests above."""
    covered = {s.row["name"] for s in REFERENCED}
    assert {r["name"] for r in rows() if r["complex"]} <= covered
