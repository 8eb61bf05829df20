"""What the binary promises: the same results on every instruction set and thread count, symbols, generated files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.optable import FRAMEWORK, generator, rows

import wootz
from wootz import _core

# A bit of everything that is vectorised or shared out between threads; prints results as hex, by name.
PROGRAM = """
import json, sys
import numpy as np
import wootz
from wootz import _core
r = np.random.default_rng(0)
x, y = (wootz.from_numpy(r.standard_normal((97, 611)).astype(k)) for k in ("float32", "float64"))
big = wootz.from_numpy(r.standard_normal(300_001).astype("float32"))
t = wootz.from_numpy(r.integers(0, 611, 97))
out = {}
for name, v in (("f32", x), ("f64", y)):
    out[name + ".exp"], out[name + ".tanh"], out[name + ".erf"] = v.exp(), v.tanh(), v.erf()
    out[name + ".log"], out[name + ".sin"], out[name + ".gelu"] = v.abs().log(), v.sin(), wootz.gelu(v)
    out[name + ".matmul"], out[name + ".sum"], out[name + ".sum0"] = v @ v.T, v.sum(), v.sum(0)
    out[name + ".softmax"], out[name + ".ce"] = v.softmax(1), wootz.cross_entropy_rows(v, t)
    out[name + ".var"], out[name + ".lse"] = v.var(0), v.logsumexp(1)
out["long sum"], out["long mean"], out["argmax"] = big.sum(), big.mean(), big.argmax()
out["randn"], out["rand"] = wootz.randn(20_001), wootz.rand(20_001, dtype=wootz.float64)
w = wootz.from_numpy(r.standard_normal((70, 611)).astype("float32")).requires_grad_()
wootz.linear(x, w).tanh().sum().backward()
out["grad"] = w.grad
p, g, m, v = (wootz.from_numpy(np.abs(r.standard_normal(100_003)).astype("float32")) for _ in range(4))
_core.adamw_step([p], [g], [m], [v], None, 3, 0.1, 0.9, 0.99, 1e-8, 0.01)
out["adam"] = p
json.dump({"isa": _core.isa(), "threads": wootz.get_num_threads(),
           "values": {k: [str(a.numpy().dtype), list(a.shape), a.numpy().tobytes().hex()] for k, a in out.items()}},
          sys.stdout)
