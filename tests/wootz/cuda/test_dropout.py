"""Dropout on a GPU keeps what the CPU keeps, of every type and layout, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest

import wootz
from wootz import cuda, nn
from wootz.nn import functional as F


def dropped(x: wootz.Tensor, device: str) -> tuple[np.ndarray, np.ndarray]:
    leaf = x.detach().to(device).requires_grad_()
    y = F.dropout(leaf, 0.3, generator=wootz.Generator(2**63 + 5))
    y.backward(wootz.ones_like(y) * 3)
    assert y.device.type == leaf.grad.device.type == device
    return y.float().numpy(force=True), leaf.grad.float().numpy(force=True)


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "bfloat16"])
def test_the_cpus_mask_forward_and_backward(kind, cupy):
    values = wootz.from_numpy(np.random.default_rng(0).uniform(1, 2, (13, 40))).to(getattr(wootz, kind))
    for x in (values, values.T, values[1:1]):
        (y, grad), (ours, our_grad) = dropped(x, "cpu"), dropped(x, "cuda")
        np.testing.assert_array_equal(ours, y)
        np.testing.assert_array_equal(our_grad, grad)
    assert 0.2 < (dropped(values, "cuda")[0] == 0).mean() < 0.4


def test_it_is_one_launch_and_keeps_no_mask(cupy):
    x = wootz.ones(1000, device="cuda", requires_grad=True)
    F.dropout(x, 0.5)
    cupy.launches.clear()
    before = cupy.region.used(0)
    y = F.dropout(x, 0.5)
    assert cupy.launches == ["dropout_f32_f32"]
    assert cupy.region.used(0) - before == 4000
    cupy.launches.clear()
    y.backward(wootz.ones_like(y))
    assert cupy.launches.count("dropout_f32_f32") == 1


def test_the_default_generator_is_shared_with_the_cpu(cupy):
    layer, x = nn.Dropout(0.5), wootz.ones(64)
    wootz.manual_seed(3)
    expected = [layer(x).tolist(), layer(x).tolist()]
    wootz.manual_seed(3)
    assert [layer(x.cuda()).tolist(), layer(x).tolist()] == expected


def test_a_replayed_graph_drops_what_the_same_code_would(cupy):
    x = wootz.ones(64, device="cuda", requires_grad=True)

    def step():
        y = F.dropout(x, 0.5)
        (grad,) = wootz.autograd.grad([y], [x], [wootz.ones_like(y)])
        return y, grad

    wootz.manual_seed(5)
    expected = [[t.tolist() for t in step()] for _ in range(3)]
    wootz.manual_seed(5)
    found, graph = [[t.tolist() for t in step()]], cuda.CUDAGraph()
    with cuda.graph(graph):
        made = step()
    for _ in range(2):
        graph.replay()
        found.append([t.tolist() for t in made])
    assert found == expected and expected[0] != expected[1]


def test_in_place(cupy):
    x = wootz.ones(50, device="cuda")
    assert F.dropout(x, 0.5, inplace=True) is x
    assert set(x.tolist()) == {0.0, 2.0}


def test_what_is_no_probability_or_no_float(cupy):
    with pytest.raises(ValueError, match="probability"):
        wootz._core.dropout(wootz.ones(3, device="cuda"), 1.5, 0, 0)
    with pytest.raises(wootz.errors.DTypeError, match="floating"):
        wootz._core.dropout(wootz.ones(3, device="cuda", dtype=wootz.int64), 0.5, 0, 0)
    assert F.dropout(wootz.ones(8, device="cuda", dtype=wootz.int64), 0.5).dtype == wootz.float32
