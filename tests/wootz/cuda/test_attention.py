"""Attention's kernels against NumPy in float64, with tensor cores (emulated) and without; and through the op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.wootz.cuda.emulator import DTYPES, Emulator, Out, aligned

import wootz
from wootz import _core
from wootz.backend import geometry
from wootz.backend.geometry import Operand
from wootz.backend.gpu.random import Dropout
from wootz.errors import ShapeError
from wootz.nn import functional as F

# Of the largest value: a result is rounded once, and factors of products before.
TOLERANCE = {"f32": 2e-6, "f64": 4e-15, "f16": 2e-3, "bf16": 1.6e-2}
# Queries, keys, width, width of values; and whether a query looks at later keys.
SHAPES = [
    (1, 1, 8, 8, False), (17, 63, 16, 16, False), (63, 17, 24, 40, True), (65, 65, 64, 64, True),
    (1, 129, 20, 12, False), (129, 1, 3, 1, False), (129, 65, 8, 16, True),
]  # fmt: skip


@pytest.fixture(scope="module")
def older(emulator, tmp_path_factory):
    """The unit as a GPU without bfloat16 in its tensor cores runs it."""
    return Emulator(tmp_path_factory.mktemp("older"), "attention", 75)


class Case:
    """Inputs, and what comes of them in float64."""

    def __init__(self, kind: str, queries: int, keys: int, width: int, values: int, causal: bool) -> None:
        self.kind, self.causal, self.scale = kind, causal, width**-0.5
        self.random = np.random.default_rng(queries * 1000 + keys)
        self.q, self.k = self.draw(queries, width), self.draw(keys, width)
        self.v, self.g = self.draw(keys, values), self.draw(queries, values)
        self.mask: Any = None
        self.dropout, self.shift = Dropout(0.0, 0, 0), None

    def draw(self, *shape: int) -> np.ndarray[Any, Any]:
        drawn = self.random.standard_normal((2, 1, *shape)).astype(DTYPES[self.kind])
        placed = aligned(drawn.nbytes).view(drawn.dtype).reshape(drawn.shape)
        placed[...] = drawn
        return placed

    def expected(self) -> tuple[np.ndarray[Any, Any], ...]:
        q, k, v, g = (a.astype("f8") for a in (self.q, self.k, self.v, self.g))
        s = q @ k.swapaxes(-1, -2) * self.scale
        if self.mask is not None:
            s = np.where(self.mask, s, -np.inf) if self.mask.dtype == bool else s + self.mask.astype("f8")
        if self.causal:
            s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
        most = s.max(-1, keepdims=True)
        e = np.exp(s - np.where(np.isinf(most), 0, most))
        total = e.sum(-1, keepdims=True)
        with np.errstate(divide="ignore"):
            lse = np.where(total == 0, -np.inf, most + np.log(total))[..., 0]
        p = e / np.where(total == 0, 1, total)
        kept = self.kept(p.shape)
        out, dp = (p * kept) @ v, g @ v.swapaxes(-1, -2) * kept
        delta = (g * out).sum(-1)
        ds = p * (dp - delta[..., None]) * self.scale
        return out, lse, delta, ds @ k, ds.swapaxes(-1, -2) @ q, (p * kept).swapaxes(-1, -2) @ g

    def kept(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """What the CPU's dropout makes of ones."""
        return np.asarray(_core.dropout(wootz.ones(shape, dtype=wootz.float64), *self.dropout).numpy())

    def plan(self) -> Any:
        named = {"query": self.q, "key": self.k, "value": self.v, "grad": self.g, "mask": self.mask}
        operands = {
            name: Operand(a.itemsize, tuple(s // a.itemsize for s in a.strides), a.ctypes.data)
            for name, a in named.items()
            if a is not None
        }
        lengths, widths = (self.q.shape[2], self.k.shape[2]), (self.q.shape[3], self.v.shape[3])
        return geometry.attention(lengths, widths, 1, operands, self.scale, self.causal, self.dropout)

    def check(self, gpu: Emulator, slack: float = 1) -> None:
        wide = "f8" if self.kind == "f64" else "f4"
        out, lse, delta, dq, dk, dv = self.expected()
        end = f"{next(n for n in geometry.ATTENTION_WIDTHS if n >= max(self.q.shape[3], self.v.shape[3]))}_{self.kind}"
        masks = (self.mask, None) if self.mask is not None and self.mask.dtype == bool else (None, self.mask)
        queries, keys = geometry.tiles(self.q.shape[2], 2), geometry.tiles(self.k.shape[2], 2)

        def blank(like: np.ndarray[Any, Any], kind: Any = DTYPES[self.kind]) -> Out:
            return Out(np.full(like.shape, 9, kind))

        def run(name: str, launch: Any, *arguments: Any) -> list[Any]:
            return gpu.run(f"{name}_{end}_{self.kind}", launch, *arguments, self.plan())

        inputs = (self.q, self.k, self.v)
        found = run("attention", queries, *inputs, *masks, self.shift, blank(out), blank(lse, wide))
        again = (*inputs, self.g, *masks, self.shift, lse.astype(wide), delta.astype(wide))
        found += run("attention_queries", queries, *again, blank(dq))
        found += run("attention_keys", keys, *again, blank(dk), blank(dv))
        for ours, theirs in zip(found, (out, lse, dq, dk, dv), strict=True):
            most = max(1.0, np.abs(theirs[np.isfinite(theirs)]).max(initial=0))
            np.testing.assert_allclose(ours.astype("f8") / most, theirs / most, 0, TOLERANCE[self.kind] * slack)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [*((k, s) for k in ("f32", "f16") for s in SHAPES), *((k, s) for k in ("f64", "bf16") for s in SHAPES[1:3])],
    ids=str,
)
def test_results_and_gradients(kind, shape, emulator):
    Case(kind, *shape).check(emulator)


@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[4]], ids=str)
@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_without_tensor_cores(kind, shape, older):
    Case(kind, *shape).check(older)


