"""Tensors: memory, promotion, indexing, exchange with NumPy, and what they refuse."""

from __future__ import annotations

import copy
import pickle
import weakref

import numpy as np
import pytest

import wootz
from wootz import _core
from wootz import backend as backend_module
from wootz.errors import BackendError, DeviceError, DTypeError, ShapeError


def test_numpy_shares_memory_both_ways() -> None:
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    t = wootz.from_numpy(a[:, 1:])
    t[0, 0] = 99
    assert a[0, 1] == 99 and t.stride() == (4, 1) and t.data_ptr() == a[:, 1:].ctypes.data
    back = t.numpy()
    back[1, 1] = -5
    assert t[1, 1].item() == -5 and np.shares_memory(back, a)
    assert np.asarray(t.T).strides == (4, 16)


def test_a_tensor_keeps_the_array_alive_and_the_other_way_round() -> None:
    t = wootz.from_numpy(np.full(1000, 3.0))
    assert (t.numpy() == 3).all()
    view = wootz.full((1000,), 4.0).numpy()
    assert (view == 4).all()


@pytest.mark.parametrize("kind", ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"])
def test_every_dtype_makes_the_round_trip(kind: str) -> None:
    a = np.array([[0, 1, 1], [1, 0, 1]], dtype=kind)
    t = wootz.tensor(a)
    assert t.dtype.name == kind and repr(t.dtype) == f"wootz.{kind}" and t.itemsize == a.itemsize
    assert t.numpy().dtype == a.dtype and (t.numpy() == a).all()
    assert pickle.loads(pickle.dumps(t)).tolist() == a.tolist()
    assert pickle.loads(pickle.dumps(t.dtype)) is t.dtype


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: wootz.from_numpy(np.ones(3)[::-1]), ValueError, "negative"),
        (lambda: wootz.from_numpy(np.ones(3, np.clongdouble)), DTypeError, "format"),
        (lambda: wootz.from_numpy(np.array(["a"])), DTypeError, "format"),
        (lambda: wootz.from_numpy(np.broadcast_to(1.0, 3)), ValueError, "read-only"),
        (lambda: wootz.from_numpy([1, 2]), TypeError, "expected np.ndarray"),
        (lambda: wootz.tensor(["a"]), TypeError, "cannot make a tensor"),
        (lambda: wootz.tensor([[1, 2], [3]]), ValueError, "inhomogeneous"),
        (lambda: wootz.tensor(object()), TypeError, "cannot make a tensor"),
        (lambda: _core.from_buffer("text"), TypeError, "buffer|bytes-like"),
        (lambda: wootz.empty(2**40, 2**40), ShapeError, "more elements than can be addressed"),
        (lambda: wootz.empty(2**62), ShapeError, "more elements"),
        (lambda: wootz.empty(2**46), MemoryError, "tried to allocate"),
        (lambda: wootz.empty(-1), ShapeError, "negative dimension"),
        (lambda: wootz.empty(2**70), OverflowError, "64 bits"),
        (lambda: wootz.empty(*[1] * 17), ShapeError, "at most 16"),
        (lambda: wootz.empty(2.5), TypeError, "tuple of ints"),
        (lambda: wootz.zeros(2, dtype="float32"), TypeError, "wootz.dtype"),
        (lambda: wootz.zeros(2, device="tpu"), DeviceError, "tpu"),
        (lambda: wootz.zeros(2, device="cuda:x"), DeviceError, "invalid device string"),
        (lambda: wootz.zeros(2, device="cuda"), BackendError, "^full: no "),
        (lambda: wootz.arange(0, 5, 0), ValueError, "nonzero"),
        (lambda: wootz.arange(5, 0), ValueError, "inconsistent"),
        (lambda: wootz.arange(float("inf")), ValueError, "range"),
        (lambda: wootz.ones(2, 3) + wootz.ones(4), ShapeError, "must match the size"),
        (lambda: wootz.ones(2) @ wootz.ones(3), ShapeError, "cannot be multiplied"),
        (lambda: wootz.ones(2, 2) @ wootz.ones(2, 2, dtype=wootz.float64), DTypeError, "same dtype"),
        (lambda: wootz.tensor(1.0) @ wootz.ones(2), ShapeError, "at least 1D"),
        (lambda: wootz.ones(2, 3).view(4), ShapeError, "invalid for input of size 6"),
        (lambda: wootz.ones(2, 3).T.view(6), ShapeError, "reshape"),
        (lambda: wootz.ones(2, 3).view(-1, -1), ShapeError, "only one"),
        (lambda: wootz.ones(0).view(-1, 0), ShapeError, "ambiguous"),
        (lambda: wootz.ones(2, 3).permute(0, 0), ValueError, "multiple times"),
        (lambda: wootz.ones(2, 3).permute(0), ShapeError, "number of dimensions"),
        (lambda: wootz.ones(2, 3).sum(2), IndexError, "Dimension out of range"),
        (lambda: wootz.ones(2, 3).sum((0, 0)), ValueError, "multiple times"),
        (lambda: wootz.ones(2, 3).expand(2), ShapeError, "greater or equal"),
        (lambda: wootz.ones(2, 3).expand(4, 3), ShapeError, "non-singleton"),
        (lambda: wootz.ones(0, 3).amax(0), IndexError, "size 0"),
        (lambda: wootz.ones(2)[2], IndexError, "out of bounds"),
        (lambda: wootz.ones(2)[2**70], IndexError, "64 bits"),
        (lambda: wootz.ones(2)[0, 0], IndexError, "too many indices"),
        (lambda: wootz.ones(2)[..., ...], IndexError, "single ellipsis"),
        (lambda: wootz.ones(2)["a"], IndexError, "valid indices"),
        (lambda: wootz.ones(2)[1.5], IndexError, "valid indices"),
        (lambda: wootz.ones(4)[::-1], ValueError, "positive"),
        (lambda: wootz.ones(2)[wootz.tensor([2])], IndexError, "out of bounds"),
        (lambda: wootz.ones(2)[wootz.tensor([True])], IndexError, "mask"),
        (lambda: wootz.ones(2)[wootz.tensor([0.5])], IndexError, "indices"),
        (lambda: wootz.tensor(1.0)[0], IndexError, "0-dim"),
        (lambda: wootz.ones(3).__setitem__(slice(0, 2), wootz.ones(3)), ShapeError, "must match"),
        (lambda: wootz.ones(3).__delitem__(0), TypeError, "deleting"),
        (lambda: wootz.ones(3).add_(wootz.ones(2, 3)), ShapeError, "doesn't match the broadcast shape"),
        (lambda: wootz.tensor([1, 2]).add_(0.5), DTypeError, "can't be cast"),
        (lambda: wootz.tensor([1, 2]).mean(), DTypeError, "floating point"),
        (lambda: wootz.ones(2) & wootz.ones(2), DTypeError, "not implemented for 'float32'"),
        (lambda: -wootz.tensor([True]), DTypeError, "not implemented for 'bool'"),
        (lambda: wootz.ones(2) + "a", TypeError, "unsupported operand"),
        (lambda: wootz.ones(2) + 2**80, OverflowError, "64 bits"),
        (
            lambda: wootz.add(wootz.ones(2), "a"),
            TypeError,
            r"add\(\): argument 'other' \(position 2\) must be Tensor or a number, not str",
        ),
        (lambda: wootz.add(wootz.ones(2)), TypeError, "missing required argument 'other'"),
        (lambda: wootz.add(wootz.ones(2), 1, 1), TypeError, "at most 2 positional"),
        (lambda: wootz.add(wootz.ones(2), 1, beta=2), TypeError, "unexpected keyword argument 'beta'"),
        (lambda: wootz.add(wootz.ones(2), 1, self=2), TypeError, "multiple values"),
        (lambda: wootz.cat([]), ValueError, "non-empty"),
        (lambda: wootz.cat([wootz.ones(2, 2), wootz.ones(2, 3)]), ShapeError, "Sizes of tensors must match"),
        (lambda: wootz.cat(wootz.ones(2, 2)), TypeError, "list of Tensors"),
        (lambda: wootz.stack([wootz.ones(2), wootz.ones(3)]), ShapeError, "equal size"),
        (lambda: bool(wootz.ones(2)), ShapeError, "ambiguous"),
        (lambda: bool(wootz.ones(0)), ShapeError, "ambiguous"),
        (lambda: wootz.ones(2).item(), ShapeError, "2 elements"),
        (lambda: len(wootz.tensor(1.0)), TypeError, "0-d"),
        (lambda: list(wootz.tensor(1.0)), TypeError, "0-d"),
        (lambda: wootz.ones(2, requires_grad=True).numpy(), RuntimeError, "detach"),
        (lambda: memoryview(wootz.ones(2, requires_grad=True)), BufferError, "detach"),
        (lambda: wootz.ones(4).as_strided((5,), (1,)), ShapeError, "out of bounds for storage"),
        (lambda: wootz.ones(4).as_strided((2**40, 2**20), (2**40, 1)), ShapeError, "more elements"),
        (lambda: wootz.ones(4).as_strided((2, 2), (2**62, 2**62)), ShapeError, "out of bounds"),
        (lambda: wootz.ones(4).as_strided((2,), (-1,)), ValueError, "negative strides"),
        (lambda: wootz.ones(4).as_strided((2,), (1,), -1), ValueError, "negative"),
        (lambda: wootz.ones(4).unfold(0, 5, 1), ShapeError, "maximum size"),
        (lambda: wootz.ones(2, 2).gather(0, wootz.tensor([[5, 0]])), IndexError, "out of bounds"),
        (lambda: wootz.embedding(wootz.ones(3, 2), wootz.tensor([3])), IndexError, "out of bounds"),
        (lambda: wootz.embedding(wootz.ones(3, 2), wootz.tensor([0.5])), DTypeError, "indices"),
        (
            lambda: wootz.cross_entropy_rows(wootz.ones(2, 3), wootz.tensor([0, 3])),
            IndexError,
            "Target 3 is out of bounds",
        ),
        (lambda: wootz.linear(wootz.ones(2, 3), wootz.ones(2, 4)), ShapeError, "cannot be multiplied"),
        (lambda: wootz.linear(wootz.ones(2, 3), wootz.ones(2, 3), wootz.ones(3)), ShapeError, "bias must have shape"),
        (lambda: wootz.set_num_threads(0), ValueError, "from 1 to 1024"),
        (lambda: wootz.set_default_dtype(wootz.int64), DTypeError, "floating-point"),
        (lambda: wootz.Tensor([1.0]), TypeError, "wootz.tensor"),
        (lambda: _core.dtype(), TypeError, "cannot create"),
    ],
)
def test_bad_input_is_a_typed_error(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("wootz.ones(2)", "1", "float32"),
        ("wootz.ones(2)", "1.5", "float32"),
        ("wootz.tensor([1])", "1.5", "float32"),
        ("wootz.tensor([1])", "True", "int64"),
        ("wootz.tensor([True])", "1", "int64"),
        ("wootz.tensor([True])", "True", "bool"),
        ("wootz.tensor([1], dtype=wootz.int32)", "2**40", "int32"),
        ("wootz.tensor([1], dtype=wootz.uint8)", "wootz.tensor([1], dtype=wootz.int8)", "int16"),
        ("wootz.tensor([1], dtype=wootz.int32)", "wootz.tensor(1)", "int32"),
        ("wootz.tensor([1.0])", "wootz.tensor(1.0, dtype=wootz.float64)", "float32"),
        ("wootz.tensor([1])", "wootz.tensor(1.0, dtype=wootz.float64)", "float64"),
        ("wootz.tensor(1)", "wootz.tensor(1.0, dtype=wootz.float64)", "float64"),
        ("wootz.tensor([1.0])", "wootz.tensor([1.0], dtype=wootz.float64)", "float64"),
        ("wootz.tensor(1.0)", "2.5", "float32"),
    ],
)
def test_promotion_follows_pytorch(left: str, right: str, expected: str) -> None:
    a, b = (eval(x, {"wootz": wootz}) for x in (left, right))
    assert (a + b).dtype.name == expected == (b + a).dtype.name
    assert wootz.result_type(a, b).name == expected


