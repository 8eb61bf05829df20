"""The CUDA backend in use: looked for when an op first needs it, and an error that says why where there is none."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wootz import _core
from wootz._build import build
from wootz._core import Tensor
from wootz.backend.arrays import Arrays, provide
from wootz.backend.diagnosis import Build, Diagnosis, Machine, judge
from wootz.backend.driver import loads, probe
from wootz.backend.null import NullBackend
from wootz.device import Device, default_device

if TYPE_CHECKING:
    from wootz.backend.cuda import Cuda

__all__ = ["active", "create", "diagnosis", "run", "use"]

_lock = threading.Lock()
_chosen: Cuda | None = None


@functools.cache
def diagnosis() -> Diagnosis:
    """The verdict on this machine, kept; ``diagnosis.cache_clear()`` has it looked at afresh."""
    driver = probe()
    held = Build.from_record(build)
    if driver is None or held.cuda is None:
        return judge(held, Machine(driver, _distributions("cupy") if driver else ()))
    compiler = bool(_distributions("nvidia-cuda-nvrtc")) or loads(f"libnvrtc.so.{held.cuda.cuda[0]}")
    return judge(held, Machine(driver, _distributions("cupy"), compiler))


def _distributions(start: str) -> tuple[str, ...]:
    """What is installed of this name, or of one that goes on after a hyphen."""
    from importlib import metadata  # slow to import, and needed only where there is a driver

    named = (distribution.metadata["Name"] or "" for distribution in metadata.distributions())
    names = {name.lower().replace("_", "-") for name in named}
    return tuple(sorted(name for name in names if name == start or name.startswith(f"{start}-")))


def active(op: str = "cuda") -> Cuda:
    """The backend. Raises `BackendError` with the reason and the next command where CUDA cannot be used."""
    global _chosen
    if _chosen is None:
        with _lock:
            if _chosen is None:
                if not diagnosis().fits:
                    NullBackend(diagnosis()).run(op, ())
                from wootz.backend.cuda import Cuda  # brings CuPy with it

                use(Cuda())
    assert _chosen is not None
    return _chosen


def use(backend: Cuda | None) -> Cuda | None:
    """Puts another backend in its place (a test's, over an emulated device); returns the one before."""
    global _chosen
    before, _chosen = _chosen, backend
    if backend is not None:
        from wootz.backend import gpu

        own = functools.partial(gpu.array_op, backend)
        provide("cuda", Arrays(backend.arrays, lambda t: backend.array(t.detach()), backend.own, backend.beside, own))
    return before


def create(maker: str, device: Device | str | None, *arguments: Any) -> Tensor:
    """A new tensor by the core's function of this name, on the CPU or on a GPU with the same elements."""
    where = default_device() if device is None else Device(device)
    if where.type == "cpu":
        made: Tensor = getattr(_core, maker)(*arguments)
        return made
    from wootz.backend import gpu

    return gpu.create(active(maker), maker, where.index, arguments)


def run(op: str, arguments: Sequence[Any]) -> Any:
    """What the core calls for an op on tensors of a GPU."""
    backend = active(op)
    from wootz.backend import gpu

    return gpu.run(backend, op, arguments)


_core.register_backend("cuda", run)
