"""Whether a wheel fits a machine: the driver probe against a stand-in library, the verdict against tables of facts."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.wootz.cuda.emulator import compiler

from wootz.backend import Build, Driver, Gpu, Machine, judge, probe
from wootz.backend.diagnosis import VARIANTS, runs
from wootz.backend.driver import loads

ROOT = Path(__file__).parents[3]
GIB = 2**30
SOURCE = Build.from_record({"variant": "source", "cuda": None})
H100, OLD, NEXT = Gpu("H100", 90, 80 * GIB), Gpu("GTX 980", 52, 4 * GIB), Gpu("Next", 140, 200 * GIB)


def wheel(variant):
    held = VARIANTS[variant]
    record = {
        "variant": variant,
        "cuda": {
            "version": f"{held.cuda[0]}.{held.cuda[1]}",
            "architectures": list(held.architectures),
            "cupy": held.cupy,
        },
    }
    return Build.from_record(record)


def test_the_variants_are_those_of_targets_toml():
    targets = tomllib.loads((ROOT / "ci/targets.toml").read_text())["variants"]
    listed = {
        name: (tuple(map(int, v["cuda"].split("."))), tuple(v["gpu"]), v["cupy"])
        for name, v in targets.items()
        if "cuda" in v
    }
    assert listed == {name: (v.cuda, v.architectures, v.cupy) for name, v in VARIANTS.items()}
    assert [v.cuda for v in VARIANTS.values()] == sorted((v.cuda for v in VARIANTS.values()), reverse=True)


@pytest.mark.parametrize(
    ("build", "driver", "cupy", "reason", "variant", "command"),
    [
        (Build("cpu"), None, (), "no NVIDIA driver", None, None),
        (wheel("cu129"), Driver((0, 0), error="the driver does not start: (error 803)"), (), "803", None, "nvidia-smi"),
        (wheel("cu129"), Driver((12, 9)), (), "sees no GPU", None, "nvidia-smi"),
        (Build("cpu"), Driver((13, 5), (H100,)), (), "'cpu'", "cu135", "install wootz --variant cu135"),
        (SOURCE, Driver((13, 0), (H100,)), (), "'source'", "cu135", "--variant cu135"),
        (Build("cpu"), Driver((12, 4), (H100,)), (), "'cpu'", "cu129", "--variant cu129"),
        (Build("cpu"), Driver((12, 9), (OLD,)), (), "'cpu'", "cu126", "--variant cu126"),
        (Build("cpu"), Driver((11, 8), (H100,)), (), "'cpu'", None, None),
        (wheel("cu130"), Driver((12, 9), (H100,)), (), "needs CUDA 13.0, the driver runs up to 12.9", "cu129", "cu129"),
        (wheel("cu129"), Driver((13, 0), (OLD,)), (), "GPU 0 (GTX 980) is sm_52", "cu126", "cu126"),
        (wheel("cu129"), Driver((12, 6), (H100, NEXT)), (), "GPU 1 (Next) is sm_140, newer", "cu126", "cu126"),
        (wheel("cu129"), Driver((12, 9), (H100,)), (), "CuPy is not installed", "cu129", "pip install cupy-cuda12x"),
        (wheel("cu130"), Driver((13, 0), (H100,)), ("cupy-cuda12x",), "wrong CuPy", "cu130", "uninstall cupy-cuda12x"),
        (
            wheel("cu130"), Driver((13, 0), (H100,)), ("cupy-cuda12x", "cupy-cuda13x"), "several CuPy", "cu130",
            "pip uninstall cupy-cuda12x",
        ),
    ],
)  # fmt: skip
def test_each_obstacle_is_named_with_the_next_command(build, driver, cupy, reason, variant, command):
    diagnosis = judge(build, Machine(driver, cupy))
    assert not diagnosis.fits
    assert reason in diagnosis.reason
    assert diagnosis.variant == variant
    assert (diagnosis.command is None) if command is None else (command in diagnosis.command)
    assert diagnosis.reason in str(diagnosis)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_machine_that_fits(variant):
    held = VARIANTS[variant]
    diagnosis = judge(wheel(variant), Machine(Driver((13, 9), (H100,)), (held.cupy,)))
    assert diagnosis.fits and "ready" in str(diagnosis) and "H100, sm_90, 80 GiB" in str(diagnosis)


def test_which_code_runs_where():
    cu129 = VARIANTS["cu129"]
    assert runs(cu129, Driver((12, 0)), 90)  # machine code, under an older minor version
    assert runs(cu129, Driver((13, 0)), 90)  # and a newer major one
    assert runs(cu129, Driver((12, 0)), 87)  # sm_86's code on its generation's later revision
    assert not runs(cu129, Driver((11, 8)), 90)
    assert not runs(cu129, Driver((12, 9)), 61)  # nothing for that generation, and newer than intermediate code helps
    assert runs(cu129, Driver((12, 9)), 140)  # translated from intermediate code
    assert not runs(cu129, Driver((12, 8)), 140)  # which that driver is too old to read


FAKE = r"""
#include <stddef.h>
#include <string.h>
#include <stdlib.h>
static int number(const char* name, int otherwise) { const char* v = getenv(name); return v ? atoi(v) : otherwise; }
int cuInit(unsigned flags) { return number("FAKE_INIT", 0); }
int cuDriverGetVersion(int* v) { *v = 13000; return 0; }
int cuDeviceGetCount(int* n) { *n = 2; return number("FAKE_COUNT", 0); }
int cuDeviceGet(int* d, int i) { *d = 40 + i; return 0; }
int cuDeviceGetName(char* s, int n, int d) { strncpy(s, d == 41 ? "second" : "first", n); return 0; }
int cuDeviceGetAttribute(int* v, int a, int d) { *v = a == 75 ? (d == 41 ? 12 : 8) : (d == 41 ? 0 : 6); return 0; }
int cuDeviceTotalMem_v2(size_t* v, int d) { *v = (size_t)24 << 30; return 0; }
int cuGetErrorString(int e, const char** s) { *s = "a reason"; return 0; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    command = compiler()
    if command is None:
        pytest.skip("no C++ compiler for the stand-in driver library")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "fake.cpp").write_text('extern "C" {' + FAKE + "}")
    path = folder / "libcuda.so.1"
    subprocess.run([*command, "-shared", "-fPIC", "-w", str(folder / "fake.cpp"), "-o", str(path)], check=True)
    return str(path)


