"""Checks this machine's GPU and prints a short table: `python -m tests.support.gpu [PART ...]` from a checkout's root.

Needs an installed CUDA wheel of wootz with its CuPy; PyTorch and compute-sanitizer are used where they are found. Every
part is a process of its own, with a time after which it is stopped, so that neither a kernel's fault, which nothing
survives in its process, nor one that hangs takes the other parts along; all of them together are done in nine minutes.
Exit code 0: all is well; 1: something failed; 2: no such part; 3: there is no GPU that this wheel can use.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from tests.support import gpu_benchmarks, gpu_checks
from tests.support.gpu_checks import Row

from wootz import cuda
from wootz._build import build

__all__ = ["NO_GPU", "PARTS", "Part", "here", "main", "origins", "sanitizer"]

ROOT = Path(__file__).resolve().parents[2]
NO_GPU = 3
_NO_PART = 2
_FOUND = 9  # what compute-sanitizer exits with when it found an error


class Part(NamedTuple):
    """A part of the program: what it does, after how many seconds it is stopped, the sanitizer's tool it runs under."""

    rows: Callable[[], Iterator[Row]]
    seconds: float
    tool: str = ""


PARTS: dict[str, Part] = {
    "table": Part(gpu_checks.op_table, 150),
    "kernels": Part(gpu_checks.kernels, 40),
    "derivatives": Part(gpu_checks.derivatives, 40),
    "training": Part(gpu_checks.training, 25),
    "tutorial": Part(gpu_checks.tutorial, 45),
    "benchmarks": Part(gpu_benchmarks.of_memory, 70),
    "models": Part(gpu_benchmarks.of_models, 70),
    "memcheck": Part(gpu_checks.small, 50, "memcheck"),
    "racecheck": Part(gpu_checks.small, 50, "racecheck"),
}


def sanitizer(environment: Mapping[str, str] = os.environ, paths: Sequence[str] = tuple(sys.path)) -> str | None:
    """compute-sanitizer: on PATH, of a CUDA toolkit, of Conda, or of the package nvidia-cuda-sanitizer-api."""
    if found := shutil.which("compute-sanitizer", path=environment.get("PATH")):
        return found
    named = [environment[name] for name in ("CUDA_HOME", "CUDA_PATH", "CONDA_PREFIX") if environment.get(name)]
    toolkits = [*map(Path, named), *sorted(Path("/usr/local").glob("cuda*"), reverse=True), Path("/opt/cuda")]
    packages = [package for path in paths for package in sorted(Path(path).glob("nvidia/c*"), reverse=True)]
    for folder in (*toolkits, *packages):
        for inside in ("bin", "compute-sanitizer"):
            if found := shutil.which("compute-sanitizer", path=str(folder / inside)):
                return found
    return None


def here(part: str) -> int:
    """Runs one part in this process, each row printed as it is known."""
    good = True
    try:
        for row in PARTS[part].rows():
            good = good and row.good is not False
            _tell(row)
    except Exception as error:
        _tell(Row.of_error(part, error))
        raise
    return 0 if good else 1


def _tell(row: Row) -> None:
    mark = {True: "ok", False: "FAILED", None: "-"}[row.good]
    print(f"{row.name:<30}{mark:<8}{row.seen}", flush=True)


def _apart(part: str) -> bool:
    """Runs one part in a process of its own, which ends in time with all that it started."""
    _, seconds, tool = PARTS[part]
    command = [sys.executable, "-m", "tests.support.gpu", "--here", part]
    if tool:
        program = sanitizer()
        if program is None:
            _tell(
                Row(part, None, "no compute-sanitizer: it comes with the CUDA toolkit, or as nvidia-cuda-sanitizer-api")
            )
            return True
        command = [program, "--tool", tool, "--error-exitcode", str(_FOUND), "--print-limit", "10", *command]
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        status = process.wait(seconds)
    except BaseException as reason:
        os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # what hangs in the driver ends when the driver lets it
            process.wait(10)
        if not isinstance(reason, subprocess.TimeoutExpired):
            raise
        # a sanitizer that is slow has found nothing
        _tell(Row(part, None if tool else False, f"stopped after {seconds:g} s; the rows above are what it came to"))
        return bool(tool)
    if status == _FOUND:
        _tell(Row(part, False, "compute-sanitizer found errors: see above"))
    elif status not in (0, 1):  # with 1 it has told of what failed itself
        by = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}: see above"
        _tell(Row(part, False, f"ended {by}"))
    print(f"{'':<38}({part}: {time.monotonic() - start:.1f} s)", flush=True)
    return status == 0


def _versions(diagnosis: cuda.Diagnosis) -> str:
    found = [f"Python {platform.python_version()}"]
    for name in ("wootz", "numpy", *diagnosis.machine.cupy, "torch"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def origins(wheel: str | None, root: Path = ROOT) -> str:
    """Which commits the wheel and these tests are of, the latter where ``root`` is a git checkout."""
    built = f"wheel of commit {wheel}" if wheel else "no wheel: a source checkout"
    asked = ["git", "-C", str(root), "rev-parse", "HEAD"]
    tests = subprocess.run(asked, capture_output=True, text=True).stdout.strip() if (root / ".git").exists() else ""
    if not wheel or not tests or tests == wheel:
        return built
    return f"{built}\nnote: these tests are of commit {tests}; `ci/nox -s build_wheels` builds a wheel of that"


def main(arguments: Sequence[str]) -> int:
    """Prints the diagnosis and the table; returns the exit code."""
    if arguments[:1] == ["--here"]:
        return here(arguments[1])
    if unknown := [part for part in arguments if part not in PARTS]:
        print(f"no part is named {unknown[0]!r}; there are {', '.join(PARTS)}", file=sys.stderr)
        return _NO_PART
    diagnosis = cuda.diagnose()
    print(diagnosis, _versions(diagnosis), origins(build["commit"]), sep="\n", flush=True)
    if not diagnosis.fits:
        print(f"no GPU was used: {diagnosis.reason}")
        return NO_GPU
    failed = [part for part in arguments or PARTS if not _apart(part)]
    print(f"failed: {', '.join(failed)}" if failed else "all is well", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a part does not outlive this process
    sys.exit(main(sys.argv[1:]))
