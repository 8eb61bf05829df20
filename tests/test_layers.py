"""The layers of both packages, read from their imports: nothing imports upward, and the two never import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {"millcert": ROOT / "build" / "src" / "millcert", "wootz": ROOT / "framework" / "src" / "wootz"}

# lowest first; modules of one row may import each other
LAYERS = {
    "millcert": [
        {"errors"},
        {"names", "model"},
        {"files", "threads", "tree", "targets"},
        {"store"},
        {"lock", "index", "debian"},
        {"sandbox"},
        {"hermetic"},
        {"wheel", "image"},
        {"attest"},
        {"keys"},
        {"install", "publish", "guard", "rebuild"},
        {"cli"},
        {"__main__"},
    ],
    "wootz": [
        {"errors", "_build"},
        {"_core"},
        {"dtypes", "device", "numerics"},  # objects that the core makes
        {"backend"},
        {"_conversion", "_interop", "_override", "_repr", "_tensor"}
        | {"autograd", "fft", "func", "linalg", "ops", "random", "special"},
        {"array_api", "nn", "optim", "amp", "data", "serialize", "testing", "cuda", "utils"},
    ],
}
# the one module of each package that may do a thing
ONLY = {
    "sigstore": {"millcert.attest"},
    "piptools": {"millcert.lock"},
    "cupy": {"wootz.backend"},
    "click": {"millcert.cli"},
}
# run as processes of their own (inside the sandbox, or pip-tools with its patched environment)
PROGRAMS = (
    "millcert.cli",
    "millcert.__main__",
    "millcert.hermetic.steps",
    "millcert.image.steps",
    "millcert.lock.pip_compile",
    "millcert.sandbox.keeper",
    "millcert.sandbox.probe",
)


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    base = SOURCES[package]
    for path in sorted(base.rglob("*.py")):
        name = ".".join((package, *path.relative_to(base).with_suffix("").parts)).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(module: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import at line {node.lineno}; write the whole name"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top(name: str, package: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == package and len(parts) > 1 else None


def rank(package: str, part: str) -> int | None:
    return next((index for index, layer in enumerate(LAYERS[package]) if part in layer), None)


@pytest.mark.parametrize("package", SOURCES)
def test_no_import_goes_upward(package: str) -> None:
    wrong = []
    for module, tree in modules(package):
        own = top(module, package)
        if own is None:
            continue  # the package's own __init__ gathers what is public
        own_rank = rank(package, own)
        assert own_rank is not None, f"{module} has no layer: add {own!r} to LAYERS"
        for name in imports(module, tree):
            part = top(name, package)
            other = rank(package, part) if part else None
            if other is not None and other > own_rank:
                wrong.append(f"{module} imports {name}")
    assert not wrong


@pytest.mark.parametrize(("package", "other"), [("millcert", "wootz"), ("wootz", "millcert")])
def test_the_halves_never_import_each_other(package: str, other: str) -> None:
    wrong = [f"{m} imports {n}" for m, tree in modules(package) for n in imports(m, tree) if n.split(".")[0] == other]
    assert not wrong


@pytest.mark.parametrize("library", ONLY)
def test_a_library_has_one_user(library: str) -> None:
    users = {
        ".".join(module.split(".")[:2])
        for package in SOURCES
        for module, tree in modules(package)
        for name in imports(module, tree)
        if name.split(".")[0] == library
    }
    assert users <= ONLY[library]


def test_only_the_command_line_prints_and_exits() -> None:
    wrong = []
    for module, tree in modules("millcert"):
        if module.startswith(PROGRAMS):
            continue
        for node in ast.walk(tree):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            reads_argv = isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.argv"
            if reads_argv or name in ("print", "sys.exit", "exit", "quit"):
                wrong.append(f"{module}:{getattr(node, 'lineno', 0)}: {name or 'sys.argv'}")
    assert not wrong


def test_no_python_file_stands_directly_under_build() -> None:
    # build/__init__.py would break `python -m build`, and any module there would shadow PyPI's `build`
    assert not list((ROOT / "build").glob("*.py"))


def test_the_licence_is_the_same_everywhere() -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    assert licence == (ROOT / "framework" / "LICENSE").read_bytes() == (ROOT / "build" / "LICENSE").read_bytes()
