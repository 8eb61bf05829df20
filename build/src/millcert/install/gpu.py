"""Which variant a machine can run, from its NVIDIA driver: libcuda through ctypes, nothing else is installed or run.

Source: CUDA driver API (``cuDriverGetVersion``, ``cuDeviceGetAttribute``). A driver runs every CUDA up to its own.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from millcert.errors import UsageError

__all__ = ["Driver", "Variant", "choose_variant", "read_driver"]

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
# the oldest GPU, as compute capability × 10, that each variant is compiled for; ci/targets.toml says the same
OLDEST_GPU = {"cu126": 50, "cu129": 70, "cu130": 75, "cu135": 75}


@dataclass(frozen=True)
class Driver:
    """The CUDA version that a driver supports, and the compute capability (× 10) of each GPU; or why there is none."""

    cuda: tuple[int, int] | None
    gpus: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Variant:
    """A variant and why it was chosen."""

    name: str
    reason: str


def choose_variant(driver: Driver, offered: Collection[str]) -> Variant:
    """The newest CUDA variant that driver and every GPU run, else ``cpu``; UsageError where neither is offered."""
    if driver.cuda and driver.gpus:
        named = f"the driver supports CUDA {driver.cuda[0]}.{driver.cuda[1]}, the oldest GPU is sm_{min(driver.gpus)}"
        fitting = {version: name for name in offered if (version := _cuda(name)) and _runs(name, version, driver)}
        if fitting:
            return Variant(fitting[max(fitting)], f"{named}; the newest that fits of {', '.join(sorted(offered))}")
        reason = f"{named}; none of the CUDA variants fits"
    else:
        reason = driver.reason or "the driver reports no GPU"
    if "cpu" in offered:
        return Variant("cpu", reason)
    raise UsageError(
        "the index offers no variant that this machine runs", reason=reason,
        offered=", ".join(sorted(offered)) or "none", fix="name one with --variant",
    )  # fmt: skip


def read_driver(load: Callable[[str], Any] = ctypes.CDLL) -> Driver:
    """Ask the driver library; a machine without one, or whose driver fails, is one without a GPU and says so."""
    try:
        cuda = load("libcuda.so.1")
    except OSError:
        return Driver(None, reason="no NVIDIA driver library (libcuda.so.1) on this machine")
    if error := cuda.cuInit(0):
        return Driver(None, reason=f"the NVIDIA driver does not start (cuInit: error {error})")
    version, count = ctypes.c_int(), ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(version)) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return Driver(None, reason="the NVIDIA driver does not say its version or its GPUs")
    gpus = tuple(_capability(cuda, number) for number in range(count.value))
    return Driver((version.value // 1000, version.value % 1000 // 10), gpus)


def _capability(cuda: Any, number: int) -> int:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return major.value * 10 + minor.value


def _cuda(name: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"cu(\d+)(\d)", name)
    return (int(match[1]), int(match[2])) if match else None


def _runs(name: str, version: tuple[int, int], driver: Driver) -> bool:
    known = OLDEST_GPU.get(name)
    return known is not None and driver.cuda is not None and version <= driver.cuda and min(driver.gpus) >= known
