"""What the backend and the emulated device take for granted of CuPy, held against CuPy itself where it is installed."""

from __future__ import annotations

import re
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