def test_division_and_comparison_types() -> None:
    assert (wootz.tensor([1, 2]) / 2).tolist() == [0.5, 1.0]
    assert (wootz.tensor([7, -7]) // 2).tolist() == [3, -4] and (wootz.tensor([7, -7]) % 3).tolist() == [1, 2]
    assert (2 ** wootz.tensor([3])).tolist() == [8] and (wootz.tensor([1, 0]) // 0).tolist() == [0, 0]
    assert (wootz.ones(2) == 1).dtype == wootz.bool and (wootz.tensor([2]) > 1).item() is True
    assert wootz.tensor([-(2**63)]).floor_divide(-1).tolist() == [-(2**63)]


def test_special_values_are_numpys() -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-310, 1e308, 88.8, -104.0, 710.0, -745.2, 1e6, 1e300])
    with np.errstate(all="ignore"):
        for name in ("exp", "log", "tanh", "sqrt", "sin", "cos", "abs", "sign", "floor"):
            for kind in (np.float64, np.float32):
                given = x.astype(kind)
                expected = getattr(np, name)(given.astype(np.float64)).astype(kind)
                found = getattr(wootz, name)(wootz.from_numpy(given.copy())).numpy()
                np.testing.assert_allclose(
                    found,
                    expected,
                    rtol=3e-7 if kind is np.float32 else 1e-14,
                    atol=0 if name != "exp" else 1e-44,
                    err_msg=name,
                )
                if name != "sign":  # NumPy drops the sign of zero there, PyTorch does not
                    assert np.array_equal(np.signbit(found[:2]), np.signbit(expected[:2])), name
        pairs = np.array([np.nan, 1.0, -0.0, 0.0, np.inf]), np.array([1.0, np.nan, 0.0, -0.0, np.nan])
        for name in ("maximum", "minimum"):
            np.testing.assert_array_equal(
                getattr(wootz, name)(*map(wootz.from_numpy, pairs)).numpy(), getattr(np, name)(*pairs)
            )


