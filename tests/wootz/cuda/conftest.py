import os

import pytest
from tests.support.emulated_cuda import EmulatedCupy
from tests.wootz.cuda.emulator import Emulator, compiler

from wootz import backend
from wootz.backend.cuda import Cuda
from wootz.nn.functional import resampling


@pytest.fixture(scope="session")
def emulator(tmp_path_factory):
    if compiler() is None:
        pytest.skip("no C++ compiler: the kernels cannot be compiled for the host (install g++ or the ziglang wheel)")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kernels"
    folder.mkdir(exist_ok=True)
    return Emulator(folder)


@pytest.fixture
def cupy(emulator, tmp_path):
    """An emulated GPU (tests/support/emulated_cuda.py), in use as the backend of ``device="cuda"`` for one test."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    cupy = EmulatedCupy(emulator)
    before = backend.use(Cuda(cupy, emulator.pack(folder)))
    yield cupy
    backend.use(before)
    resampling._tables.cache_clear()  # it keeps tensors by the device's name, and this device goes
    assert not cupy.region.broken, cupy.region.broken
