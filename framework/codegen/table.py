"""The op table: reads ops/*.toml into rows that the writers turn into C++, stubs and tests."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Op", "Param", "load"]

_KEYS = {
    "name",
    "signature",
    "doc",
    "pointwise",
    "complex",
    "wide",
    "out",
    "kernel",
    "masked",
    "gradient",
    "view",
    "inplace",
    "method",
    "varargs",
    "retype",
    "samples",
    "reference",
    "alias",
    "autocast",
    "tolerance",
    "direct",
    "public",
}
_PARAM = re.compile(r"(?P<type>\w+(?:\?)?(?:\[\])?(?:\?)?) (?P<name>\w+)(?:=(?P<default>.+))?$")
_PRECISIONS = ("same", "low", "wide", "widest")
_TYPES = {
    "Tensor",
    "Tensor?",
    "Tensor[]",
    "Tensor?[]",
    "int",
    "int?",
    "int[]",
    "int[]?",
    "float",
    "float?",
    "bool",
    "dtype",
    "dtype?",
    "str",
}


@dataclass(frozen=True)
class Param:
    """One parameter: type in the table's notation, name, default (None: required), whether only a keyword gives it."""

    type: str
    name: str
    default: str | None
    keyword_only: bool

    @property
    def is_tensor(self) -> bool:
        return self.type.startswith("Tensor")

    @property
    def is_list(self) -> bool:
        return self.type.startswith("Tensor") and "[]" in self.type


@dataclass(frozen=True)
class Op:
    """One row of the table."""

    name: str
    params: tuple[Param, ...]
    results: tuple[str, ...]
    doc: str
    family: str
    pointwise: str = ""  # all | number | float | integral | logical: the types its kernel exists for
    returns: str = "same"  # same | float | bool | real (of complex numbers): type of a point-wise result
    complex: bool = False  # whether its kernel exists for complex numbers too
    wide: str = ""  # all | first: 16-bit floats are brought to float32 around it, and these results back
    out: bool = False  # whether `out=` may name the tensor that receives the result
    kernel: str = ""
    masked: bool = False
    gradient: dict[str, str] = field(default_factory=dict)
    joint: tuple[str, ...] = ()  # the tensors whose gradients one formula gives together, as an array
    view: bool = False
    inplace: bool = False
    method: bool = True
    varargs: bool = False
    retype: bool = False  # whether a dtype in the place of its second argument reads the memory as that type
    samples: tuple[str, ...] = ()
    reference: str = ""
    alias: tuple[str, ...] = ()
    tolerance: float = 0.0
    autocast: dict[str, str] = field(default_factory=dict)  # by device type: same | low | wide | widest
    direct: str = ""  # what the in-place variant does when nothing records
    public: bool = True  # whether `wootz.<name>` exists

    @property
    def tensors(self) -> tuple[Param, ...]:
        return tuple(p for p in self.params if p.is_tensor)

    @property
    def exports(self) -> tuple[str, ...]:
        """Its names in `_core.__all__`: of the in-place variants only those of one tensor, as in `relu_(x)`."""
        names = (self.name, *self.alias) if self.public else ()
        return names + tuple(f"{name}_" for name in names if self.inplace and len(self.tensors) == 1)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse_params(where: str, text: str) -> tuple[Param, ...]:
    params, keyword_only = [], False
    for part in _split(text):
        if part == "*":
            keyword_only = True
            continue
        match = _PARAM.match(part)
        if match is None or match["type"] not in _TYPES:
            raise ValueError(f"{where}: cannot read parameter {part!r}")
        params.append(Param(match["type"], match["name"], match["default"], keyword_only))
    return tuple(params)


def _parse_autocast(where: str, given: object) -> dict[str, str]:
    """What autocast makes of the inputs: one word for all devices, or one for each that it is in force on."""
    rule = {"cpu": given, "cuda": given} if isinstance(given, str) else dict(given)  # type: ignore[call-overload]
    if set(rule) - {"cpu", "cuda"} or set(rule.values()) - set(_PRECISIONS):
        raise ValueError(f"{where}: autocast is one of {', '.join(_PRECISIONS)} for cpu, cuda or both, not {given!r}")
    return rule


def _parse_row(path: Path, row: dict[str, object]) -> Op:
    where = f"{path.name}: {row.get('name')}"
    if unknown := set(row) - _KEYS:
        raise ValueError(f"{where}: unknown keys {sorted(unknown)}")
    signature = re.fullmatch(r"\((.*)\) -> (.+)", str(row["signature"]))
    if signature is None:
        raise ValueError(f"{where}: cannot read signature {row['signature']!r}")
    params = _parse_params(where, signature[1])
    results = tuple(part.removeprefix("Tensor").strip() or "result" for part in _split(signature[2].strip("()")))
    rules: dict[str, str] = dict(row.get("gradient", {}))  # type: ignore[call-overload]  # TOML table
    gradient = {name: formula for names, formula in rules.items() for name in _split(names)}
    joint = tuple(name for names in rules for name in _split(names) if "," in names)
    if unknown := set(gradient) - {p.name for p in params if p.is_tensor}:
        raise ValueError(f"{where}: gradient of unknown tensors {sorted(unknown)}")
    types, _, returns = str(row.get("pointwise", "")).partition(" -> ")
    return Op(
        name=str(row["name"]),
        params=params,
        results=results,
        doc=str(row["doc"]),
        family=path.stem,
        pointwise=types,
        returns=returns or "same",
        complex=bool(row.get("complex")),
        wide={True: "all"}.get(row.get("wide", ""), str(row.get("wide", ""))),  # type: ignore[call-overload]
        out=bool(row.get("out", bool(types) or path.stem == "reduction")) and len(results) == 1,
        kernel=str(row.get("kernel", row["name"])),
        masked=bool(row.get("masked")),
        gradient=gradient,
        joint=joint,
        view=bool(row.get("view")),
        inplace=bool(row.get("inplace")),
        method=bool(row.get("method", True)),
        varargs=bool(row.get("varargs")),
        retype=bool(row.get("retype")),
        samples=tuple(row.get("samples", ())),
        reference=str(row.get("reference", "")),  # type: ignore[arg-type]
        alias=tuple(row.get("alias", ())),
        autocast=_parse_autocast(where, row.get("autocast", {})),
        tolerance=float(row.get("tolerance", 0)),  # type: ignore[arg-type]
        direct=str(row.get("direct", "")),
        public=bool(row.get("public", not str(row["name"]).endswith("_backward"))),
    )


def load(folder: Path) -> list[Op]:
    """Every row of every table in `folder`, in file and row order; a name may appear once."""
    ops: list[Op] = []
    for path in sorted(folder.glob("*.toml")):
        ops += [_parse_row(path, row) for row in tomllib.loads(path.read_text("utf-8"))["op"]]
    names = [op.name for op in ops]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"ops defined twice: {sorted(repeated)}")
    return ops
