"""Writes the C++ that follows from the op table: declarations, tape nodes and recording ops."""

from __future__ import annotations

import re

from table import Op, Param

__all__ = ["autograd_inc", "forward_h", "kernels_inc", "ops_h", "value_type"]

_CPP = {
    "Tensor": "const Tensor&",
    "Tensor?": "const Tensor&",
    "Tensor[]": "const TensorList&",
    "Tensor?[]": "const TensorList&",
    "int": "int64_t",
    "int?": "std::optional<int64_t>",
    "int[]": "const Dims&",
    "int[]?": "const std::optional<Dims>&",
    "float": "double",
    "float?": "std::optional<double>",
    "bool": "bool",
    "dtype": "DType",
    "dtype?": "std::optional<DType>",
    "str": "const std::string&",
}
_NOTE = "// Generated from the op table; edit ops/*.toml instead.\n"


def value_type(p: Param) -> str:
    """The C++ type that holds the parameter by value."""
    return _CPP[p.type].removeprefix("const ").removesuffix("&")


def _returns(op: Op) -> str:
    return "Tensor" if len(op.results) == 1 else f"std::array<Tensor, {len(op.results)}>"


def _declare(op: Op) -> str:
    return ", ".join(f"{_CPP[p.type]} {p.name}" for p in op.params)


def _names(op: Op) -> str:
    return ", ".join(p.name for p in op.params)


def kernels_inc(ops: list[Op]) -> str:
    """The enumeration of point-wise kernels, and per family the list of what a kernel file instantiates."""
    rows = [op for op in ops if op.pointwise]
    seen = ["copy", *dict.fromkeys(op.kernel for op in rows)]
    out = _NOTE + "enum class Op : uint8_t {\n" + "".join(f"  {k},\n" for k in seen) + "};\n"
    out += f"constexpr int kOps = {len(seen)};\n"
    for family in sorted({op.family for op in rows}):
        out += f"#define WOOTZ_KERNELS_{family}(X)"
        members = {op.kernel: op for op in rows if op.family == family and not op.masked}
        for kernel, op in members.items():
            arity = len(op.tensors)
            out += f" \\\n  X({kernel}, {arity}, {op.pointwise}, {'predicate' if op.returns == 'bool' else 'value'})"
        out += "\n"
    out += "#define WOOTZ_COMPLEX_KERNELS(X)"
    for op in {op.kernel: op for op in rows if op.complex}.values():
        result = {"bool": "predicate", "real": "part"}.get(op.returns, "value")
        out += f" \\\n  X({op.kernel}, {len(op.tensors)}, {result})"
    return out + "\n"


def ops_h(ops: list[Op]) -> str:
    """Declarations of the recording ops."""
    out = _NOTE + "#pragma once\n#include <array>\n#include <optional>\n#include <string>\n\n"
    out += '#include "core/tensor.h"\n\nnamespace wootz::ops {\n'
    for op in ops:
        out += f"{_returns(op)} {op.name}({_declare(op)});\n"
        if op.inplace:
            out += f"Tensor {op.name}_({_declare(op)});\n"
    return out + "}  // namespace wootz::ops\n"


def _pointwise_forward(op: Op) -> str:
    scalars = [p.name for p in op.params if not p.is_tensor]
    params = (
        f"const double params[] = {{{', '.join(f'static_cast<double>({s})' for s in scalars)}}};\n  " if scalars else ""
    )
    inputs = ", ".join(f"&{p.name}" for p in op.tensors)
    rule = {"bool": "Bool", "real": "Real"}.get(op.returns, "Same")
    floating = str(op.pointwise == "float").lower()
    return (
        f"inline Tensor {op.name}({_declare(op)}, const Tensor& out = Tensor()) {{\n  {params}"
        f'static constexpr PointOp op{{"{op.name}", cpu::Op::{op.kernel}, '
        f"ResultRule::{rule}, {floating}, {str(op.masked).lower()}}};\n"
        f"  const Tensor* inputs[] = {{{inputs}}};\n"
        f"  return pointwise(op, inputs, {len(op.tensors)}, {'params' if scalars else 'nullptr'}, out);\n}}\n"
    )


def forward_h(ops: list[Op]) -> str:
    """What runs on the CPU without recording: generated for point-wise ops, declared for the others."""
    out = _NOTE + "#pragma once\n#include <array>\n#include <optional>\n#include <string>\n\n"
    out += '#include "core/tensor.h"\n#include "ops/pointwise.h"\n\nnamespace wootz::forward {\n'
    for op in ops:
        out += _pointwise_forward(op) if op.pointwise else f"{_returns(op)} {op.name}({_declare(op)});\n"
    return out + "}  // namespace wootz::forward\n"


def _uses(op: Op, formula: str) -> tuple[set[str], set[str]]:
    """The names a rule needs by value, and those of which it needs only shape or type."""
    meta = set(re.findall(r"\b(?:shape|dtype|strides|offset|device|metas)\((\w+)\)", formula))
    names = set(re.findall(r"\b\w+\b", re.sub(r"\b(?:shape|dtype|strides|offset|device|metas)\(\w+\)", "", formula)))
    return names, meta


