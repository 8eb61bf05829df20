"""CUDA on this machine: whether it can be used, and what to do if not.

>>> import wootz
>>> print(wootz.cuda.diagnose())  # doctest: +SKIP
"""

from __future__ import annotations

import functools
import json
from importlib import metadata
from pathlib import Path

from wootz.backend import Build, Diagnosis, Machine, judge, probe

__all__ = ["Diagnosis", "device_count", "diagnose", "is_available"]

_RECORD = Path(__file__).with_name("_build.json")


def is_available() -> bool:
    """Whether this build's CUDA kernels run on this machine. Never raises, and imports nothing heavy."""
    return _diagnosis().fits


def device_count() -> int:
    """The number of GPUs that can be used; 0 where `is_available` is False."""
    diagnosis = _diagnosis()
    driver = diagnosis.machine.driver
    return len(driver.gpus) if diagnosis.fits and driver else 0


def diagnose() -> Diagnosis:
    """Looks at the driver, its GPUs, this wheel and CuPy afresh; ``print`` it for a table with the next command."""
    _diagnosis.cache_clear()
    return _diagnosis()


@functools.cache
def _diagnosis() -> Diagnosis:
    record = json.loads(_RECORD.read_text()) if _RECORD.is_file() else None
    driver = probe()
    return judge(Build.from_record(record), Machine(driver, _cupy_distributions() if driver else ()))


def _cupy_distributions() -> tuple[str, ...]:
    named = (distribution.metadata["Name"] or "" for distribution in metadata.distributions())
    names = {name.lower().replace("_", "-") for name in named}
    return tuple(sorted(name for name in names if name == "cupy" or name.startswith("cupy-")))
