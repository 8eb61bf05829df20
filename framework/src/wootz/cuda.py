"""CUDA on this machine: whether it can be used, and what to do if not.

>>> import wootz
>>> print(wootz.cuda.diagnose())  # doctest: +SKIP
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._build import build
from wootz.backend import TENSOR_DEVICES, Build, Diagnosis, Machine, NullBackend, judge, probe

__all__ = ["Diagnosis", "device_count", "diagnose", "is_available"]


def is_available() -> bool:
    """Whether tensors can be put on a GPU here. Never raises, and imports nothing heavy.

    False in this version, whose tensors live on the CPU; `diagnose` says whether its kernels could run.
    """
    return "cuda" in TENSOR_DEVICES and _diagnosis().fits


def device_count() -> int:
    """The number of GPUs that can be used; 0 where `is_available` is False."""
    driver = _diagnosis().machine.driver
    return len(driver.gpus) if is_available() and driver else 0


def diagnose() -> Diagnosis:
    """Looks at the driver, its GPUs, this wheel and CuPy afresh; ``print`` it for a table with the next command."""
    _diagnosis.cache_clear()
    return _diagnosis()


@functools.cache
def _diagnosis() -> Diagnosis:
    driver = probe()
    return judge(Build.from_record(build), Machine(driver, _cupy_distributions() if driver else ()))


def _cupy_distributions() -> tuple[str, ...]:
    from importlib import metadata  # slow to import, and needed only where there is a driver

    named = (distribution.metadata["Name"] or "" for distribution in metadata.distributions())
    names = {name.lower().replace("_", "-") for name in named}
    return tuple(sorted(name for name in names if name == "cupy" or name.startswith("cupy-")))


def _run(op: str, arguments: Sequence[Any]) -> Any:
    return NullBackend(_diagnosis()).run(op, arguments)


_core.register_backend("cuda", _run)