class _NodeWriter:
    """One op's node: which values it keeps, how it fills them, and its rule."""

    def __init__(self, op: Op) -> None:
        self.op = op
        self.rules = [(p, op.gradient[p.name]) for p in op.tensors if p.name in op.gradient]
        self.values: dict[str, list[Param]] = {}
        self.metas: set[str] = set()
        self.plain: set[str] = set()
        self.ids = {p.name: p for p in op.params}
        for param, formula in self.rules:
            names, meta = _uses(op, formula)
            self.metas |= meta
            for name in names:
                if name in op.results or (name in self.ids and self.ids[name].is_tensor):
                    self.values.setdefault(name, []).append(param)
                elif name in self.ids:
                    self.plain.add(name)

    @property
    def has_list(self) -> bool:
        return any(p.is_list for p, _ in self.rules)

    def fields(self) -> str:
        out = ""
        for name in sorted(self.values):
            is_list = name in self.ids and self.ids[name].is_list
            out += f"  {'std::vector<Saved>' if is_list else 'Saved'} {name}_;\n"
        for name in sorted(self.metas):
            is_list = name in self.ids and self.ids[name].is_list
            out += f"  {'std::vector<Geometry>' if is_list else 'Geometry'} {name}_meta_;\n"
        for name in sorted(self.plain):
            out += f"  {value_type(self.ids[name])} {name};\n"
        return out

    def formula(self, text: str) -> str:
        text = re.sub(r"\bmetas\((\w+)\)", r"\1_meta_", text)
        return re.sub(r"\b(shape|dtype|strides|offset|device)\((\w+)\)", r"\2_meta_.\1", text)

    def apply(self) -> str:
        out = ""
        used = {name for _, formula in self.rules for name in _uses(self.op, formula)[0]}
        if "grads" not in used:
            out += "    const Tensor& grad = grads[0];\n    if (!grad.defined()) return;\n"
        for name in sorted(self.values):
            if name in self.ids and self.ids[name].is_list:
                out += f"    TensorList {name};\n    for (const Saved& s : {name}_) {name}.push_back(s.get(this));\n"
            else:
                out += f"    Tensor {name} = {name}_.get(this);\n"
        joint = [i for i, (param, _) in enumerate(self.rules) if param.name in self.op.joint]
        if joint:
            out += f"    if ({' || '.join(f'wants({i})' for i in joint)}) {{\n"
            out += f"      auto parts = {self.formula(self.rules[joint[0]][1])};\n"
            out += "".join(f"      if (wants({i})) out[{i}] = parts[{k}];\n" for k, i in enumerate(joint)) + "    }\n"
        for i, (param, formula) in enumerate(self.rules):
            text = self.formula(formula)
            if i in joint:
                continue
            if param.is_list:
                out += f"    TensorList parts = {text};\n"
                out += f"    for (size_t k = 0; k < parts.size(); ++k) out[{i} + k] = parts[k];\n"
            else:
                out += f"    if (wants({i})) out[{i}] = {text};\n"
        return out

    def release(self) -> str:
        lines = ""
        for name in sorted(self.values):
            is_list = name in self.ids and self.ids[name].is_list
            lines += f"    for (Saved& s : {name}_) s.reset();\n" if is_list else f"    {name}_.reset();\n"
        return lines

    def node(self) -> str:
        base = "ListNode" if self.has_list else f"FixedNode<{len(self.rules)}>"
        out = f"struct {self.op.name}_node final : {base} {{\n{self.fields()}"
        out += f'  const char* name() const override {{ return "{self.op.name}"; }}\n'
        out += f"  void apply(const Tensor* grads, Tensor* out) override {{\n{self.apply()}  }}\n"
        if self.values:
            out += f"  void release_saved() override {{\n{self.release()}  }}\n"
        return out + "};\n"

    def edges(self) -> str:
        if not self.has_list:
            return "".join(f"    node->edges[{i}] = edge_of({p.name});\n" for i, (p, _) in enumerate(self.rules))
        fixed = len(self.rules) - 1
        listed = self.rules[-1][0].name
        out = f"    node->resize({fixed} + {listed}.size());\n"
        for i, (p, _) in enumerate(self.rules[:-1]):
            out += f"    node->edges[{i}] = edge_of({p.name});\n"
        return (
            out + f"    for (size_t k = 0; k < {listed}.size(); ++k) node->edges[{fixed} + k] = edge_of({listed}[k]);\n"
        )

    def fill(self) -> str:
        out = ""
        order = [p.name for p, _ in self.rules]
        for name in sorted(self.metas):
            if self.ids.get(name) and self.ids[name].is_list:
                out += f"    for (const Tensor& t : {name}) node->{name}_meta_.push_back(geometry(t));\n"
            else:
                out += f"    node->{name}_meta_ = geometry({name});\n"
        for name in sorted(self.plain):
            out += f"    node->{name} = {name};\n"
        for name, users in sorted(self.values.items()):
            always = self.has_list or len(users) == len(self.rules)
            guard = "" if always else f"if ({' || '.join(f'node->wants({order.index(u.name)})' for u in users)}) "
            if name in self.op.results:
                slot = self.op.results.index(name)
                value = "result" if len(self.op.results) == 1 else f"result[{slot}]"
                out += f"    {guard}node->{name}_.output({value}, {slot});\n"
            elif self.ids[name].is_list:
                out += f"    {guard}for (const Tensor& t : {name}) node->{name}_.emplace_back().input(t);\n"
            else:
                out += f"    {guard}node->{name}_.input({name});\n"
        return out


