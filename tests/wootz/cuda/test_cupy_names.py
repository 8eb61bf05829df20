"""What the backend and the emulated device take for granted of CuPy, held against CuPy itself where it is installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.support.emulated_cuda import FUNCTIONS

import wootz


@pytest.fixture(scope="module")
def real():
    return pytest.importorskip("cupy", reason="CuPy is not installed: it comes with a CUDA wheel")


def test_cupy_has_every_function_that_the_emulated_device_offers(real):
    assert [name for name in FUNCTIONS if not hasattr(real, name)] == []
    assert hasattr(real.add, "at")


def test_cupy_has_every_name_that_the_backend_says(real):
    sources = [*(Path(wootz.__file__).parent / "backend").rglob("*.py")]
    said = {
        name
        for path in sources
        for name in re.findall(r"\bcupy\.((?:cuda\.)?(?:runtime\.)?\w+)", path.read_text("utf-8"))
    }

    def has(name):
        thing = real
        for part in name.split("."):
            if part == "cublas":
                return True  # loading it needs the library
            thing = getattr(thing, part, None)
        return thing is not None

    assert {"ndarray", "cuda.alloc", "cuda.runtime.memcpyAsync"} <= said
    assert [name for name in sorted(said) if not has(name)] == []


PROBE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[1:]:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Refuse())
import cupy
for name in ("alloc", "MemoryPointer", "UnownedMemory", "MemoryPool", "Stream", "Event", "ExternalStream", "Device",
             "get_current_stream", "using_allocator", "alloc_pinned_memory", "runtime", "driver"):
    getattr(cupy.cuda, name)
cupy.RawModule(path="no file yet"), cupy.ndarray, cupy.cuda.device.get_cublas_handle
"""


def test_cupy_imports_without_what_the_path_without_a_compiler_leaves_out(real):
    page = (Path(__file__).parents[3] / "docs/decisions/0013-cuda-without-jit.md").read_text("utf-8")
    told = tomllib.loads(page.partition("```toml")[2].partition("```")[0])["cupy"]
    subprocess.run([sys.executable, "-c", PROBE, *told["unused_modules"]], check=True)
    assert "cupy.cuda.thrust" in told["unused_modules"]
