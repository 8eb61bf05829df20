"""Writes the type stub of the native module and the machine-readable table that the tests enumerate."""

from __future__ import annotations

import json
from pathlib import Path

from table import Op, Param

__all__ = ["core_pyi", "table_json"]

_PY = {
    "Tensor": "Operand",
    "Tensor?": "Operand | None",
    "Tensor[]": "Sequence[Tensor]",
    "Tensor?[]": "Sequence[Tensor | None]",
    "int": "builtins.int",
    "int?": "builtins.int | None",
    "int[]": "builtins.int | Sequence[builtins.int]",
    "int[]?": "builtins.int | Sequence[builtins.int] | None",
    "float": "builtins.float",
    "float?": "builtins.float | None",
    "bool": "builtins.bool",
    "dtype": "DType",
    "dtype?": "DType | None",
    "str": "str",
}


def _parameter(p: Param, first: bool) -> str:
    kind = "Tensor" if first and p.type == "Tensor" else _PY[p.type]
    return f"{p.name}: {kind}" + (f" = {p.default}" if p.default is not None else "")


def _signature(op: Op, method: bool, out: bool = False) -> str:
    parts, starred = ["self"] if method else [], False
    for i, p in enumerate(op.params):
        if method and i == 0:
            continue
        if op.varargs and p.type == "int[]":
            also = " | DType" if op.retype else ""
            parts.append(f"*{p.name}: builtins.int | Sequence[builtins.int]{also}")
            starred = True
            continue
        if p.keyword_only and not starred:
            parts.append("*")
            starred = True
        parts.append(_parameter(p, i == 0))
    if out:
        parts += [*([] if starred else ["*"]), "out: Tensor | None = None"]
    result = "Tensor" if len(op.results) == 1 else f"tuple[{', '.join(['Tensor'] * len(op.results))}]"
    return f"({', '.join(parts)}) -> {result}: ..."


def core_pyi(ops: list[Op], template: Path) -> str:
    """The hand-written part of the stub with one line an op put at its two marks."""
    methods, functions = "", ""
    for op in ops:
        for name in (op.name, *op.alias):
            functions += f"def {name}{_signature(op, False, op.out)}\n"
            if op.inplace:
                functions += f"def {name}_{_signature(op, False)}\n"
                methods += f"    def {name}_{_signature(op, True)}\n"
            if op.method and op.tensors:
                methods += f"    def {name}{_signature(op, True, op.out)}\n"
    functions += f"__all__ = {sorted(name for op in ops for name in op.exports)}\n"
    text = "# ruff: noqa: RUF022\n# fmt: off\n" + template.read_text("utf-8")
    return text.replace("    # <methods>\n", methods).replace("# <functions>\n", functions)


def table_json(ops: list[Op]) -> str:
    """The rows as the test-suite and the reference pages read them."""
    rows = [
        {
            "name": op.name,
            "family": op.family,
            "doc": op.doc,
            "signature": _signature(op, False)[:-5],
            "differentiable": sorted(op.gradient),
            "samples": list(op.samples),
            "reference": op.reference,
            "pointwise": op.pointwise,
            "complex": op.complex,
            "wide": bool(op.wide),
            "autocast": op.autocast,
            "out": op.out,
            "inplace": op.inplace,
            "view": op.view,
            "tolerance": op.tolerance,
            "method": op.method and bool(op.tensors),
            "public": op.public,
        }
        for op in ops
    ]
    return json.dumps(rows, indent=1) + "\n"
