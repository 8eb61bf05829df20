"""Tensors on an emulated GPU: copies, creation, views, random numbers, memory, streams, graphs, and what is refused."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import wootz
from wootz import _core, cuda, optim
from wootz.backend import active
from wootz.errors import BackendError, DeviceError, DTypeError, KernelError, OutOfMemoryError, ShapeError

ROOT = Path(__file__).parents[3]


def same(ours, theirs):
    np.testing.assert_array_equal(ours.detach().cpu().numpy(), np.asarray(theirs))


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "int32", "int16", "int8", "uint8", "bool"])
def test_there_and_back(cupy, kind):
    array = (np.arange(24).reshape(2, 3, 4) % 5).astype(kind)
    t = wootz.from_numpy(array).to("cuda")
    assert t.is_cuda and str(t.device) == "cuda:0" and t.dtype.name == kind and t.is_contiguous()
    same(t, array)
    same(wootz.from_numpy(array).permute(2, 0, 1).cuda(), array.transpose(2, 0, 1))
    same(t.permute(2, 0, 1), array.transpose(2, 0, 1))
    assert t.to("cuda") is t and t.cuda(0) is t and t.to(t) is t
    assert t.tolist() == array.tolist() and wootz.empty(0, 3, device="cuda").cpu().shape == (0, 3)


def test_several_devices(cupy):
    x = wootz.arange(6.0, device="cuda:1")
    assert x.device == wootz.device("cuda:1") and x.device.index == 1
    y = (x * 2).to("cuda:0")
    assert str(y.device) == "cuda:0"
    same(y, np.arange(6.0) * 2)
    assert str((x + 1).sum().device) == "cuda:1"
    with cuda.device(1):
        assert cuda.current_device() == 1
        assert str(wootz.ones(2, device="cuda").device) == "cuda:1"
    assert cuda.current_device() == 0
    cuda.set_device("cuda:1")
    assert str(wootz.ones(2, device="cuda").device) == "cuda:1"
    cuda.set_device(0)
    with pytest.raises(DeviceError, match=r"same device, but found cuda:1 and cuda:0"):
        x + y
    with pytest.raises(DeviceError, match="no device cuda:7: this process sees 2"):
        wootz.ones(2, device="cuda:7")


def test_tensors_of_cpu_and_gpu_do_not_mix_but_numbers_do(cupy):
    x = wootz.arange(3.0, device="cuda")
    for call in (lambda: x + wootz.ones(3), lambda: wootz.ones(3) * x, lambda: wootz.matmul(x, wootz.ones(3))):
        with pytest.raises(DeviceError, match="same device, but found"):
            call()
    same(x + wootz.tensor(2.0), [2, 3, 4])
    same(2 - x, [2, 1, 0])
    assert (x + wootz.tensor(1.0, dtype=wootz.float64)).dtype == wootz.float32
    assert (x.long() + 1.5).dtype == wootz.float32


def test_numpy_and_item(cupy):
    x = wootz.tensor([[1.5, 2.5]], device="cuda")
    with pytest.raises(TypeError, match=r"Use Tensor\.cpu"):
        x.numpy()
    with pytest.raises(BufferError, match=r"Use Tensor\.cpu"):
        memoryview(x)
    assert x[0, 1].item() == 2.5 and float(x[0, 0]) == 1.5 and bool((x > 1).all())
    assert int(wootz.tensor(7, device="cuda")) == 7 and [10, 20, 30][wootz.tensor(1, device="cuda")] == 20
    assert repr(x) == "tensor([[1.5000, 2.5000]], device='cuda:0')"
    assert wootz.ones(4, device="cuda").sum().item() == 4


def test_creation(cupy):
    for made in (
        wootz.full((2, 3), 7, device="cuda"), wootz.zeros(2, 3, device="cuda"), wootz.ones(2, 3, device="cuda"),
        wootz.eye(3, device="cuda"), wootz.linspace(0, 1, 5, device="cuda"), wootz.arange(5, device="cuda"),
        wootz.tensor([[1, 2], [3, 4]], device="cuda"), wootz.randperm(5, device="cuda"),
    ):  # fmt: skip
        assert made.is_cuda
    x = wootz.full((2, 3), 1.5, device="cuda", requires_grad=True)
    assert x.requires_grad and x.is_leaf
    for like, value in ((wootz.zeros_like(x), 0), (wootz.ones_like(x), 1), (wootz.full_like(x, 4), 4)):
        assert like.is_cuda and like.dtype == x.dtype
        same(like, np.full((2, 3), value))
    assert x.new_zeros(3).is_cuda and wootz.empty_like(x).is_cuda and wootz.rand_like(x).is_cuda
    same(wootz.full((2,), True, device="cuda"), [True, True])
    assert copy.deepcopy(x).is_cuda
    same(pickle.loads(pickle.dumps(x)), np.full((2, 3), 1.5))


def test_views_share_memory_and_history(cupy):
    x = wootz.arange(12.0, device="cuda").reshape(3, 4)
    x[1].fill_(0)
    x[:, 2] = 9
    x.T[0, 0] = -1
    expected = np.arange(12.0).reshape(3, 4)
    expected[1], expected[:, 2], expected[0, 0] = 0, 9, -1
    same(x, expected)
    x[x > 8] = 0
    expected[expected > 8] = 0
    same(x, expected)
    same(x[[0, 2], 1:3], expected[[0, 2], 1:3])
    same(x.T.reshape(12), expected.T.reshape(12))  # no view: a copy on the GPU
    w = wootz.ones(3, 4, device="cuda", requires_grad=True)
    y = w * 2
    y[0].mul_(3)
    y.sum().backward()
    same(w.grad, np.array([[6.0] * 4, [2.0] * 4, [2.0] * 4]))
    saved = w.exp()
    loss = saved.square().sum()
    with wootz.no_grad():
        saved.add_(1)
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        loss.backward()


def test_in_place_results_have_to_fit(cupy):
    whole, wide = wootz.arange(3, device="cuda"), wootz.ones(2, 3, device="cuda")
    with pytest.raises(DTypeError, match="can't be cast"):
        whole.add_(0.5)
    with pytest.raises(ShapeError, match="doesn't match the broadcast shape"):
        whole.add_(wide.long())
    with pytest.raises(ShapeError, match="single memory location"):
        wide[0].expand(2, 3).fill_(0)
    same(whole.add_(whole), [0, 2, 4])
    line = wootz.arange(8.0, device="cuda")
    line[1:].copy_(line[:-1])  # overlapping memory
    same(line, [0, 0, 1, 2, 3, 4, 5, 6])
    host = wootz.zeros(3)
    host.copy_(whole)
    whole.copy_(wootz.tensor([7, 8, 9]))
    assert host.tolist() == [0, 2, 4] and whole.tolist() == [7, 8, 9]


@pytest.mark.parametrize("kind", [wootz.float32, wootz.float64])
def test_random_numbers_are_the_cpus_bit_for_bit(cupy, kind):
    for make in (
        lambda d, g: wootz.rand(7, 143, dtype=kind, device=d, generator=g),
        lambda d, g: wootz.randn(1001, dtype=kind, device=d, generator=g),
        lambda d, g: wootz.normal(-3, 0.1, (257,), dtype=kind, device=d, generator=g),
        lambda d, g: wootz.randint(-5, 2**40, (300,), device=d, generator=g),
        lambda d, g: wootz.randint(0, 9, (30,), dtype=wootz.int32, device=d, generator=g),
        lambda d, g: wootz.bernoulli(0.3, (999,), device=d, generator=g),
        lambda d, g: wootz.empty(5, dtype=kind, device=d).uniform_(2, 3) * 0 + wootz.rand(5, device=d, generator=g),
    ):
        same(make("cuda", wootz.Generator(11)), make("cpu", wootz.Generator(11)).numpy())
    wootz.manual_seed(3)
    first = wootz.randn(5).numpy()
    cuda.manual_seed(3)
    same(wootz.randn(5, device="cuda"), first)
    with pytest.raises(ValueError, match="probability"):
        wootz.bernoulli(1.5, (2,), device="cuda")
    with pytest.raises(DTypeError, match="floating"):
        wootz.rand(2, dtype=wootz.int64, device="cuda")


def test_a_network_trains_as_on_the_cpu(cupy):
    random = np.random.default_rng(0)
    points, labels = random.standard_normal((32, 6)).astype("f4"), random.integers(0, 3, 32)

    def run(device):
        wootz.manual_seed(1)
        model = wootz.nn.Sequential(wootz.nn.Linear(6, 16), wootz.nn.GELU(), wootz.nn.Linear(16, 3)).to(device)
        x, y = wootz.from_numpy(points).to(device), wootz.from_numpy(labels).to(device)
        losses = []
        for optimizer in (
            optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
            optim.AdamW(model.parameters(), lr=0.01),
        ):
            for _ in range(5):
                optimizer.zero_grad()
                loss = wootz.nn.functional.cross_entropy(model(x), y, label_smoothing=0.1)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        return losses

    found, expected = run("cuda"), run("cpu")
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert expected[-1] < expected[0]
    assert any(s.startswith("adam_f32") for s in cupy.launches) and any(s.startswith("sgd_f32") for s in cupy.launches)


def test_one_launch_steps_all_tensors(cupy):
    params = [wootz.ones(n, device="cuda", requires_grad=True) for n in (3, 5000, 1)]
    for p in params:
        p.grad = wootz.ones_like(p)
    cupy.launches.clear()
    optim.SGD(params, lr=0.5).step()
    assert [s for s in cupy.launches if s.startswith("sgd")] == ["sgd_f32_f32"]
    assert all(p.detach().cpu().numpy().max() == 0.5 for p in params)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, bad: x[bad],
        lambda x, bad: x.index_select(0, bad),
        lambda x, bad: x.gather(0, bad.reshape(2, 1)),
        lambda x, bad: wootz.embedding(x, bad),
        lambda x, bad: wootz.cross_entropy_rows(x[:2], bad),
        lambda x, bad: x.index_add(0, bad, wootz.ones(2, 3, device="cuda")),
    ],
)
def test_an_index_out_of_range_is_reported_where_the_host_waits(cupy, call):
    x, bad = wootz.ones(4, 3, device="cuda"), wootz.tensor([1, 40], device="cuda")
    with pytest.raises(IndexError, match=r"an index or target out of range reached cuda:0 \(entry 1 of it\)"):
        call(x, bad).cpu()
    same(x + 1, np.full((4, 3), 2))  # the next op is well again
    same(x[wootz.tensor([-1, 0], device="cuda")], np.ones((2, 3)))


def test_integers_are_added_at_repeated_places(cupy):
    x, at = wootz.zeros(3, dtype=wootz.int64, device="cuda"), wootz.tensor([1, 1, 2], device="cuda")
    same(x.scatter_add(0, at, wootz.tensor([5, -7, 2**40], device="cuda")), [0, -2, 2**40])
    same(x.index_add(0, at, wootz.tensor([1, 1, -1], device="cuda")), [0, 2, -1])


# Memory


def test_memory_statistics_and_exhaustion(cupy):
    assert cuda.memory_allocated() == 0
    x = wootz.zeros(1000, device="cuda")
    assert cuda.memory_allocated() == 4000
    y = x + 1
    assert cuda.memory_allocated() == 8000 and cuda.memory_reserved() >= 8000
    del y
    assert cuda.memory_allocated() == 4000 and cuda.max_memory_allocated() == 8000
    cuda.reset_peak_memory_stats()
    assert cuda.max_memory_allocated() == 4000 and cuda.memory_allocated("cuda:1") == 0
    assert "tensors hold" in cuda.memory_summary() and cuda.mem_get_info()[0] < cuda.mem_get_info()[1]
    cuda.empty_cache()
    cupy.region.limit = 6000
    with pytest.raises(OutOfMemoryError, match=r"cuda:0 has no 0\.0 MiB left: of 192 MiB, tensors hold 0\.0, the pool"):
        x + 1
    with pytest.raises(MemoryError):
        wootz.zeros(1000, device="cuda")
    del x
    same(wootz.zeros(1000, device="cuda"), np.zeros(1000))


def test_pinned_memory_and_copies_that_are_not_waited_for(cupy):
    x = wootz.arange(5.0)
    pinned = x.pin_memory()
    assert pinned.device.type == "cpu" and pinned.tolist() == x.tolist() and active().is_pinned(pinned)
    assert not active().is_pinned(x) and pinned.pin_memory() is pinned
    same(pinned.to("cuda", non_blocking=True), x.numpy())
    same(x.cuda(non_blocking=True), x.numpy())
    with pytest.raises(DeviceError, match="only tensors of the CPU"):
        pinned.cuda().pin_memory()


# Streams and graphs


def test_streams_and_events(cupy):
    s = cuda.Stream()
    assert cuda.current_stream() == cuda.default_stream() != s
    with cuda.stream(s):
        assert cuda.current_stream() == s and cuda.current_stream().cuda_stream == s.cuda_stream
        x = wootz.ones(3, device="cuda") * 2
        done = s.record_event()
    assert cuda.current_stream() == cuda.default_stream()
    cuda.current_stream().wait_event(done)
    s.wait_stream(cuda.current_stream())
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    start.record()
    end.record(s)
    end.synchronize()
    s.synchronize()
    cuda.synchronize()
    assert start.elapsed_time(end) > 0 and end.query() and s.query()
    with pytest.raises(ValueError, match="enable_timing"):
        done.elapsed_time(end)
    same(x, [2, 2, 2])


def test_a_graph_of_a_whole_training_step(cupy):
    def build():
        wootz.manual_seed(2)
        model = wootz.nn.Sequential(wootz.nn.Linear(4, 8), wootz.nn.ReLU(), wootz.nn.Linear(8, 1)).to("cuda")
        return model, optim.SGD(model.parameters(), lr=0.1, momentum=0.5)

    random = np.random.default_rng(1)
    batches = [wootz.from_numpy(random.standard_normal((6, 4)).astype("f4")) for _ in range(4)]
    target = wootz.ones(6, 1, device="cuda")

    def step(model, optimizer, x):
        optimizer.zero_grad()
        loss = (model(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    model, optimizer = build()
    expected = [step(model, optimizer, b.cuda()).item() for b in [batches[0], *batches]]

    model, optimizer = build()
    x = batches[0].cuda()
    step(model, optimizer, x)  # loads kernels and makes the momentum buffers
    graph = cuda.CUDAGraph()
    before = model[0].weight.detach().cpu().numpy().copy()
    launches = len(cupy.launches)
    with cuda.graph(graph):
        loss = step(model, optimizer, x)
        assert cuda.is_current_stream_capturing()
    captured = len(cupy.launches) - launches
    same(model[0].weight, before)  # captured, not run
    found = []
    for b in batches:
        x.copy_(b)
        launches = len(cupy.launches)
        graph.replay()
        found.append(loss.item())
    np.testing.assert_allclose(found, expected[1:], rtol=1e-6)
    assert captured > 10 and cuda.memory_allocated() > 0


@pytest.mark.parametrize("maker", [optim.AdamW, optim.Adam, optim.SGD])
def test_a_replayed_step_counts_and_takes_the_rate_of_now(maker, cupy):
    def build():
        p = wootz.tensor([1.0, -2.0, 3.0], device="cuda", requires_grad=True)
        q = wootz.tensor([[0.5]], device="cuda", requires_grad=True)
        optimizer = maker([{"params": [p]}, {"params": [q], "lr": 0.3}], lr=0.1)
        return p, q, optimizer, optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    def step(p, q, optimizer):
        p.grad, q.grad = p.detach() * 2, q.detach() + 1
        optimizer.step()

    p, q, optimizer, schedule = build()
    expected = []
    for _ in range(5):
        step(p, q, optimizer)
        schedule.step()
        expected.append([*p.tolist(), q.item()])
    steps = [state.get("step") for state in optimizer.state.values()]

    p, q, optimizer, schedule = build()
    step(p, q, optimizer)
    schedule.step()
    found, graph = [[*p.tolist(), q.item()]], cuda.CUDAGraph()
    with cuda.graph(graph):
        step(p, q, optimizer)
    for _ in range(4):
        graph.replay()
        schedule.step()
        found.append([*p.tolist(), q.item()])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert [state.get("step") for state in optimizer.state.values()] == steps


def test_a_replay_draws_what_the_same_code_would(cupy):
    def draw():
        normal, whole = wootz.randn(5, device="cuda"), wootz.randint(0, 99, (4,), device="cuda")
        return normal, whole, wootz.bernoulli(wootz.full((6,), 0.5, device="cuda"))

    wootz.manual_seed(7)
    expected = [[t.tolist() for t in draw()] for _ in range(4)]
    wootz.manual_seed(7)
    found, graph = [[t.tolist() for t in draw()]], cuda.CUDAGraph()
    with cuda.graph(graph):
        made = draw()
    for _ in range(2):
        graph.replay()
        found.append([t.tolist() for t in made])
    found.append([t.tolist() for t in draw()])
    assert found == expected


def test_graphs_refuse_what_they_cannot_hold(cupy):
    x, graph = wootz.ones(3, device="cuda"), cuda.CUDAGraph()
    with pytest.raises(DeviceError, match="has captured nothing"):
        graph.replay()
    with pytest.raises(BackendError, match="when capturing"), cuda.graph(graph):
        (x + 1).sum().item()
    with cuda.graph(graph):
        y = x * 3
    with pytest.raises(DeviceError, match="captured already"), cuda.graph(graph):
        pass
    graph.replay()
    same(y, [3, 3, 3])
    graph.reset()
    with pytest.raises(DeviceError, match="has captured nothing"):
        graph.replay()


# Others' memory


def test_cupy_arrays_share_memory_both_ways(cupy):
    x = wootz.arange(6.0, device="cuda").reshape(2, 3)
    array = cuda.as_array(x.T)
    assert array.shape == (3, 2) and array.data.ptr == x.data_ptr()
    array[0, 0] = 50
    assert x[0, 0].item() == 50
    back = cuda.from_array(array)
    assert back.data_ptr() == x.data_ptr() and back.shape == (3, 2)
    back.add_(1)
    assert x[0, 0].item() == 51
    told = x.T.__cuda_array_interface__
    assert told["data"] == (x.data_ptr(), False) and told["shape"] == (3, 2) and told["strides"] == (4, 12)
    assert told["typestr"] == "<f4" and told["version"] == 3 and x.__cuda_array_interface__["strides"] is None
    assert told["stream"] == 1
    with cuda.stream(cuda.Stream()):
        assert x.__cuda_array_interface__["stream"] == cuda.current_stream().cuda_stream
    assert not hasattr(wootz.ones(2), "__cuda_array_interface__")
    with pytest.raises(RuntimeError, match="requires grad"):
        cuda.as_array(x.clone().requires_grad_())


def test_dlpack_orders_streams_and_shares_memory(cupy):
    x = wootz.arange(4.0, device="cuda:1")
    assert x.__dlpack_device__() == (2, 1)
    ours = cuda.Stream("cuda:1")
    with cuda.stream(ours):
        back = wootz.from_dlpack(x.__dlpack__(stream=77))
        x.__dlpack__(stream=ours.cuda_stream)
        assert cupy.waits_of_others == [77]  # the consumer's stream waits for ours; its own need not
        same(wootz.from_dlpack(x), np.arange(4.0))
    assert back.data_ptr() == x.data_ptr() and back.device == x.device
    with pytest.raises(BufferError, match="stream 0 is ambiguous"):
        x.__dlpack__(stream=0)


# Faults


def test_a_kernel_fault_is_told_apart(cupy):
    x = wootz.ones(3, device="cuda")

    def broken(*_, **__):
        raise active().errors[0](700, "cudaErrorIllegalAddress")

    active().kernels._functions["exp_f32_f32"] = broken
    with pytest.raises(KernelError, match=r"a kernel failed .*CUDA_LAUNCH_BLOCKING=1.*start a new process"):
        x.exp()
    active().kernels._functions["sin_f32_f32"] = lambda *_, **__: (_ for _ in ()).throw(active().errors[0](2, "odd"))
    with pytest.raises(BackendError, match="CUDA: odd"):
        x.sin()


def test_the_emulated_memory_cannot_be_touched_by_the_host():
    """The guard that makes the other tests mean something: a CPU kernel on device memory dies."""
    code = """
