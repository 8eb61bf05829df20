"""Runs the CUDA kernels' own source on the host: compiled with a C++ compiler against host_shim.h, launched by name."""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["DTYPES", "SOURCE", "Emulator", "Out", "aligned", "compiler", "registered"]

HERE = Path(__file__).parent
HOST = HERE / "host.cpp"
SOURCE = HERE.parents[2] / "framework" / "csrc" / "cuda"
DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype("f4"), "f64": np.dtype("f8"), "f16": np.dtype("f2"), "bf16": np.dtype(ml_dtypes.bfloat16),
    "i64": np.dtype("i8"), "i32": np.dtype("i4"), "i16": np.dtype("i2"), "i8": np.dtype("i1"), "boolean": np.dtype("?"),
    "u8": np.dtype("u1"), "u16": np.dtype("u2"), "u32": np.dtype("u4"), "u64": np.dtype("u8"), "u128": np.dtype("V16"),
}  # fmt: skip
GUARD = 64  # bytes on each side of an output that no kernel may touch


def compiler() -> list[str] | None:
    """A C++17 compiler: the machine's own, or zig's from its wheel."""
    for name in ("g++", "clang++", "c++"):
        if path := shutil.which(name):
            return [path]
    return [sys.executable, "-m", "ziglang", "c++"] if importlib.util.find_spec("ziglang") else None


def registered(source: Path = SOURCE) -> dict[str, frozenset[str]]:
    """The kernels of every unit that an `Emulator` would have, as the preprocessor says, which compiles nothing."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        units = sorted(source.glob("*.cu"))
        texts = pool.map(lambda unit: subprocess.check_output([*_command(unit), "-E"], text=True), units)
        kernels = [frozenset(re.findall(r"\bregistered_(\w+)\{", text)) for text in texts]
    return {unit.stem: symbols for unit, symbols in zip(units, kernels, strict=True)}


class Emulator:
    """The kernels in host libraries, one a unit; `launch` has cuLaunchKernel's shape.

    They take the paths of the newest GPUs, tensor cores among them, or with ``architecture`` those of another.
    """

    def __init__(self, folder: Path, units: str = "*", architecture: int | None = None) -> None:
        sources = sorted(SOURCE.glob(f"{units}.cu"))
        flags = [] if architecture is None else [f"-D__CUDA_ARCH__={architecture}0"]
        with (folder / "lock").open("w") as lock:  # of several test processes one compiles
            fcntl.flock(lock, fcntl.LOCK_EX)
            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                libraries = list(pool.map(lambda source: _library(source, folder, flags), sources))
        self._units = {source.stem: ctypes.CDLL(str(path)) for source, path in zip(sources, libraries, strict=True)}
        self._rows: dict[str, list[tuple[str, ...]]] = {}
        self._unit_of: dict[str, str] = {}
        for unit, library in self._units.items():
            for function in (library.shim_launch, library.shim_signature, library.shim_kernels):
                function.restype = ctypes.c_char_p
            self._rows[unit] = [tuple(line.split()) for line in library.shim_kernels().decode().splitlines()]
            self._unit_of |= {"_".join(row[1:]): unit for row in self._rows[unit]}

    def structures(self, unit: str) -> int:
        """The address of what a unit says of its structures."""
        return ctypes.addressof(ctypes.c_char.in_dll(self._units[unit], "wootz_structures"))

    def kernels(self) -> list[tuple[str, ...]]:
        """(family, operator, input, output) of every kernel."""
        return [row for rows in self._rows.values() for row in rows]

    def units(self) -> dict[str, list[str]]:
        """The kernels' names by unit."""
        return {unit: sorted("_".join(row[1:]) for row in rows) for unit, rows in self._rows.items()}

    def pack(self, folder: Path) -> Path:
        """Fills a folder with the list of kernels and a stand-in for each fat binary, as a wheel has them."""
        listed = {unit: {"kernels": names} for unit, names in self.units().items()}
        (folder / "kernels.json").write_text(json.dumps(listed))
        for unit in listed:
            (folder / f"{unit}.fatbin").write_bytes(b"stands for the packed kernels")
        return folder

    def signature(self, name: str) -> list[str]:
        """A kernel's parameters: "p" for a pointer, else a value's bytes. Raises KeyError for no kernel."""
        told = self._units[self._unit_of[name]].shim_signature(name.encode())
        return str(told.decode()).split()

    def launch(self, name: str, launch: Any, *arguments: Any, reverse: bool = False) -> None:
        """Arguments are arrays (their address), None (a null pointer) or NumPy scalars, as CuPy takes them."""
        if name not in self._unit_of:
            raise KeyError(name)
        held = [_argument(a) for a in arguments]
        pointers = (ctypes.c_void_p * len(held))(*[ctypes.addressof(h) for h in held])
        grid, block = (ctypes.c_uint * 3)(*launch.grid), (ctypes.c_uint * 3)(*launch.block)
        library = self._units[self._unit_of[name]]
        if failure := library.shim_launch(name.encode(), grid, block, pointers, int(reverse)):
            raise RuntimeError(f"{name}: {failure.decode()}")

    def run(self, name: str, launch: Any, *arguments: Any) -> list[np.ndarray[Any, Any]]:
        """Launches twice, with the threads in order and reversed, and returns the `Out` arguments' arrays.

        Both runs start from the same bytes and have to end with the same: a difference is a missing barrier. The
        bytes around every output have to stay as they were.
        """
        results = []
        for reverse in (False, True):
            fresh = [a.copy() if isinstance(a, Out) else a for a in arguments]
            self.launch(name, launch, *[a.array if isinstance(a, Out) else a for a in fresh], reverse=reverse)
            results.append([a.checked() for a in fresh if isinstance(a, Out)])
        for one, other in zip(*results, strict=True):
            assert one.tobytes() == other.tobytes(), f"{name}: the result depends on the order of the threads"
        return results[0]