def test_the_probe_reads_the_driver(library, monkeypatch):
    assert probe(library) == Driver((13, 0), (Gpu("first", 86, 24 * GIB), Gpu("second", 120, 24 * GIB)))
    monkeypatch.setenv("FAKE_INIT", "100")
    assert probe(library) == Driver((13, 0))
    monkeypatch.setenv("FAKE_INIT", "803")
    assert probe(library).error == "the driver does not start: a reason (error 803)"
    monkeypatch.setenv("FAKE_INIT", "0")
    monkeypatch.setenv("FAKE_COUNT", "3")
    assert "does not list its GPUs: a reason" in probe(library).error


def test_a_missing_run_time_compiler_is_told_and_is_no_obstacle():
    held = VARIANTS["cu130"]
    diagnosis = judge(wheel("cu130"), Machine(Driver((13, 9), (H100,)), (held.cupy,), compiler=False))
    assert diagnosis.fits
    (line,) = [line for line in str(diagnosis).splitlines() if line.startswith("NVRTC")]
    assert "not found" in line and "pip install 'nvidia-cuda-nvrtc==13.*' 'nvidia-cuda-runtime==13.*'" in line
    assert "NVRTC" not in str(judge(wheel("cu130"), Machine(Driver((13, 9), (H100,)), (held.cupy,))))
    assert loads("libm.so.6") and not loads("libm-that-is-not-there.so.6")


def test_no_driver_and_a_library_that_is_none():
    assert probe("libcuda-that-is-not-there.so.1") is None
    assert "no usable driver library" in probe("libm.so.6").error


def test_without_a_driver_nothing_is_said_of_what_was_not_looked_for():
    assert "CuPy     not looked for without a driver" in str(judge(wheel("cu130"), Machine(None)))
    assert "CuPy     not installed" in str(judge(wheel("cu130"), Machine(Driver((13, 0), (H100,)))))


def test_import_and_diagnosis_need_numpy_alone_and_no_gpu():
    code = (
        "import sys; sys.modules |= {'cupy': None, 'safetensors': None}; import wootz, wootz.cuda;"
        "d = wootz.cuda.diagnose();"
        "print(wootz.cuda.is_available(), wootz.cuda.device_count(), d.fits, len(d.reason) > 10)"
    )
    if probe() is not None:
        pytest.skip("this machine has an NVIDIA driver")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "0", "False", "True"]
