"""docs/how-to/add-an-op.md, followed in a copy of the tree: what it makes is generated, compiled, run and checked."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import wootz
from wootz.autograd import gradcheck

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-an-op.md").read_text("utf-8")
DRIVER = """
#include "cpu/unary.cpp"
extern "C" void softsign(double* out, const double* in, long n) {
  static wootz::cpu::Kernels kernels{};
  wootz::cpu::baseline::fill_unary(kernels);
  const char* inputs[] = {reinterpret_cast<const char*>(in)};
  const uint8_t step[] = {1};
  auto loop = kernels.pointwise[static_cast<int>(wootz::cpu::Op::softsign)][static_cast<int>(wootz::DType::Float64)];
  loop(reinterpret_cast<char*>(out), inputs, step, n, nullptr);
}
"""


def block(path: str, language: str) -> str:
    found = re.search(rf"^In `{re.escape(path)}`:\n\n```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"the page has no block for {path}"
    return found[1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the framework with the page's two edits, and everything that follows from the table generated."""
    copy = tmp_path_factory.mktemp("tree") / "framework"
    ignored = shutil.ignore_patterns(".build", "*.so", "__pycache__", "wootz")
    shutil.copytree(ROOT / "framework", copy, ignore=ignored)
    table = copy / "ops" / "unary.toml"
    table.write_text(table.read_text("utf-8") + "\n" + block("framework/ops/unary.toml", "toml"), "utf-8")
    kernels = copy / "csrc" / "cpu" / "unary.cpp"
    before, mark, after = kernels.read_text("utf-8").partition("\n}  // namespace fn")
    kernels.write_text(before + "\n" + block("framework/csrc/cpu/unary.cpp", "cpp") + mark + after, "utf-8")
    subprocess.run([sys.executable, "codegen/bindings.py", str(copy / "generated")], cwd=copy, check=True)
    return copy


def row(tree: Path) -> dict[str, object]:
    rows = json.loads((tree / "generated" / "table.json").read_text("utf-8"))
    return next(r for r in rows if r["name"] == "softsign")


def compiler() -> str:
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        if name and shutil.which(name):
            return name
    pytest.skip("no C++ compiler is installed here")


def compile_with(tree: Path, *arguments: str) -> None:
    command = [
        compiler(),
        "-std=c++20",
        "-O0",
        "-fPIC",
        "-w",
        f"-I{tree / 'csrc'}",
        f"-I{tree / 'generated'}",
        *arguments,
    ]
    result = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_page_takes_ten_lines() -> None:
    lines = block("framework/ops/unary.toml", "toml") + block("framework/csrc/cpu/unary.cpp", "cpp")
    assert lines.count("\n") == 10


def test_bindings_stubs_and_the_reference_follow_from_the_row(tree: Path) -> None:
    stub = (tree / "generated" / "_core.pyi").read_text("utf-8")
    assert (
        "def softsign(self: Tensor, *, out: Tensor | None = None) -> Tensor" in stub
        and "    def softsign_(self) -> Tensor" in stub
    )
    assert row(tree)["differentiable"] == ["self"]
    (tree.parent / "docs" / "reference").mkdir(parents=True)
    subprocess.run([sys.executable, "codegen/reference.py"], cwd=tree, check=True)
    assert "| `softsign(self)` |" in (tree.parent / "docs" / "reference" / "ops.md").read_text("utf-8")


def test_the_kernel_computes_what_the_reference_says(tree: Path) -> None:
    (tree / "driver.cpp").write_text(DRIVER, "utf-8")
    compile_with(tree, "-DWOOTZ_ISA=baseline", "-DWOOTZ_VECTOR_BYTES=16", "-shared", "-o", "driver.so", "driver.cpp")
    library = ctypes.CDLL(str(tree / "driver.so"))
    x = np.random.default_rng(0).standard_normal(37)
    out = np.empty_like(x)
    pointer = ctypes.POINTER(ctypes.c_double)
    library.softsign(out.ctypes.data_as(pointer), x.ctypes.data_as(pointer), ctypes.c_long(x.size))
    reference = eval(str(row(tree)["reference"]), {"np": np})
    assert np.allclose(out, reference(x), rtol=1e-15)


def test_the_tape_and_the_bindings_compile_with_the_row(tree: Path) -> None:
    compile_with(tree, "-fsyntax-only", "csrc/ops/record.cpp")
    python = f"-I{sysconfig.get_path('include')}"
    if not (Path(python[2:]) / "Python.h").is_file():
        pytest.skip("Python's headers are not installed here")
    compile_with(tree, python, "-fsyntax-only", "csrc/binding/generated.cpp")


def test_the_derivative_on_the_page_is_the_derivative(tree: Path) -> None:
    import tomllib

    rule = tomllib.loads(block("framework/ops/unary.toml", "toml"))["op"][0]["gradient"]["self"]

    class Softsign(wootz.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(x)
            return x / (1 + abs(x))

        @staticmethod
        def backward(ctx, grad):  # type: ignore[no-untyped-def]
            names = {"grad": grad, "self": ctx.saved_tensors[0], "square": wootz.square, "abs": wootz.abs}
            return eval(rule, names)  # the rule is an expression in both languages

    assert gradcheck(Softsign.apply, (wootz.randn(5, dtype=wootz.float64, requires_grad=True),))


def test_the_list_of_ops_is_up_to_date() -> None:
    sys.path.insert(0, str(ROOT / "framework" / "codegen"))
    try:
        from precision import precision_page
        from reference import page
    finally:
        sys.path.pop(0)
    for name, text in (("ops.md", page()), ("autocast.md", precision_page(ROOT / "framework"))):
        written = (ROOT / "docs" / "reference" / name).read_text("utf-8")
        assert written == text, "run: python framework/codegen/reference.py"
