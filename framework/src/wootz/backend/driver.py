"""The NVIDIA driver, asked through its own library: whether it is there, its version, and the GPUs it sees."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

__all__ = ["LIBRARY", "Driver", "Gpu", "loads", "probe"]

LIBRARY = "libcuda.so.1"
_COMPUTE_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, compute capability (9.0 is 90) and memory in bytes."""

    name: str
    architecture: int
    memory: int


@dataclass(frozen=True)
class Driver:
    """What the driver says of itself: the newest CUDA it runs, its GPUs, and its error if it could not start."""

    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...] = ()
    error: str | None = None


def loads(library: str) -> bool:
    """Whether the loader finds a library of this name."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def probe(library: str = LIBRARY) -> Driver | None:
    """Asks the driver library; None where there is none. Creates no context and allocates nothing on a GPU."""
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return None
    try:
        return _ask(driver)
    except AttributeError as missing:
        return Driver((0, 0), error=f"{library} is no usable driver library: {missing}")


def _ask(driver: ctypes.CDLL) -> Driver:
    version = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    cuda = (version.value // 1000, version.value % 1000 // 10)
    status = driver.cuInit(0)
    if status == _NO_DEVICE:
        return Driver(cuda)
    if status:
        return Driver(cuda, error=f"the driver does not start: {_message(driver, status)}")
    count = ctypes.c_int()
    if status := driver.cuDeviceGetCount(ctypes.byref(count)):
        return Driver(cuda, error=f"the driver does not list its GPUs: {_message(driver, status)}")
    return Driver(cuda, tuple(_gpu(driver, i) for i in range(count.value)))


def _gpu(driver: ctypes.CDLL, ordinal: int) -> Gpu:
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    driver.cuDeviceGet(ctypes.byref(device), ordinal)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    major, minor = (ctypes.c_int(), ctypes.c_int())
    for value, attribute in zip((major, minor), _COMPUTE_CAPABILITY, strict=True):
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return Gpu(name.value.decode(errors="replace"), major.value * 10 + minor.value, memory.value)


def _message(driver: ctypes.CDLL, status: int) -> str:
    text = ctypes.c_char_p()
    driver.cuGetErrorString(status, ctypes.byref(text))
    return f"{(text.value or b'unknown error').decode(errors='replace')} (error {status})"