@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_wide_rows(kind, emulator):
    Case(kind, 65, 33, 128, 100, False).check(emulator)


@pytest.mark.parametrize("kind", ["f32", "bf16"])
def test_masks_and_a_query_that_may_look_at_nothing(kind, emulator):
    case = Case(kind, 33, 65, 8, 8, False)
    case.mask = case.random.random((2, 1, 33, 65)) < 0.5
    case.mask[:, :, 3] = False
    case.check(emulator)
    case.mask = np.broadcast_to(case.random.standard_normal((2, 1, 1, 65)).astype(DTYPES[kind]), (2, 1, 33, 65))
    case.check(emulator)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("f32", SHAPES[1]), ("f32", SHAPES[3]), ("f64", SHAPES[2]), ("f16", SHAPES[3]), ("bf16", SHAPES[1])],
)
def test_dropout_is_the_cpus(kind, shape, emulator):
    case = Case(kind, *shape)
    case.dropout = Dropout(0.3, -5, 2**40 + 3)
    case.check(emulator)


def test_dropout_of_masked_and_wide_rows(emulator):
    case = Case("f16", 65, 33, 128, 100, False)
    case.mask = case.random.random((2, 1, 65, 33)) < 0.5
    case.dropout = Dropout(0.5, 1, 2)
    case.check(emulator)


def test_nothing_is_left_where_everything_drops_out(emulator):
    case = Case("f32", 17, 33, 8, 8, False)
    case.dropout = Dropout(1.0, 1, 2)
    case.check(emulator)


def test_a_replayed_graph_draws_on(emulator):
    """What is in device memory adds to the draw that the graph was captured with."""

    class Replayed(Case):
        def plan(self) -> Any:
            plan = super().plan()
            plan["draw"] -= 10
            return plan

    case = Replayed("f32", 17, 33, 8, 8, False)
    case.dropout, case.shift = Dropout(0.5, 7, 12), np.array([10], "u8")
    case.check(emulator)


@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_large_scores(kind, emulator):
    case = Case(kind, 17, 65, 16, 8, False)
    case.q *= 100
    case.check(emulator, slack=100 if kind == "f32" else 1)  # the exponents are as much larger than their last place


def test_rows_that_start_anywhere(emulator):
    case = Case("f16", 17, 33, 16, 16, False)
    case.k = np.concatenate([case.k, case.k], -1)[..., 3:19]
    case.check(emulator)
    assert not case.plan()["vector"]
    assert Case("f16", 17, 33, 16, 16, False).plan()["vector"]


def test_the_same_on_either_kind_of_gpu(emulator, older):
    """What differs is the order of sums: by far less than what 16 bits round."""
    case = Case("f16", 65, 65, 32, 32, True)
    found = []
    for gpu in (emulator, older):
        lse, out = Out(np.zeros((2, 1, 65), "f4")), Out(np.zeros((2, 1, 65, 32), "f2"))
        inputs = (case.q, case.k, case.v, None, None, None, out, lse, case.plan())
        found.append(gpu.run("attention_64_f16_f16", geometry.tiles(65, 2), *inputs))
    np.testing.assert_allclose(found[0][1], found[1][1], 1e-5)
    np.testing.assert_allclose(found[0][0].astype("f4"), found[1][0].astype("f4"), 2e-3, 1e-3)