KEYS = [
    "0", "-1", "1:3", "::2", "...", "None", "0, 1", "..., 0", "1:, None, ::2", "[0, 2]", "[0, 2], [1, 1]", ":, [2, 0]",
    "mask", "mask[:, 0]", ":, mask[0]", "[[0], [1]], [[0, 1]]", "[0], :, None", "True", "np.array([1, 0])", "-2:, -1",
    "5:2", "..., None", "[-1, 0], 1:",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_indexing_reads_and_writes_as_numpy_does(key: str) -> None:
    a = np.arange(12.0).reshape(3, 4)
    mask = a % 3 == 0
    k = eval(f"np.s_[{key}]", {"mask": mask, "np": np})
    t = wootz.tensor(a)
    tk = tuple(wootz.tensor(x) if isinstance(x, np.ndarray) else x for x in k) if isinstance(k, tuple) else k
    tk = wootz.tensor(tk) if isinstance(tk, np.ndarray) else tk
    np.testing.assert_array_equal(t[tk].numpy(), a[k])
    values = np.arange(a[k].size, dtype=float).reshape(a[k].shape) - 50
    t[tk], a[k] = wootz.tensor(values), values
    np.testing.assert_array_equal(t.numpy(), a)
    t[tk], a[k] = 7.5, 7.5
    np.testing.assert_array_equal(t.numpy(), a)


def test_overlapping_writes_read_first() -> None:
    t = wootz.arange(6.0)
    t[1:].add_(t[:-1])
    assert t.tolist() == [0, 1, 3, 5, 7, 9]
    t = wootz.arange(4.0)
    t[1:] = t[:-1].clone()
    t[:-1].copy_(t[1:])
    assert t.tolist() == [0, 1, 2, 2]
    m = wootz.arange(9.0).view(3, 3)
    m.copy_(m.T)
    assert m.tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_identity_subclasses_and_weak_references() -> None:
    x = wootz.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad is x.grad
    assert {x: 1}[x] == 1
    ref = weakref.ref(wootz.ones(2))
    assert ref() is None

    class Tagged(wootz.Tensor):
        pass

    t = Tagged(wootz.ones(2))
    t.note = "kept"
    assert isinstance(t, wootz.Tensor) and t.note == "kept" and type(t + 1) is Tagged
    import gc

    for _ in range(100):
        Tagged(wootz.ones(2))
    gc.collect()


def test_a_weak_reference_callback_may_ask_for_the_tensor_again() -> None:
    x = wootz.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    seen = []
    ref = weakref.ref(x.grad, lambda _: seen.append(x.grad))
    assert ref() is None and seen[0] is x.grad and seen[0].tolist() == [2.0, 2.0]


def test_repeated_memory_is_not_written_to() -> None:
    row = wootz.ones(3).expand(2, 3)
    for write in (lambda: row.add_(1), lambda: row.fill_(2), lambda: row.copy_(wootz.ones(2, 3))):
        with pytest.raises(ShapeError, match=r"more than one element.*clone\(\)"):
            write()
    assert row.tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("exponent", [2, 3, 1, -1, 0, 0.5, -2.5])
def test_powers_with_a_number(exponent: float) -> None:
    x = np.random.default_rng(0).uniform(0.1, 3, 41)
    np.testing.assert_allclose((wootz.tensor(x) ** exponent).numpy(), x**exponent, rtol=1e-14)


def test_parameters_are_pickled_as_parameters() -> None:
    from wootz.nn import Parameter

    p = pickle.loads(pickle.dumps(Parameter(wootz.ones(2))))
    assert type(p) is Parameter and p.requires_grad


def test_copy_and_pickle() -> None:
    x = wootz.randn(2, 3, requires_grad=True)
    y = copy.deepcopy(x)
    assert y.requires_grad and y.tolist() == x.tolist() and y.data_ptr() != x.data_ptr()
    z = pickle.loads(pickle.dumps(x))
    assert z.requires_grad and z.tolist() == x.tolist()
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(x * 2)


def test_repr_is_readable() -> None:
    assert repr(wootz.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(wootz.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(wootz.tensor(2.5)) == "tensor(2.5000)"
    assert repr(wootz.zeros(0)) == "tensor([])" and "size=(0, 3)" in repr(wootz.zeros(0, 3))
    assert "dtype=wootz.float64" in repr(wootz.tensor([1.5], dtype=wootz.float64))
    assert repr(wootz.ones(1, requires_grad=True)) == "tensor([1.], requires_grad=True)"
    assert "grad_fn=<mul backward>" in repr(wootz.ones(1, requires_grad=True) * 2)
    assert "..." in repr(wootz.zeros(2000))
    assert f"{wootz.tensor(1.23456):.2f}" == "1.23"


def test_reductions_are_accurate_over_long_inputs() -> None:
    x = np.full(1 << 22, 0.1, dtype=np.float32)
    assert wootz.from_numpy(x).sum().item() == pytest.approx(x.sum(dtype=np.float64), rel=1e-6)
    column = np.full((1 << 17, 3), 0.1, dtype=np.float32)
    np.testing.assert_allclose(wootz.from_numpy(column).sum(0).numpy(), column.sum(0, dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 3)])
def test_empty_tensors_reduce_to_identities(shape: tuple[int, ...]) -> None:
    t, a = wootz.zeros(*shape), np.zeros(shape, np.float32)
    assert t.sum().item() == 0 and t.prod().item() == 1 and t.all().item() is True and t.any().item() is False
    for d in range(len(shape)):
        np.testing.assert_array_equal(t.sum(d).numpy(), a.sum(d))
    assert np.isnan(t.mean().item())
    assert (t + 1).shape == shape and t.exp().shape == shape and t.clone().shape == shape


@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (1, 17, 1), (13, 1, 33), (7, 321, 5), (129, 64, 131), (64, 700, 48)]
)
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_matmul_of_awkward_sizes_and_layouts(m: int, k: int, n: int, kind: str) -> None:
    random = np.random.default_rng(0)
    a, b = random.standard_normal((m, k)).astype(kind), random.standard_normal((k, n)).astype(kind)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    tolerance = {"rtol": 1e-5, "atol": 1e-4} if kind == "float32" else {"rtol": 1e-12, "atol": 1e-12}
    wide = np.zeros((m, 2 * k), kind)
    wide[:, ::2] = a
    for x in (wootz.from_numpy(a), wootz.from_numpy(np.asfortranarray(a)), wootz.from_numpy(wide)[:, ::2]):
        for y in (wootz.from_numpy(b), wootz.from_numpy(np.asfortranarray(b))):
            np.testing.assert_allclose((x @ y).numpy(), expected, **tolerance)
    assert (wootz.tensor([[1, 2]]) @ wootz.tensor([[3], [4]])).tolist() == [[11]]