"""


def run(**environment: str) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    values = found.pop("values")
    return found, {k: np.frombuffer(bytes.fromhex(h), d).reshape(s) for k, (d, s, h) in values.items()}


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    one, first = run(WOOTZ_NUM_THREADS="1")
    seven, second = run(WOOTZ_NUM_THREADS="7")
    assert (one["threads"], seven["threads"]) == (1, 7)
    for name, value in first.items():
        assert value.tobytes() == second[name].tobytes(), name


ISAS = ["avx512", "avx2", "baseline"] if os.uname().machine == "x86_64" else ["neon"]


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_gives_the_same_numbers_within_rounding(isa: str) -> None:
    if ISAS.index(isa) < ISAS.index(_core.isa()) and "WOOTZ_ISA" not in os.environ:
        pytest.skip(f"this processor has no {isa}")
    told, values = run(WOOTZ_ISA=isa)
    assert told["isa"] == isa
    _, here = run()
    for name, value in values.items():
        if name in ("randn", "rand", "argmax"):
            assert value.tobytes() == here[name].tobytes(), name
        else:
            scale = np.abs(here[name]).max()
            slack = (1e-5 if name == "grad" else 2e-6) if value.dtype == np.float32 else 1e-13
            np.testing.assert_allclose(value, here[name], rtol=2e-5, atol=slack * scale, err_msg=name)


@pytest.mark.parametrize("isa", [i for i in ISAS if i != "avx512"])
def test_the_op_table_holds_on_older_processors(isa: str) -> None:
    """The forward tests once more, in a process that is told to use less than the processor has."""
    tests = Path(__file__).with_name("test_ops.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(tests), "-k", "numpy or memory"],
        env={**os.environ, "WOOTZ_ISA": isa}, cwd=FRAMEWORK.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def test_an_instruction_set_that_is_not_there_is_an_error_and_not_a_crash() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import wootz; wootz.ones(2) + 1"],
        env={**os.environ, "WOOTZ_ISA": "sparc"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "WOOTZ_ISA=sparc names no instruction set" in done.stderr


def test_fork_gets_threads_of_its_own() -> None:
    program = (
        "import os, wootz\nwootz.set_num_threads(3)\nx = wootz.ones(1 << 20)\nx.sum()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    os._exit(0 if x.sum().item() == 1 << 20 else 1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_generator_is_deterministic_and_the_stub_is_what_it_writes() -> None:
    first, second = (generator().generate(FRAMEWORK) for _ in range(2))
    assert first == second
    stub = Path(wootz.__file__).with_name("_core.pyi").read_text("utf-8")
    assert stub == first["_core.pyi"], "build in place (framework/README.md): that writes the stub"


def test_the_stub_names_what_the_module_has() -> None:
    stub = Path(wootz.__file__).with_name("_core.pyi").read_text("utf-8")
    for name in dir(_core):
        if not name.startswith("__"):
            assert f"def {name}(" in stub or f"class {name}" in stub or f"\n{name}: " in stub or name == "to_device", (
                name
            )


def test_the_stub_has_the_methods_that_are_written_in_python() -> None:
    """`python codegen/methods.py` was run after the last change of a signature."""
    script = FRAMEWORK / "codegen" / "methods.py"
    space: dict[str, Any] = {"__name__": "methods", "__file__": str(script)}
    exec(compile(script.read_text("utf-8"), str(script), "exec"), space)
    template = (FRAMEWORK / "codegen" / "core.pyi").read_text("utf-8")
    assert template == space["with_methods"](template, FRAMEWORK / "src" / "wootz" / "ops")


def test_no_two_families_define_one_name() -> None:
    owners: dict[str, Any] = {}
    for family in (_core, *wootz.ops.FAMILIES):
        for name in family.__all__:
            assert owners.setdefault(name, family) is family, f"{name}: {owners[name].__name__} and {family.__name__}"
            assert getattr(wootz, name) is getattr(family, name)


def test_every_row_documents_itself() -> None:
    for row in rows():
        assert row["doc"].endswith(".") and row["samples"], row["name"]
        assert getattr(_core, row["name"]).__doc__ == row["doc"]


def test_the_module_keeps_to_the_stable_abi() -> None:
    abi3audit = pytest.importorskip("abi3audit", reason="abi3audit is a development dependency")
    assert abi3audit
    module = Path(_core.__file__ or "")
    done = subprocess.run(
        [sys.executable, "-m", "abi3audit", "--assume-minimum-abi3", "3.11", str(module)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_kernels_of_an_instruction_set_define_nothing_that_others_would_link_to() -> None:
    """A template instantiated with AVX-512 but named alike elsewhere would be called on processors without it."""
    objects = sorted((FRAMEWORK / ".build").glob("CMakeFiles/unit*_*.dir/csrc/cpu/*.o"))
    if not objects:
        pytest.skip("no in-place build: its objects are what is looked at")
    done = subprocess.run(["nm", "-C", *map(str, objects)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("nm is not installed")
    allowed = (
        "DW.ref.__gxx_personality_v0",
        "wootz::cpu::avx512::",
        "wootz::cpu::avx2::",
        "wootz::cpu::baseline::",
        "wootz::cpu::neon::",
    )
    for line in done.stdout.splitlines():
        parts = line.split(maxsplit=2)
        if len(parts) == 3 and parts[1] in "WVu" and len(parts[0]) == 16:
            assert any(a in parts[2] for a in allowed), line
