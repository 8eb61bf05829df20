"""Rows by index and sums of rows at repeated places, on the emulated GPU."""

from __future__ import annotations

import numpy as np
import pytest
from tests.wootz.cuda.emulator import DTYPES, Out
from tests.wootz.cuda.test_row_kernels import near

import wootz
from wootz.backend import geometry
from wootz.nn import functional as F

FLOATS = ("float32", "float64", "float16", "bfloat16")


def table(kind, rows=11, columns=7):
    return wootz.from_numpy(np.random.default_rng(0).standard_normal((rows, columns))).to(getattr(wootz, kind))


@pytest.mark.parametrize("index", ["int64", "int32", "uint8"])
@pytest.mark.parametrize("kind", [*FLOATS, "int64", "int8", "bool", "complex128"])
def test_rows_by_index(kind, index, cupy):
    for columns in (7, 40):
        weight = table(kind, columns=columns)
        places = wootz.tensor([[0, 10, 3], [3, 5, 10]]).to(getattr(wootz, index))
        made = wootz.embedding(weight.cuda(), places.cuda())
        assert made.dtype == weight.dtype and made.shape == (2, 3, columns)
        assert made.cpu().tolist() == wootz.embedding(weight, places).tolist()
        cut = wootz.embedding(weight.cuda()[1:, 1:], (places % 10).cuda())  # begins off a word
        assert cut.cpu().tolist() == wootz.embedding(weight[1:, 1:], places % 10).tolist()


def test_negative_indices_and_nothing(cupy):
    weight = table("float32").cuda()
    assert wootz.embedding(weight, wootz.tensor([-1, -11], device="cuda")).tolist() == weight[[10, 0]].tolist()
    assert wootz.embedding(weight, wootz.zeros(0, 3, dtype=wootz.int64, device="cuda")).shape == (0, 3, 7)
    assert wootz.embedding(weight[:, :0], wootz.tensor([1], device="cuda")).shape == (1, 0)


@pytest.mark.parametrize("bad", [11, -12])
def test_an_index_out_of_range_is_an_error_when_the_host_waits(bad, cupy):
    weight = table("float32").cuda().requires_grad_()
    out = wootz.embedding(weight, wootz.tensor([1, bad], device="cuda"))
    with pytest.raises(IndexError, match=r"entry 1 of it"):
        out.cpu()
    assert wootz.embedding(weight, wootz.tensor([2], device="cuda")).tolist() == weight[2:3].tolist()
    with pytest.raises(IndexError, match="out of range"):
        x, row = wootz.zeros(3, 40, device="cuda"), wootz.ones(1, 40, device="cuda")
        x.index_add(0, wootz.tensor([bad], device="cuda"), row).cpu()


@pytest.mark.parametrize("kind", FLOATS)
def test_the_gradient_is_the_cpus(kind, cupy):
    places = wootz.from_numpy(np.random.default_rng(1).integers(-11, 11, (5, 30)))
    grads = []
    for device in ("cpu", "cuda"):
        weight = table(kind, columns=40).to(device).detach().requires_grad_()
        out = F.embedding(places.to(device) % 11, weight, padding_idx=4)
        cupy.launches.clear()
        (out * out.detach()).backward(wootz.ones_like(out))
        grads.append(weight.grad.double().numpy(force=True))
    assert [name for name in cupy.launches if name.startswith("add_rows")]
    tolerance = {"float32": 1e-6, "float64": 1e-14}.get(kind, 2e-2)
    np.testing.assert_allclose(grads[1], grads[0], tolerance, tolerance * 10)
    assert not grads[1][4].any()


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "f64"])
@pytest.mark.parametrize(("rows", "columns", "count"), [(3, 5, 40), (2, 150, 9), (4, 33, 1300)])
def test_sums_of_rows(kind, rows, columns, count, emulator):
    """The third shape has rows of more places than a list is followed for."""
    random = np.random.default_rng(2)
    places = random.integers(0, rows, count)
    places[: count // 2] = 1
    base, source = (random.standard_normal((n, columns)).astype(DTYPES[kind]) for n in (rows, count))
    expected = base.astype("f8")
    np.add.at(expected, places, source.astype("f8"))
    found = []
    for turn in (1, -1):  # a list threaded the other way round gives the same bits
        first, following = np.full(rows, -1, "i4"), np.zeros(count, "i4")
        for i in range(count)[::turn]:
            following[i], first[places[i]] = first[places[i]], i
        out = Out(np.zeros_like(base))
        numbers = (np.int64(count), np.int64(rows), np.int64(columns))
        found += emulator.run(
            f"add_rows_{kind}_{kind}", geometry.by_row(rows), base, places, source, first, following, out, *numbers
        )
    near(found[0], expected, kind, slack=64)
    assert found[0].tobytes() == found[1].tobytes()


def test_lists_hold_every_place_once(emulator):
    places, rows = np.random.default_rng(3).integers(-5, 5, 900), 5
    first, following, fault = np.full(rows, -1, "i4"), np.zeros(900, "i4"), np.zeros(1, "i8")
    numbers = (np.int64(900), np.int64(rows))
    emulator.launch("link_rows_i64_i32", geometry.flat(900, 1), places, *numbers, first, following, fault)
    for row in range(rows):
        held, at = [], int(first[row])
        while at >= 0:
            held.append(at)
            at = int(following[at])
        assert sorted(held) == np.flatnonzero(places % rows == row).tolist()
    assert fault[0] == 0


def test_values_broadcast_over_places(cupy):
    for device in ("cpu", "cuda"):
        x = wootz.ones(4, 64, device=device)
        index = (wootz.tensor([1, 1, 3], device=device),)
        made = x.index_put(index, wootz.arange(64, device=device).float(), accumulate=True)
        assert made[:, 10].tolist() == [1, 21, 1, 11]