def test_default_dtype_is_a_setting() -> None:
    wootz.set_default_dtype(wootz.float64)
    try:
        assert wootz.ones(1).dtype == wootz.float64 and (wootz.tensor([1]) / 2).dtype == wootz.float64
        assert wootz.tensor(1.5).dtype == wootz.float64
    finally:
        wootz.set_default_dtype(wootz.float32)


def test_random_numbers_have_the_right_moments_and_depend_on_the_seed_alone() -> None:
    wootz.manual_seed(5)
    x = wootz.randn(100_000, dtype=wootz.float64).numpy()
    assert (
        abs(x.mean()) < 0.02 and abs(x.std() - 1) < 0.02 and abs((x**3).mean()) < 0.05 and abs((x**4).mean() - 3) < 0.15
    )
    u = wootz.rand(100_000).numpy()
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.01
    i = wootz.randint(-3, 4, (70_000,)).numpy()
    assert set(np.unique(i)) == set(range(-3, 4)) and np.bincount(i + 3).min() > 9_500
    assert sorted(wootz.randperm(100).tolist()) == list(range(100))
    wootz.manual_seed(5)
    assert np.array_equal(wootz.randn(100_000, dtype=wootz.float64).numpy(), x)
    g, h = wootz.Generator(5), wootz.Generator(5)
    assert (
        wootz.rand(4, generator=g).tolist()
        == wootz.rand(4, generator=h).tolist()
        != wootz.rand(4, generator=g).tolist()
    )
    a, b = g.split()
    assert wootz.rand(4, generator=a).tolist() != wootz.rand(4, generator=b).tolist()


