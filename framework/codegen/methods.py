"""Writes the methods that Tensor gets from Python functions into core.pyi: `python codegen/methods.py`.

A public function of `src/wootz/ops` whose first parameter is called self is a method too. Run this after adding one.
"""

from __future__ import annotations

import ast
import copy
from pathlib import Path

__all__ = ["methods", "with_methods"]

FRAMEWORK = Path(__file__).parent.parent
BEGIN, END = "    # fmt: off\n    # <python methods>\n", "    # </python methods>\n    # fmt: on\n"
_BUILT_IN = {"int", "float", "bool", "complex", "slice"}
_KNOWN = {"Tensor", "Any", "Sequence", "Callable", "str", "None", "tuple", "list", "dict", "object"}


class _InStub(ast.NodeTransformer):
    """Annotations as they read inside the stub's Tensor, where `int` is a method and aliases are unknown."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in _BUILT_IN:
            return ast.Attribute(ast.Name("builtins"), node.id)
        return ast.Name("DType" if node.id == "dtype" else node.id if node.id in _KNOWN else "Any")

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return node


def _exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _inplace(function: ast.FunctionDef) -> bool:
    calls = [d for d in function.decorator_list if isinstance(d, ast.Call)]
    return any(k.arg == "inplace" for d in calls for k in d.keywords)


def _method(function: ast.FunctionDef, suffix: str = "") -> str:
    arguments = copy.deepcopy(function.args)
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg) and argument.annotation:
            argument.annotation = _InStub().visit(argument.annotation)
    arguments.args[0].annotation = None
    assert function.returns
    result = ast.unparse(_InStub().visit(function.returns)) if not suffix else "Tensor"
    return f"    def {function.name}{suffix}({ast.unparse(arguments)}) -> {result}: ...\n"


def methods(folder: Path) -> str:
    """One line a method, of every family in file order."""
    out = ""
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        public = _exported(tree)
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or not node.args.args or node.args.args[0].arg != "self":
                continue
            if node.name in public:
                out += _method(node) + (_method(node, "_") if _inplace(node) else "")
    return out


def with_methods(stub: str, folder: Path) -> str:
    """The stub with the block between the marks written anew."""
    before, rest = stub.split(BEGIN)
    return before + BEGIN + methods(folder) + END + rest.split(END)[1]


def main() -> None:
    path = FRAMEWORK / "codegen" / "core.pyi"
    path.write_text(with_methods(path.read_text("utf-8"), FRAMEWORK / "src" / "wootz" / "ops"), "utf-8")


if __name__ == "__main__":
    main()