import sys; sys.path.insert(0, {root!r})
import numpy as np, ctypes
from tests.support.emulated_cuda import EmulatedCupy
cupy = EmulatedCupy(None)
block = cupy.cuda.alloc(64)
print("made", flush=True)
ctypes.string_at(block.ptr, 4)
print("read")
"""
    run = subprocess.run(
        [sys.executable, "-c", code.format(root=str(ROOT))], capture_output=True, text=True, env=os.environ
    )
    assert run.stdout.split() == ["made"] and run.returncode == -signal.SIGSEGV


def test_the_emulator_refuses_foreign_pointers_and_wrong_arguments(cupy):
    x, host = wootz.ones(3, device="cuda"), np.ones(3, "f4")
    launch = wootz.backend.geometry.flat(3)
    (plan,) = wootz.backend.geometry.elementwise((3,), [wootz.backend.geometry.Operand(4, (1,), 0)] * 2)
    kernels = active().kernels
    with pytest.raises(RuntimeError, match="IllegalAddress: argument 0 of exp_f32_f32"):
        kernels.launch("exp_f32_f32", plan, [np.uint64(host.ctypes.data), np.uint64(x.data_ptr()), plan.plan])
    with pytest.raises(AssertionError, match="takes 8 bytes, got 4"):
        kernels.launch("fill_u32_u32", launch, [np.uint32(1), np.uint64(x.data_ptr()), plan.plan])
    with pytest.raises(TypeError, match="Unsupported type"):
        cupy.add(cuda.as_array(x), host)
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(cuda.as_array(x))
    assert _core.is_grad_enabled()