def test_philox_known_answer() -> None:
    """The all-zero block of the paper's reference code: 6627e8d5 e169c58d bc57ac4c 9b00dbd8."""
    g = wootz.Generator(0)
    words = wootz.randint(0, 2**62, (2,), generator=g)
    low, high = 0x6627E8D5 | 0xE169C58D << 32, 0xBC57AC4C | 0x9B00DBD8 << 32
    assert words.tolist() == [low >> 2, high >> 2]


def test_a_backend_written_in_python_runs_ops_and_derivatives() -> None:
    """Memory that only the backend may touch: here NumPy arrays that pose as a CUDA device's."""
    calls: list[str] = []

    def on_host(t: wootz.Tensor) -> wootz.Tensor:
        return (
            _core.from_buffer(arrays[t.data_ptr()]).as_strided(t.shape, t.stride(), 0) if t.device.type == "cuda" else t
        )

    arrays: dict[int, np.ndarray] = {}

    def on_device(t: wootz.Tensor) -> wootz.Tensor:
        array = t.numpy().copy()
        arrays[array.ctypes.data] = array
        return _core.from_pointer(
            array.ctypes.data, array.nbytes, t.shape, t.contiguous().stride(), t.dtype, "cuda", 0, array
        )

    def backend(op: str, args: tuple[object, ...]) -> wootz.Tensor:
        calls.append(op)
        if op == "to_device":
            return on_device(args[0]) if args[1] != "cpu" else on_host(args[0])  # type: ignore[arg-type]
        if op == "full":
            return on_device(wootz.full(args[1], args[3], dtype=args[2]))  # type: ignore[arg-type]
        if op in ("add", "sub"):
            return on_device(getattr(_core, op)(*map(on_host, args[:2]), alpha=args[2]))  # type: ignore[arg-type]
        if op == "sum":
            return on_device(_core.sum(on_host(args[0]), *args[1:3], dtype=args[3]))  # type: ignore[arg-type]
        return on_device(getattr(_core, op)(*(on_host(a) if isinstance(a, wootz.Tensor) else a for a in args)))

    _core.register_backend("cuda", backend)
    try:
        x = wootz.tensor([1.0, -2.0, 3.0], device="cuda").requires_grad_()
        assert str(x.device) == "cuda:0" and x.is_cuda
        y = (x * x).sum()
        assert y.item() == 14.0
        y.backward()
        assert x.grad.device == x.device and x.grad.cpu().tolist() == [2.0, -4.0, 6.0]
        with pytest.raises(DeviceError, match="same device"):
            x + wootz.ones(3)
        assert (x.detach() + wootz.tensor(1.0)).cpu().tolist() == [2.0, -1.0, 4.0]
        with pytest.raises(TypeError, match=r"Use Tensor\.cpu"):
            x.detach().numpy()
        assert "mul" in calls and "sum" in calls
        _core.register_backend("cuda", None)
        with pytest.raises(BackendError, match="add: no backend for device 'cuda' is loaded; install a wootz wheel"):
            x + 1
    finally:
        _core.register_backend("cuda", backend_module.run)


def test_a_few_long_rows_are_summed_to_the_end() -> None:
    """Pieces of one row each would never become fewer."""
    x = np.random.default_rng(0).standard_normal((9, 40000))
    np.testing.assert_allclose(wootz.tensor(x).sum(0).numpy(), x.sum(0), rtol=1e-13, atol=1e-13)
