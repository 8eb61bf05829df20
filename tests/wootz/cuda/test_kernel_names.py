"""The kernels by name: what the compiled code holds, what the emulation knows, what the dispatcher launches."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support import kernels
from tests.support.kernels import Code, differences, of_cubin, of_ptx
from tests.wootz.cuda.emulator import SOURCE, compiler, registered

from wootz.backend import gpu

compiles = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (install g++ or the ziglang wheel)")
DISPATCHER = [ast.parse(path.read_text("utf-8")) for path in sorted(Path(gpu.__file__).parent.glob("*.py"))]
NODES = [node for module in DISPATCHER for node in ast.walk(module)]


@pytest.fixture(scope="module")
def names():
    return frozenset().union(*registered().values())


@compiles
def test_the_preprocessor_knows_the_kernels_that_the_emulation_has(emulator):
    assert {unit: frozenset(symbols) for unit, symbols in emulator.units().items()} == registered()


@compiles
def test_a_kernel_that_only_one_side_has_is_named(tmp_path):
    for path in SOURCE.iterdir():
        shutil.copy(path, tmp_path)
    whole = registered()
    compiled = [Code("cu130 sm_90.cubin", unit, symbols) for unit, symbols in whole.items()]
    assert differences(compiled, whole) == []

    unit = tmp_path / "unary.cu"
    text, times = re.subn(r"^WOOTZ_UNARY\(neg, ", "WOOTZ_UNARY(gone, ", unit.read_text("utf-8"), flags=re.MULTILINE)
    assert times == 1
    unit.write_text(text, "utf-8")
    types = ("bf16", "f16", "f32", "f64")
    assert differences(compiled, registered(tmp_path)) == [
        *(f"cu130 sm_90.cubin: unary lacks gone_{t}_{t}, which its source declares" for t in types),
        *(f"cu130 sm_90.cubin: unary holds neg_{t}_{t}, which no test can run" for t in types),
    ]


def test_a_unit_that_only_one_side_has_is_named():
    one, other = Code("cu130 kernels.json", "new", frozenset({"k_f32_f32"})), {"old": frozenset({"m_f32_f32"})}
    assert differences([one], other) == [
        "old is compiled for no GPU",
        "cu130 kernels.json: new holds k_f32_f32, which no test can run",
    ]


@compiles
def test_the_kernels_of_a_cubin_are_its_global_functions(tmp_path):
    source, made = tmp_path / "unit.cpp", tmp_path / "unit.o"
    source.write_text(
        'extern "C" { void k_f32_f32(int) {} void m_f64_f64(int) {} int data = 1; }\n'
        "static void __attribute__((used)) local() {} void __attribute__((weak)) weak() {}\n"
    )
    subprocess.run([*compiler(), "-c", str(source), "-o", str(made)], check=True)
    assert of_cubin(made.read_bytes()) == {"k_f32_f32", "m_f64_f64"}


def test_the_kernels_of_ptx_are_its_entries():
    text = b".visible .func helper(\n)\n.visible .entry k_f32_f32(\n\t.param .u64 a\n)\n{\n// .entry no(\n}\n"
    assert of_ptx(text) == {"k_f32_f32"}


def test_the_program_fails_by_the_kernels_name(monkeypatch, capsys):
    monkeypatch.setattr(kernels, "_build", lambda variants: iter([Code("cu1 sm_5.cubin", "unit", frozenset({"k"}))]))
    monkeypatch.setattr(kernels, "compiler", lambda: ["c++"])
    for known, status in (({"k"}, 0), ({"k", "m"}, 1)):
        monkeypatch.setattr(kernels, "registered", lambda known=known: {"unit": frozenset(known)})
        assert kernels.main([]) == status
    assert capsys.readouterr().out.splitlines() == [
        "1 kernels of 1 units, 1 files: 0 differences",
        "cu1 sm_5.cubin: unit lacks m, which its source declares",
        "2 kernels of 1 units, 1 files: 1 differences",
    ]


def pattern(node):
    """A string of the source as a regular expression, an f-string's parts standing for any word; None for others."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(re.escape(v.value) if isinstance(v, ast.Constant) else r"\w+" for v in node.values)
    return None


@compiles
def test_what_the_dispatcher_launches_exists(names):
    """Beside the tests that launch: a name that is spelt in code which none of them reaches."""
    spelt = {}
    for node in NODES:
        called = getattr(node, "func", None)
        if getattr(called, "attr", getattr(called, "id", "")) in ("launch", "_launch"):
            spelt |= {found: ast.unparse(node) for found in map(pattern, node.args[:2]) if found}
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "symbol":
            spelt |= {found: ast.unparse(node) for found in [pattern(node.value)] if found}
    assert len(spelt) > 20
    assert [code for found, code in spelt.items() if not any(re.fullmatch(found, name) for name in names)] == []


@compiles
def test_the_dispatcher_names_the_operator_of_every_kernel(names):
    """A kernel that nothing launches would be compiled, shipped and loaded for nothing."""
    words = {node.value.strip("_") for node in NODES if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    words |= {re.sub(r"(_[a-z]+\d+)+$", "", word) for word in words}  # an f-string's "count_labels_i64_"
    operators = {name: name.rsplit("_", 2)[0] for name in names}
    stems = {name: re.sub(r"(_backward|_parameters)?(_\d+)?$", "", operator) for name, operator in operators.items()}
    assert {name for name in names if not {name, operators[name], stems[name]} & words} == set()
