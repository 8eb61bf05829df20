"""Runs the CUDA kernels' own source on the host: compiled with a C++ compiler against host_shim.h, launched by name."""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["DTYPES", "SOURCE", "Emulator", "Out", "aligned", "compiler"]

HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "framework" / "csrc" / "cuda"
DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype("f4"), "f64": np.dtype("f8"), "f16": np.dtype("f2"), "bf16": np.dtype(ml_dtypes.bfloat16),
    "i64": np.dtype("i8"), "i32": np.dtype("i4"), "boolean": np.dtype("?"),
    "u8": np.dtype("u1"), "u16": np.dtype("u2"), "u32": np.dtype("u4"), "u64": np.dtype("u8"),
}  # fmt: skip
GUARD = 64  # bytes on each side of an output that no kernel may touch


def compiler() -> list[str] | None:
    """A C++17 compiler: the machine's own, or zig's from its wheel."""
    for name in ("g++", "clang++", "c++"):
        if path := shutil.which(name):
            return [path]
    return [sys.executable, "-m", "ziglang", "c++"] if importlib.util.find_spec("ziglang") else None


class Emulator:
    """The kernels in a host library; `launch` has cuLaunchKernel's shape."""

    def __init__(self, folder: Path) -> None:
        command = compiler()
        assert command is not None
        library = folder / "kernels_host.so"
        flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-fno-sanitize=all", "-ffp-contract=off", "-w"]
        include = [f"-I{SOURCE}", f"-I{HERE}"]
        with (folder / "lock").open("w") as lock:  # of several test processes one compiles
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not library.is_file():
                made = library.with_suffix(".new")
                subprocess.run([*command, *flags, *include, str(HERE / "host.cpp"), "-o", str(made)], check=True)
                made.rename(library)
        self._library = ctypes.CDLL(str(library))
        self._library.shim_launch.restype = ctypes.c_char_p
        self._library.shim_signature.restype = ctypes.c_char_p

    def symbol(self, name: str) -> int:
        """A global's address; raises ValueError if the binary has none of this name."""
        return ctypes.addressof(ctypes.c_char.in_dll(self._library, name))

    def kernels(self) -> list[tuple[str, ...]]:
        """(family, operator, input, output) of every kernel, as the binary describes itself."""
        return [tuple(line.split()) for line in ctypes.string_at(self.symbol("wootz_kernels")).decode().splitlines()]

    def signature(self, name: str) -> list[str]:
        """A kernel's parameters: "p" for a pointer, else a value's bytes. Raises KeyError for no kernel."""
        told = self._library.shim_signature(name.encode())
        if told is None:
            raise KeyError(name)
        return str(told.decode()).split()

    def launch(self, name: str, launch: Any, *arguments: Any, reverse: bool = False) -> None:
        """Arguments are arrays (their address), None (a null pointer) or NumPy scalars, as CuPy takes them."""
        held = [_argument(a) for a in arguments]
        pointers = (ctypes.c_void_p * len(held))(*[ctypes.addressof(h) for h in held])
        grid, block = (ctypes.c_uint * 3)(*launch.grid), (ctypes.c_uint * 3)(*launch.block)
        if failure := self._library.shim_launch(name.encode(), grid, block, pointers, int(reverse)):
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