class Out:
    """An output (or updated) array between guard bytes; ``skip`` elements move it off its alignment."""

    def __init__(self, initial: np.ndarray[Any, Any], skip: int = 0) -> None:
        self._skip = skip
        start = GUARD + skip * initial.itemsize
        self._bytes = aligned(initial.nbytes + start + GUARD)
        self._bytes[:] = 0xA5
        self.array = self._bytes[start : start + initial.nbytes].view(initial.dtype).reshape(initial.shape)
        self.array[...] = initial

    def copy(self) -> Out:
        return Out(self.array, self._skip)

    def checked(self) -> np.ndarray[Any, Any]:
        around = np.ones(self._bytes.size, bool)
        start = self.array.ctypes.data - self._bytes.ctypes.data
        around[start : start + self.array.nbytes] = False
        assert (self._bytes[around] == 0xA5).all(), "bytes outside the output were written"
        return self.array


def _command(source: Path) -> list[str]:
    """What a compiler is told of one unit."""
    command = compiler()
    assert command is not None
    return [*command, "-std=c++17", "-w", f"-I{source.parent}", f"-I{HERE}", f'-DWOOTZ_UNIT="{source.name}"', str(HOST)]


def _library(source: Path, folder: Path, architecture: Sequence[str]) -> Path:
    library = folder / f"{source.stem}.so"
    if not library.is_file():
        flags = ["-O1", "-fPIC", "-shared", "-fno-sanitize=all", "-ffp-contract=off", *architecture]
        made = library.with_suffix(".new")
        subprocess.run([*_command(source), *flags, "-o", str(made)], check=True)
        made.rename(library)
    return library


def aligned(size: int, boundary: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    raw = np.empty(size + boundary, np.uint8)
    start = -raw.ctypes.data % boundary
    return raw[start : start + size]


def _argument(value: Any) -> Any:
    if value is None:
        return ctypes.c_void_p(None)
    if isinstance(value, np.ndarray) and value.dtype.names and value.ndim == 0:
        value = value[()]  # a structure, which goes by value
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, np.uint64):
        return ctypes.c_uint64(int(value))
    assert isinstance(value, np.generic), f"{type(value)} has no fixed size"
    return ctypes.create_string_buffer(value.tobytes(), value.nbytes)
