"""Whether this wheel's CUDA kernels can run on this machine, and if not, why and what to do: facts in, verdict out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wootz.backend.driver import Driver

__all__ = ["VARIANTS", "Build", "Diagnosis", "Machine", "Variant", "install_compiler", "judge", "runs"]


@dataclass(frozen=True)
class Variant:
    """A CUDA build of wootz: its CUDA version, the GPU architectures it holds code for, and its CuPy distribution."""

    cuda: tuple[int, int]
    architectures: tuple[int, ...]
    cupy: str


# Newest first, because the newest that runs is the one to install. A test holds this against ci/targets.toml.
VARIANTS: Mapping[str, Variant] = {
    "cu135": Variant((13, 5), (75, 80, 86, 90, 100, 120), "cupy-cuda13x"),
    "cu130": Variant((13, 0), (75, 80, 86, 90, 100, 120), "cupy-cuda13x"),
    "cu129": Variant((12, 9), (70, 75, 80, 86, 90, 100, 120), "cupy-cuda12x"),
    "cu126": Variant((12, 6), (50, 60, 70, 75, 80, 86, 90), "cupy-cuda12x"),
}


@dataclass(frozen=True)
class Build:
    """This installation: its variant's name and, for a CUDA build, what that variant holds."""

    variant: str
    cuda: Variant | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Build:
        """From what `wootz._build` says of this installation."""
        if record["cuda"] is None:
            return cls(record["variant"])
        major, minor = map(int, record["cuda"]["version"].split("."))
        held = tuple(record["cuda"]["architectures"])
        return cls(record["variant"], Variant((major, minor), held, record["cuda"]["cupy"]))


@dataclass(frozen=True)
class Machine:
    """The driver (None: there is no driver library), the installed distributions of CuPy, and whether NVRTC is here."""

    driver: Driver | None
    cupy: tuple[str, ...] = ()
    compiler: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """The verdict. ``fits`` says that this build's kernels run here; ``reason`` says why or why not in a sentence,
    ``variant`` is the build that would fit this machine (None: none does), ``command`` the next thing to run."""

    fits: bool
    reason: str
    build: Build
    machine: Machine
    variant: str | None = None
    command: str | None = None

    def __str__(self) -> str:
        driver, lines = self.machine.driver, []
        cuda = f"runs CUDA up to {driver.cuda[0]}.{driver.cuda[1]}" if driver else "not found"
        lines.append(f"driver   {cuda}")
        for i, gpu in enumerate(driver.gpus if driver else ()):
            lines.append(f"GPU {i}    {gpu.name}, sm_{gpu.architecture}, {gpu.memory / 2**30:.0f} GiB")
        held = self.build.cuda
        needs = f", CUDA {held.cuda[0]}.{held.cuda[1]} for sm_{held.architectures[0]} and later" if held else ""
        lines.append(f"wootz    variant {self.build.variant}{needs}")
        cupy = ", ".join(self.machine.cupy) or ("not installed" if driver else "not looked for without a driver")
        lines.append(f"CuPy     {cupy}")
        if held and driver and not self.machine.compiler:
            rest = "not found; ops without a kernel of wootz's (of complex numbers, linalg, fft) need it"
            lines.append(f"NVRTC    {rest}: {install_compiler(held.cuda[0])}")
        lines.append(f"CUDA     {'ready' if self.fits else 'not available'}: {self.reason}")
        if self.command:
            lines.append(f"next     {self.command}")
        return "\n".join(lines)


def install_compiler(major: int) -> str:
    """The command that brings CuPy's compiler and the headers it reads, for a major version of CUDA."""
    suffix = f"-cu{major}" if major < 13 else ""
    return "pip install " + " ".join(f"'nvidia-cuda-{part}{suffix}=={major}.*'" for part in ("nvrtc", "runtime"))


def runs(variant: Variant, driver: Driver, architecture: int) -> bool:
    """Whether a build's code runs on a GPU under a driver.

    Machine code runs on its own generation from its minor revision on, under any driver of the same or a later major
    CUDA version (CUDA's minor-version compatibility). Intermediate code of the newest architecture runs on all later
    GPUs, but only a driver as new as the compiler translates it.
    """
    if driver.cuda[0] < variant.cuda[0]:
        return False
    if any(held // 10 == architecture // 10 and held <= architecture for held in variant.architectures):
        return True
    return max(variant.architectures) <= architecture and driver.cuda >= variant.cuda


def _fitting(driver: Driver) -> str | None:
    """The newest variant that runs on every GPU of the machine."""
    for name, variant in VARIANTS.items():
        if all(runs(variant, driver, gpu.architecture) for gpu in driver.gpus):
            return name
    return None


def judge(build: Build, machine: Machine) -> Diagnosis:
    """Holds a build against a machine; the first obstacle on the way to a kernel launch is the reason."""
    driver = machine.driver
    if driver is None:
        return _no(build, machine, "no NVIDIA driver: its library libcuda.so.1 was not found")
    if driver.error:
        return _no(build, machine, driver.error, command="nvidia-smi")
    if not driver.gpus:
        return _no(build, machine, "the driver sees no GPU (is CUDA_VISIBLE_DEVICES empty?)", command="nvidia-smi")
    variant = _fitting(driver)
    install = f"millcert install wootz --variant {variant}" if variant else None
    if obstacle := _build_obstacle(build, driver):
        return _no(build, machine, obstacle, variant, install)
    assert build.cuda is not None
    if obstacle := _cupy_obstacle(build.cuda.cupy, machine.cupy):
        extra = [name for name in machine.cupy if name != build.cuda.cupy]
        command = f"pip uninstall {' '.join(extra)}" if extra else f"pip install {build.cuda.cupy}"
        return _no(build, machine, obstacle, build.variant, command)
    return Diagnosis(True, "driver, GPU, wheel and CuPy fit together", build, machine, build.variant)


def _no(
    build: Build, machine: Machine, reason: str, variant: str | None = None, command: str | None = None
) -> Diagnosis:
    return Diagnosis(False, reason, build, machine, variant, command)


def _build_obstacle(build: Build, driver: Driver) -> str | None:
    if build.cuda is None:
        return f"this build of wootz (variant {build.variant!r}) holds no CUDA kernels"
    wanted, found = (f"{major}.{minor}" for major, minor in (build.cuda.cuda, driver.cuda))
    if driver.cuda[0] < build.cuda.cuda[0]:
        return f"the driver is too old: this wheel needs CUDA {wanted}, the driver runs up to {found}"
    for i, gpu in enumerate(driver.gpus):
        if runs(build.cuda, driver, gpu.architecture):
            continue
        held = ", ".join(f"sm_{a}" for a in build.cuda.architectures)
        if gpu.architecture > max(build.cuda.architectures):
            return (
                f"GPU {i} ({gpu.name}) is sm_{gpu.architecture}, newer than this wheel's code ({held}), and the driver "
                f"(CUDA {found}) is older than the wheel's compiler ({wanted}), so it cannot translate it"
            )
        return f"GPU {i} ({gpu.name}) is sm_{gpu.architecture}, this wheel holds code for {held}"
    return None


def _cupy_obstacle(wanted: str, found: tuple[str, ...]) -> str | None:
    if found == (wanted,):
        return None
    if not found:
        return f"CuPy is not installed: this wheel needs {wanted}"
    if len(found) > 1:
        return f"several CuPy distributions are installed ({', '.join(found)}); they overwrite each other's files"
    return f"the wrong CuPy distribution is installed: this wheel needs {wanted}, found {found[0]}"
