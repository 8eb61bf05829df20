"""The loader's checks, over a stand-in for CuPy that runs the kernels on the host, and over CuPy itself on a GPU."""

import ctypes
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


def stand_in(emulator, missing=(), plan_bytes=None):
    """As much of CuPy as the loader touches; its device memory is the host's."""

    class Array:
        def __init__(self, shape, dtype, memptr):
            self._bytes = ctypes.string_at(memptr, shape[0] * np.dtype(dtype).itemsize)
            self._dtype = np.dtype(dtype)
            if plan_bytes and self._dtype == np.uint32 and shape[0] == len(plan_bytes):
                self._bytes = np.array(plan_bytes, np.uint32).tobytes()

        def get(self):
            return np.frombuffer(self._bytes, self._dtype)

    class RawModule:
        def __init__(self, path):
            assert path

        def get_global(self, name):
            if name in missing:
                raise CUDADriverError("CUDA_ERROR_NO_BINARY_FOR_GPU")
            return emulator.symbol(name)

        def get_function(self, symbol):
            if symbol in missing:
                raise CUDADriverError("CUDA_ERROR_NOT_FOUND")
            return lambda grid, block, arguments: emulator.launch(symbol, geometry.Launch(grid, block), *arguments)

    driver = SimpleNamespace(CUDADriverError=CUDADriverError)
    return SimpleNamespace(RawModule=RawModule, ndarray=Array, cuda=SimpleNamespace(driver=driver))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "kernels.fatbin"
    path.write_bytes(b"stands for the packed kernels")
    return path


def test_loads_checks_and_launches(emulator, image):
    kernels = Kernels(stand_in(emulator), image)
    assert [tuple(row) for row in kernels.table] == emulator.kernels()
    x, y = np.arange(10, dtype="f4"), np.zeros(10, "f4")
    operand = geometry.Operand(4, (1,), 4)
    (plan,) = geometry.elementwise((10,), [operand, operand])
    kernels.launch("square_f32_f32", plan, [x, y, plan.plan])
    np.testing.assert_array_equal(y, x * x)


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(BackendError, match="is missing: this build of wootz holds no CUDA kernels"):
        Kernels(None, tmp_path / "kernels.fatbin")


def test_refuses_code_for_another_gpu(emulator, image):
    with pytest.raises(BackendError, match="cannot be used on this GPU: CUDA_ERROR_NO_BINARY"):
        Kernels(stand_in(emulator, missing=["wootz_plan_bytes"]), image)


def test_refuses_structures_of_another_build(emulator, image):
    with pytest.raises(BackendError, match="of another build"):
        Kernels(stand_in(emulator, plan_bytes=[8] * len(geometry.PLANS)), image)


def test_refuses_a_binary_that_lacks_a_kernel_of_its_table(emulator, image):
    with pytest.raises(BackendError, match="lacks 'sum_f32_f32'"):
        Kernels(stand_in(emulator, missing=["sum_f32_f32"]), image)


def test_refuses_to_launch_an_unknown_symbol(emulator, image):
    with pytest.raises(BackendError, match="no kernel 'frobnicate'"):
        Kernels(stand_in(emulator), image).launch("frobnicate", geometry.flat(1), [])


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
