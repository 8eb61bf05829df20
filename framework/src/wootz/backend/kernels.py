"""The packed kernels of this wheel: listed by symbol, loaded unit by unit, checked against this Python code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wootz.backend import geometry
from wootz.backend.geometry import Launch
from wootz.errors import BackendError

__all__ = ["KERNELS", "Kernels"]

KERNELS = Path(__file__).parents[1] / "_cuda"

# csrc/cuda/kernel.cuh's Structures
_STRUCTURES = np.dtype([("bytes", "<u4", 8), ("names", "S96")])


class Kernels:
    """The kernels of a folder of fat binaries, one a unit of csrc/cuda, which `kernels.json` lists.

    A unit is loaded when the first of its kernels is launched, and checked before that. Raises `BackendError` if the
    folder is absent, or if a unit holds no code for this GPU, fills other structures than this Python code does, or
    lacks a kernel that the list names.
    """

    def __init__(self, cupy: Any, folder: Path = KERNELS) -> None:
        listed = folder / "kernels.json"
        if not listed.is_file():
            raise BackendError(f"{listed} is missing: this build of wootz holds no CUDA kernels")
        self._cupy, self._folder = cupy, folder
        table = json.loads(listed.read_text(encoding="utf-8"))
        self.units: dict[str, list[str]] = {unit: said["kernels"] for unit, said in table.items()}
        self._unit_of = {symbol: unit for unit, symbols in self.units.items() for symbol in symbols}
        self._functions: dict[str, Any] = {}

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._unit_of

    def launch(self, symbol: str, launch: Launch, arguments: Sequence[Any]) -> None:
        """Queues one launch on CuPy's current stream. Arguments are CuPy arrays, None, plans, or NumPy scalars (an
        address is a uint64).

        Raises `BackendError` for a symbol that no unit holds.
        """
        function = self._functions.get(symbol) or self._find(symbol)
        function(launch.grid, launch.block, tuple(_by_value(a) for a in arguments))

    def load(self) -> None:
        """Loads every unit: nothing can be loaded while a graph is captured."""
        for symbols in self.units.values():
            if symbols[0] not in self._functions:
                self._find(symbols[0])

    def _find(self, symbol: str) -> Any:
        unit = self._unit_of.get(symbol)
        if unit is None:
            raise BackendError(f"no kernel {symbol!r}: {self._folder} holds {len(self._unit_of)} others")
        self._functions |= self._load(unit)
        return self._functions[symbol]

    def _load(self, unit: str) -> dict[str, Any]:
        path = self._folder / f"{unit}.fatbin"
        if not path.is_file():
            raise BackendError(f"{path} is missing: this build of wootz is not whole")
        module = self._cupy.RawModule(path=str(path))
        self._check_structures(module, path)
        return {symbol: self._function(module, symbol, path) for symbol in self.units[unit]}

    def _check_structures(self, module: Any, path: Path) -> None:
        try:
            pointer = module.get_global("wootz_structures")
        except self._cupy.cuda.driver.CUDADriverError as error:
            raise BackendError(f"{path} cannot be used on this GPU: {error}") from error
        raw = self._cupy.ndarray((_STRUCTURES.itemsize,), "uint8", memptr=pointer).get()
        (told,) = np.frombuffer(raw.tobytes(), _STRUCTURES)
        names = [name for name in told["names"].decode().split(", ") if name]
        found = dict(zip(names, told["bytes"].tolist(), strict=False))
        expected = {name: geometry.STRUCTURES[name].itemsize for name in names if name in geometry.STRUCTURES}
        if found != expected:
            raise BackendError(f"{path} is of another build: its structures take {found} bytes, ours {expected}")

    def _function(self, module: Any, symbol: str, path: Path) -> Any:
        try:
            return module.get_function(symbol)
        except self._cupy.cuda.driver.CUDADriverError as error:
            raise BackendError(f"{path} lacks {symbol!r}, which the list names: {error}") from error


def _by_value(argument: Any) -> Any:
    """CuPy passes a structure by value when it comes as an array of one element."""
    return np.array(argument) if isinstance(argument, np.void) else argument
