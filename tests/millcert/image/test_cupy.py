"""The real CuPy without what slim images leave out of it: it imports, and says which library an operation lacks."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support.hermetic import ROOT

from millcert import lock
from millcert.image.recipe import load_recipe
from millcert.store import Store, default_root

PROBE = """
import cupy
for name in ("alloc", "MemoryPool", "Stream", "Event", "Graph", "Device", "alloc_pinned_memory", "driver", "runtime"):
    getattr(cupy.cuda, name)
cupy.ndarray, cupy.RawModule
try:
    cupy.cuda.cublas
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize("variant", ["cu126", "cu130"])
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the locked CuPy is CPython 3.11's")
def test_what_is_left_of_cupy_imports_without_a_gpu(variant, tmp_path):
    pytest.importorskip("numpy")
    store, rules = Store(default_root(os.environ)), load_recipe(ROOT / "ci/image.toml").rules("cupy-slim")
    pins = lock.select(lock.read_lock(ROOT / f"lockfiles/runtime/{variant}.txt"), "x86_64")
    files = [file for pin, file in pins if pin.name.startswith(("cupy", "cuda"))]
    if not all(store.has(file.digest) for file in files):
        pytest.skip(f"CuPy is not in the store (run `millcert image build {variant}-slim`)")
    for file in files:
        unpack(store.path(file.digest), tmp_path, [path for rule in rules for path in rule.paths])
    assert not list(tmp_path.glob("cupy/cuda/thrust.*"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PROBE]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, "libcublas" in result.stdout) == (0, True), result.stderr


def unpack(wheel: Path, into: Path, left_out: list[str]) -> None:
    """A wheel's files but those that some patterns match."""
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if not any(fnmatch.fnmatchcase(f"site/{n}", p) for p in left_out)]
        archive.extractall(into, names)
