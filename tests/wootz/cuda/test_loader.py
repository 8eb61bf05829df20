"""The loader's checks, over a stand-in for CuPy that runs the kernels on the host, and over CuPy itself on a GPU."""

import ctypes
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import wootz
from wootz import _core, cuda
from wootz.backend import Build, Machine, NullBackend, geometry, judge, probe
from wootz.backend.kernels import KERNELS, Kernels
from wootz.errors import BackendError


class CUDADriverError(RuntimeError):
    pass


def stand_in(emulator, missing=(), structures=None):
    """As much of CuPy as the loader touches; its device memory is the host's. `loaded` lists the units it loaded."""

    class Array:
        def __init__(self, shape, dtype, memptr):
            size = shape[0] * np.dtype(dtype).itemsize
            self._bytes = structures or ctypes.string_at(memptr, size)
            self._dtype = np.dtype(dtype)

        def get(self):
            return np.frombuffer(self._bytes, self._dtype)

    class RawModule:
        def __init__(self, path):
            self.unit = Path(path).stem
            loaded.append(self.unit)

        def get_global(self, name):
            if name in missing:
                raise CUDADriverError("CUDA_ERROR_NO_BINARY_FOR_GPU")
            return emulator.structures(self.unit)

        def get_function(self, symbol):
            if symbol in missing:
                raise CUDADriverError("CUDA_ERROR_NOT_FOUND")
            return lambda grid, block, arguments: emulator.launch(symbol, geometry.Launch(grid, block), *arguments)

    loaded = []
    driver = SimpleNamespace(CUDADriverError=CUDADriverError)
    return SimpleNamespace(RawModule=RawModule, ndarray=Array, cuda=SimpleNamespace(driver=driver), loaded=loaded)


@pytest.fixture
def folder(emulator, tmp_path):
    return emulator.pack(tmp_path)


def launch(kernels, symbol="square_f32_f32"):
    x, y = np.arange(10, dtype="f4"), np.zeros(10, "f4")
    operand = geometry.Operand(4, (1,), 4)
    (plan,) = geometry.elementwise((10,), [operand, operand])
    kernels.launch(symbol, plan, [x, y, plan.plan])
    return x, y


def test_loads_checks_and_launches(emulator, folder):
    x, y = launch(Kernels(stand_in(emulator), folder))
    np.testing.assert_array_equal(y, x * x)


def test_knows_every_kernel_and_loads_a_unit_when_its_first_kernel_is_used(emulator, folder):
    cupy = stand_in(emulator)
    kernels = Kernels(cupy, folder)
    assert all(f"{op}_{given}_{made}" in kernels for _, op, given, made in emulator.kernels())
    assert "frobnicate" not in kernels
    assert cupy.loaded == []
    launch(kernels)
    launch(kernels, "neg_f32_f32")
    assert cupy.loaded == ["unary"]
    launch(kernels, "exp_f32_f32")
    assert cupy.loaded == ["unary", "exponential"]


def test_every_unit_fills_the_structures_of_this_code(emulator, folder):
    cupy = stand_in(emulator)
    kernels = Kernels(cupy, folder)
    launch(kernels)
    kernels.load()
    kernels.load()
    assert sorted(cupy.loaded) == sorted(kernels.units)


def test_refuses_a_missing_list(tmp_path):
    with pytest.raises(BackendError, match="is missing: this build of wootz holds no CUDA kernels"):
        Kernels(None, tmp_path)


def test_refuses_a_missing_unit(emulator, folder):
    (folder / "unary.fatbin").unlink()
    with pytest.raises(BackendError, match=r"unary\.fatbin is missing: this build of wootz is not whole"):
        launch(Kernels(stand_in(emulator), folder))


def test_refuses_code_for_another_gpu(emulator, folder):
    with pytest.raises(BackendError, match="cannot be used on this GPU: CUDA_ERROR_NO_BINARY"):
        launch(Kernels(stand_in(emulator, missing=["wootz_structures"]), folder))


@pytest.mark.parametrize(("name", "size"), [(b"Layout<2>", 8), (b"Layout<9>", 216)])
def test_refuses_structures_of_another_build(emulator, folder, name, size):
    told = np.array([size] + [0] * 7, "<u4").tobytes() + name.ljust(96, b"\0")
    with pytest.raises(BackendError, match="of another build"):
        launch(Kernels(stand_in(emulator, structures=told), folder))


def test_refuses_a_binary_that_lacks_a_kernel_of_the_list(emulator, folder):
    with pytest.raises(BackendError, match="lacks 'neg_f32_f32', which the list names"):
        launch(Kernels(stand_in(emulator, missing=["neg_f32_f32"]), folder))


def test_refuses_to_launch_an_unknown_symbol(emulator, folder):
    with pytest.raises(BackendError, match="no kernel 'frobnicate'"):
        Kernels(stand_in(emulator), folder).launch("frobnicate", geometry.flat(1), [])


def test_the_null_backend_names_the_op_the_reason_and_the_command():
    backend = NullBackend(judge(Build("cpu"), Machine(None)))
    with pytest.raises(BackendError, match="matmul: no CUDA device can be used: no NVIDIA driver"):
        backend.run("matmul", [])


def test_an_op_on_a_cuda_tensor_is_refused_by_the_null_backend():
    if probe() is not None:
        pytest.skip("this machine has an NVIDIA driver")
    memory = np.ones(2, "f4")
    tensor = _core.from_pointer(memory.ctypes.data, 8, (2,), (1,), wootz.float32, "cuda", 0, memory)
    with pytest.raises(BackendError, match="add: no CUDA device can be used: no NVIDIA driver"):
        tensor + tensor


@pytest.mark.gpu
def test_the_packed_kernels_on_a_gpu():
    diagnosis = cuda.diagnose()
    if not diagnosis.fits:
        pytest.skip(f"no usable GPU: {diagnosis.reason}")
    import cupy

    kernels = Kernels(cupy, KERNELS)
    x = cupy.arange(1000, dtype="f4")
    y = cupy.zeros_like(x)
    operands = [geometry.Operand(4, (1,), a.data.ptr) for a in (y, x)]
    (plan,) = geometry.elementwise((1000,), operands)
    kernels.launch("exp_f32_f32", plan, [x / 1000, y, plan.plan])
    np.testing.assert_allclose(y.get(), np.exp(np.arange(1000) / 1000), 1e-6)
