"""Writes the Python bindings of the op table: one vectorcall function an op, as module function and as method."""

from __future__ import annotations

import json

from cpp import value_type
from table import Op, Param

__all__ = ["bindings_inc", "methods_inc"]

_NOTE = "// Generated from the op table; edit ops/*.toml instead.\n"
_READ = {
    "Tensor": "tensor_or_scalar",
    "Tensor?": "optional_tensor",
    "Tensor[]": "tensor_list",
    "Tensor?[]": "optional_tensor_list",
    "int": "integer",
    "int?": "optional_integer",
    "int[]": "dims",
    "int[]?": "optional_dims",
    "float": "number",
    "float?": "optional_number",
    "bool": "boolean",
    "dtype": "dtype",
    "dtype?": "optional_dtype",
    "str": "string",
}


def _cpp_default(p: Param) -> str:
    value = {"None": "{}", "True": "true", "False": "false"}.get(p.default or "", p.default or "")
    if p.type == "str":
        return value.replace("'", '"')
    if p.type == "int[]" and value:
        return "Dims{" + value.strip("()[]") + "}"
    if p.type == "float":
        return f"static_cast<double>({value})"
    return value


def _argument(p: Param, index: int, first: bool) -> str:
    """`first`: the parameter that has to be a tensor, where numbers are taken for the others."""
    reader = "tensor" if first and p.type == "Tensor" else _READ[p.type]
    read = f"read::{reader}(v[{index}], at({index}))"
    if p.default is None:
        return read
    if p.type.endswith("?"):
        return read
    return f"v[{index}] ? {read} : {_cpp_default(p)}"


def _function(op: Op, suffix: str = "") -> str:
    name = op.name + suffix
    out = f"const Param {name}_params[] = {{"
    entries = [(p.name, p.default is None, p.keyword_only) for p in op.params]
    takes_out = op.out and not suffix
    if takes_out:
        entries.append(("out", False, True))
    out += ", ".join(f'{{"{n}", {str(needed).lower()}, {str(named).lower()}}}' for n, needed, named in entries)
    gather = next((i for i, p in enumerate(op.params) if p.type == "int[]"), -1) if op.varargs else -1
    out += f'}};\nconst Function {name}_function{{"{name}", {name}_params, {len(entries)}, {gather}}};\n'
    either = bool(op.pointwise) and len(op.tensors) > 1 and not suffix  # as 2 - t is an op on a number and a tensor
    locals_ = "".join(
        f"    {value_type(p)} {p.name} = {_argument(p, i, i == 0 and not either)};\n" for i, p in enumerate(op.params)
    )
    if op.retype:
        source = _argument(op.params[0], 0, True)
        locals_ = f"    if (is_dtype(v[1])) return wrap(reread({source}, dtype_of_object(v[1])));\n{locals_}"
    work = " || ".join(f"large({p.name})" for p in op.tensors) or "false"
    tensors = ", ".join(p.name for p in op.tensors)
    call = f"ops::{name}({', '.join(p.name for p in op.params)})"
    if takes_out:
        locals_ += f"    Out out_({name}_function, v[{len(op.params)}], recording({tensors}));\n"
        call = f"out_ ? out_.take({call}) : {call}"
    out += (
        f"PyObject* {name}_call(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names) {{\n"
        f"  if (overrides_exist && overridden(self, args, n, names))\n"
        f'    return call_override("{name}", self, args, n, names);\n'
        f"  return guarded([&]() -> PyObject* {{\n    Bound v({name}_function, self, args, n, names);\n"
        f"    auto at = [](int i) {{ return Where{{&{name}_function, i}}; }};\n{locals_}"
        f"    Unlocked unlocked({work});\n"
        f"    auto result_ = {call};\n"
        f"    unlocked.lock();\n    return to_python(std::move(result_));\n  }});\n}}\n"
        f"static PyObject* {name}_free(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {{\n"
        f"  return {name}_call(nullptr, args, n, names);\n}}\n"
    )
    return out


def _entry(name: str, function: str, doc: str) -> str:
    text = doc.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'    {{"{name}", as_method({function}), METH_FASTCALL | METH_KEYWORDS, "{text}"}},\n'


def _method_names(op: Op) -> list[tuple[str, str, str]]:
    """(Python name, C++ function, documentation) of each method that the row gives."""
    if not (op.method and op.tensors):
        return [(f"{op.name}_", f"{op.name}__call", f"In-place {op.name}.")] if op.inplace else []
    out = []
    for name in (op.name, *op.alias):
        out.append((name, f"{op.name}_call", op.doc))
        if op.inplace:
            out.append((f"{name}_", f"{op.name}__call", f"In-place {op.name}."))
    return out


def _signature_line(op: Op) -> str:
    kind = "pointwise" if op.pointwise else "view" if op.view else "other"
    return " ".join([op.name, kind, *(f"{'*' * p.keyword_only}{p.name}" for p in op.params)])


def bindings_inc(ops: list[Op], table: str) -> str:
    """The wrapper functions, the table of module functions, the public names, and the op table itself."""
    out = _NOTE
    for op in ops:
        out += _function(op)
        if op.inplace:
            out += _function(op, "_")
    lines = "".join(f'    "{_signature_line(op)}\\n"\n' for op in ops)
    out += f"static PyObject* op_signatures(PyObject*, PyObject*) {{\n  return PyUnicode_FromString(\n{lines}  );\n}}\n"
    out += "PyMethodDef generated_functions[] = {\n"
    for op in ops:
        for name in (op.name, *op.alias):
            out += _entry(name, f"{op.name}_free", op.doc)
            if op.inplace:
                out += _entry(f"{name}_", f"{op.name}__free", f"In-place {op.name}.")
    out += (
        '    {"op_signatures", op_signatures, METH_NOARGS, "A line an op: name, kind, parameters (* keyword-only)."},\n'
    )
    exports = " ".join(sorted(name for op in ops for name in op.exports))
    lines = "\n".join(f"    {json.dumps(line)}" for line in table.splitlines())
    out += f"    {{nullptr, nullptr, 0, nullptr}}}};\nconst char* const generated_table =\n{lines};\n"
    return out + f'const char* const generated_exports = "{exports}";\n'


def methods_inc(ops: list[Op]) -> str:
    """The entries of Tensor's method table."""
    methods = [m for op in ops for m in _method_names(op)]
    out = _NOTE + "namespace wootz::binding {\n"
    for function in dict.fromkeys(function for _, function, _ in methods):
        out += f"PyObject* {function}(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);\n"
    out += "}  // namespace wootz::binding\n#define WOOTZ_METHODS"
    for name, function, doc in methods:
        out += " \\\n" + _entry(name, function, doc).rstrip("\n")
    return out + "\n"
