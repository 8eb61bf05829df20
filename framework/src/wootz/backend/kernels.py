"""The packed kernels of this wheel: loaded, checked against this Python code, and launched by symbol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wootz.backend import geometry
from wootz.backend.geometry import Launch
from wootz.errors import BackendError

__all__ = ["KERNELS", "Kernel", "Kernels"]

KERNELS = Path(__file__).parents[1] / "_cuda" / "kernels.fatbin"


class Kernel(NamedTuple):
    """A row of the kernel table (csrc/cuda/table.cuh)."""

    family: str
    op: str
    input: str
    output: str

    @property
    def symbol(self) -> str:
        return f"{self.op}_{self.input}_{self.output}"


class Kernels:
    """The kernels of a fat binary, checked before the first launch.

    Raises `BackendError` if the file is absent, holds no code for this GPU, fills other structures than this
    Python code does, or lacks a kernel that its own table names.
    """

    def __init__(self, cupy: Any, path: Path = KERNELS) -> None:
        if not path.is_file():
            raise BackendError(f"{path} is missing: this build of wootz holds no CUDA kernels")
        self._cupy = cupy
        self._module = cupy.RawModule(path=str(path))
        self._check_plans(path)
        self.table = self._read_table(path)
        self._functions = {row.symbol: self._function(row.symbol, path) for row in self.table}

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._functions

    def launch(self, symbol: str, launch: Launch, arguments: Sequence[Any]) -> None:
        """Queues one launch on CuPy's current stream. Arguments are CuPy arrays, None, plans, or NumPy scalars (an
        address is a uint64).

        Raises `BackendError` for a symbol that the binary does not hold.
        """
        function = self._functions.get(symbol)
        if function is None:
            raise BackendError(f"no kernel {symbol!r}: the binary holds {len(self._functions)} others")
        function(launch.grid, launch.block, tuple(_by_value(a) for a in arguments))

    def _global(self, name: str, count: int, dtype: str, path: Path) -> np.ndarray[Any, Any]:
        try:
            pointer = self._module.get_global(name)
        except self._cupy.cuda.driver.CUDADriverError as error:
            raise BackendError(f"{path} cannot be used on this GPU: {error}") from error
        array: np.ndarray[Any, Any] = self._cupy.ndarray((count,), dtype, memptr=pointer).get()
        return array

    def _check_plans(self, path: Path) -> None:
        found = self._global("wootz_plan_bytes", len(geometry.PLANS), "uint32", path).tolist()
        expected = [plan.itemsize for plan in geometry.PLANS]
        if found != expected:
            raise BackendError(f"{path} is of another build: its plans take {found} bytes, ours {expected}")

    def _read_table(self, path: Path) -> tuple[Kernel, ...]:
        size = int(self._global("wootz_kernels_bytes", 1, "uint32", path)[0])
        text = self._global("wootz_kernels", size, "uint8", path).tobytes().rstrip(b"\0").decode()
        return tuple(Kernel(*line.split()) for line in text.splitlines())

    def _function(self, symbol: str, path: Path) -> Any:
        try:
            return self._module.get_function(symbol)
        except self._cupy.cuda.driver.CUDADriverError as error:
            raise BackendError(f"{path} lacks {symbol!r}, which its own table names: {error}") from error


def _by_value(argument: Any) -> Any:
    """CuPy passes a structure by value when it comes as an array of one element."""
    return np.array(argument) if isinstance(argument, np.void) else argument