# Through the op


def gradients(device: str, kind: Any, arrays: list[Any], **options: Any) -> list[np.ndarray[Any, Any]]:
    leaves = [wootz.from_numpy(a).to(kind).to(device).detach().requires_grad_() for a in arrays]
    # Heads are the third dimension, as layers have them.
    heads = [t.transpose(1, 2) for t in leaves]
    options = {k: v.to(device) if isinstance(v, wootz.Tensor) else v for k, v in options.items()}
    options["generator"] = wootz.Generator(3)
    out = F.scaled_dot_product_attention(*heads, **options)
    out.backward(wootz.ones_like(out))
    return [t.float().numpy(force=True) for t in (out, *(leaf.grad for leaf in leaves))]


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("how", ["causal", "mask", "bias", "groups", "dropout", "groups and dropout"])
def test_the_op_is_the_cpus(kind, how, cupy):
    random = np.random.default_rng(0)
    heads = 4 if "groups" in how else 2
    arrays = [random.standard_normal((2, n, h, 12)) for n, h in ((19, heads), (23, 2), (23, 2))]
    kind = getattr(wootz, kind)
    options = {
        "causal": {"is_causal": True}, "mask": {"attn_mask": wootz.from_numpy(random.random((19, 23)) < 0.7)},
        "bias": {"attn_mask": wootz.from_numpy(random.standard_normal((2, 1, 19, 23))).to(kind)},
        "groups": {"enable_gqa": True, "scale": 0.5}, "dropout": {"dropout_p": 0.4, "is_causal": True},
        "groups and dropout": {"enable_gqa": True, "dropout_p": 0.4},
    }[how]  # fmt: skip
    cupy.launches.clear()
    ours = gradients("cuda", kind, arrays, **options)
    launched = [name.partition("_64")[0] for name in cupy.launches if name.startswith("attention")]
    assert launched == ["attention", "attention_queries", "attention_keys"]
    tolerance = {"float32": 5e-6, "float16": 8e-3, "bfloat16": 6e-2}[kind.name]
    for found, expected in zip(ours, gradients("cpu", kind, arrays, **options), strict=True):
        np.testing.assert_allclose(found, expected, tolerance, tolerance * max(1, np.abs(expected).max()))


def test_memory_grows_with_the_length_alone(cupy):
    q = wootz.randn(1, 1, 300, 8, device="cuda")
    before = cupy.region.used(0)
    most, allocate = [0], cupy.region.allocate

    def watched(device, size):
        address = allocate(device, size)
        most[0] = max(most[0], cupy.region.used(device) - before)
        return address

    cupy.region.allocate = watched
    F.scaled_dot_product_attention(q, q, q, is_causal=True, dropout_p=0.1)
    assert most[0] < 300 * 300
    most[0], shared = 0, wootz.randn(1, 1, 400, 8, device="cuda")
    before = cupy.region.used(0)
    F.scaled_dot_product_attention(wootz.randn(1, 50, 1, 8, device="cuda"), shared, shared, enable_gqa=True)
    assert most[0] < 2 * 400 * 8 * 4, "keys and values were repeated for the heads that share them"


@pytest.mark.parametrize("p", [0.0, 0.4])
def test_what_the_kernels_do_not_take_goes_by_blocks(p, cupy):
    random = np.random.default_rng(1)
    wide = [random.standard_normal((1, n, 1, 130)) for n in (3, 4, 4)]
    ours, theirs = (gradients(device, wootz.float32, wide, dropout_p=p) for device in ("cuda", "cpu"))
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, 1e-5, 1e-5)
    assert not [name for name in cupy.launches if name.startswith("attention")]


def test_a_mask_that_does_not_fit(cupy):
    q, mask = wootz.ones(1, 2, 3, 4, device="cuda"), wootz.ones(5, 3, device="cuda")
    with pytest.raises(ShapeError):
        _core.attention(q, q, q, mask, 1.0)


@pytest.mark.parametrize("rows", [1, 64, 65, 4097])
def test_a_block_a_tile(rows):
    launch = geometry.tiles(rows, 6)
    assert launch.grid == (6 * -(-rows // 64), 1, 1) and launch.block == (128, 1, 1)
    with pytest.raises(geometry.GeometryError, match="blocks"):
        geometry.tiles(2**31, 2**10)