def _local(op: Op) -> tuple[str, str]:
    """What comes before the call that runs the op on the CPU, and the call."""
    plain = f"forward::{op.name}({_names(op)})"
    if not op.wide:
        return "", plain
    asked = next((p.name for p in op.params if p.type == "dtype?"), "std::nullopt")
    widened = ", ".join(f"wide_({p.name})" if p.is_tensor or p.type == "dtype?" else p.name for p in op.params)
    how = f"Widened::{op.wide.capitalize()}"
    before = f"  Widened wide_({', '.join([how, asked, *(p.name for p in op.tensors)])});\n"
    return before, f"wide_ ? wide_.narrow(forward::{op.name}({widened})) : {plain}"


def _autocast(op: Op) -> str:
    """Where a row says so: the same op on inputs cast, while mixed precision is on."""
    if not op.autocast:
        return ""
    policy = ", ".join(f"Precision::{op.autocast.get(t, 'free').capitalize()}" for t in ("cpu", "cuda"))
    tensors = ", ".join(p.name for p in op.tensors)
    given = ", ".join(f"cast_({p.name})" if p.is_tensor else p.name for p in op.params)
    return (
        "  if (autocasting()) [[unlikely]] {\n"
        f"    Autocast cast_({{{{{policy}}}}}, {tensors});\n    if (cast_) return ops::{op.name}({given});\n  }}\n"
    )


def _recording_op(op: Op) -> str:
    before, local = _local(op)
    out = f"{_returns(op)} {op.name}({_declare(op)}) {{\n{_autocast(op)}{before}"
    if not op.tensors or op.view:
        out += f"  {_returns(op)} result = {local};\n"
    else:
        tensors = ", ".join(p.name for p in op.tensors)
        out += f"  {_returns(op)} result = remote({tensors})\n"
        out += f'      ? unbox<{len(op.results)}>(call_backend("{op.name}", {{{_names(op)}}}))\n      : {local};\n'
    return out + _record(op) + "  return result;\n}\n"


def _record(op: Op) -> str:
    out = ""
    if op.view:
        out += f"  set_view(result, {op.params[0].name});\n"
    writer = _NodeWriter(op)
    if not writer.rules:
        return out
    names = ", ".join(p.name for p, _ in writer.rules)
    out += f"  if (recording({names})) {{\n    auto* node = new {op.name}_node;\n"
    out += f"    Ref<Node> owner = Ref<Node>::adopt(node);\n{writer.edges()}{writer.fill()}"
    if len(op.results) == 1:
        out += "    set_history(result, owner);\n"
    else:
        for i in range(len(op.results)):
            out += f"    set_history(result[{i}], owner, {i});\n"
    return out + "  }\n"


def _inplace_op(op: Op) -> str:
    rest = "".join(f", {p.name}" for p in op.params[1:])
    tensors = ", ".join(p.name for p in op.tensors)
    off = "  AutocastOff off_;\n" if op.autocast else ""  # a tensor keeps its type
    direct = f'store_result("{op.name}_", self, ops::{op.name}(self{rest}))'
    before = ""
    if op.returns == "real":
        before = (
            "  WOOTZ_CHECK(!is_complex(self.dtype()), ErrorKind::DType, "
            f'"In-place {op.name} is not supported for complex tensors: its result is real");\n'
        )
    if op.direct:
        direct = op.direct
    elif op.pointwise:
        direct = f"if (!remote({tensors})) forward::{op.name}(self{rest}, self);\n  else {direct}"
    return (
        f'Tensor {op.name}_({_declare(op)}) {{\n{off}  check_inplace(self, "{op.name}_");\n{before}'
        f"  if (recording({tensors})) rebase(self, ops::{op.name}(rewritable(self){rest}));\n"
        f"  else {direct};\n  self.bump();\n  return self;\n}}\n"
    )


def autograd_inc(ops: list[Op]) -> str:
    """Tape nodes and the ops that record them."""
    out = _NOTE + "namespace {\n"
    out += "".join(_NodeWriter(op).node() for op in ops if op.gradient)
    out += "}  // namespace\n\nnamespace ops {\n"
    for op in ops:
        out += _recording_op(op)
        if op.inplace:
            out += _inplace_op(op)
    return out + "}  // namespace ops\n"
