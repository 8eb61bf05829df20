"""Element-wise ops: one launch of a kernel, after casts where none is for the type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.geometry import GeometryError, Operand
from wootz.backend.gpu.complex_numbers import through_arrays
from wootz.dtypes import dtype, real_dtype
from wootz.errors import DTypeError, ShapeError

__all__ = [
    "BOOLEAN", "FLOATING", "OPS", "REAL", "as_type", "assign", "broadcast", "cast", "compute", "fill", "operand",
    "wide_type", "widened", "word",
]  # fmt: skip

# What the op table says of each op's result: of a floating type, or a bool; the others keep their inputs' type.
REAL = frozenset(("abs", "complex_angle"))  # of complex numbers
FLOATING = frozenset((
    "silu", "gelu_erf", "gelu_slope", "gelu_tanh", "softplus", "leaky_relu", "elu", "div", "atan2", "lerp", "hypot",
    "reciprocal", "sqrt", "rsqrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "tanh", "erf", "erfc", "erfinv", "lgamma", "digamma", "polygamma_of", "sigmoid",
))  # fmt: skip
BOOLEAN = frozenset((
    "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "logical_not", "isnan", "isinf",
    "isfinite",
))  # fmt: skip
_KERNEL_NAMES = {"gelu_erf": "gelu"}
_ROUNDING = frozenset(("floor", "ceil", "round", "trunc"))
_LOGICAL = frozenset(("logical_and", "logical_or", "logical_xor"))
_SHAPED = frozenset(("softplus", "leaky_relu", "elu", "polygamma_of"))  # of one operand and up to two numbers
_OF_BOOLS = {f"bitwise_{name}": f"logical_{name}" for name in ("and", "or", "xor", "not")}
_HALVES = frozenset(("float16", "bfloat16"))
_SCALARS: dict[str, Any] = {"f64": np.float64, "i64": np.int64, "boolean": np.uint8}  # the others compute in float32

Given = Tensor | float | int | bool


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The common shape, by NumPy's rule; raises `ShapeError`."""
    try:
        return np.broadcast_shapes(*map(tuple, shapes))
    except ValueError as error:
        raise ShapeError(f"shapes {', '.join(str(list(s)) for s in shapes)} do not broadcast") from error


def _strides(t: Tensor, shape: Sequence[int]) -> tuple[int, ...]:
    own = tuple(0 if n == 1 else s for n, s in zip(t.shape, t.stride(), strict=True))
    return (0,) * (len(shape) - len(own)) + own


def operand(t: Tensor, shape: Sequence[int]) -> Operand:
    return Operand(t.itemsize, _strides(t, shape), t.data_ptr())


def _at(t: Tensor, offset: int) -> np.uint64:
    return np.uint64(t.data_ptr() + offset * t.itemsize)


def _lay(out: Tensor, inputs: Sequence[Tensor | None]) -> tuple[list[Tensor | None], list[geometry.Launch]]:
    """Launches over an output and its inputs (None: a number); inputs too scattered for one are copied first."""

    def plan(given: Sequence[Tensor | None]) -> list[geometry.Launch]:
        number = Operand(1, (0,) * out.dim())
        laid = [number if t is None else operand(t, out.shape) for t in given]
        return geometry.elementwise(out.shape, [operand(out, out.shape), *laid])

    try:
        return list(inputs), plan(inputs)
    except GeometryError:
        dense = [None if t is None else _dense(t, out.shape) for t in inputs]
        return dense, plan(dense)


def _dense(t: Tensor, shape: Sequence[int]) -> Tensor:
    return _core.expand(t, tuple(shape)).contiguous() if t.numel() > 1 else t


def cast(cuda: Cuda, t: Tensor, kind: dtype) -> Tensor:
    """A contiguous tensor in another type."""
    out = cuda.empty(t.shape, kind)
    assign(cuda, out, t)
    return out


def as_type(cuda: Cuda, t: Tensor, kind: dtype) -> Tensor:
    """The tensor itself if it is of a type, else its `cast`."""
    return t if t.dtype == kind else cast(cuda, t, kind)


def wide_type(kind: dtype) -> dtype:
    """What a type is computed in: float32 for 16-bit floats, else itself."""
    return _core.float32 if kind.name in _HALVES else kind


def widened(op: Callable[..., Any]) -> Callable[..., Any]:
    """An op made of other ops, with 16-bit floats in float32 from its inputs to its results, which are rounded once."""

    def run(cuda: Cuda, *arguments: Any) -> Any:
        kind = next((a.dtype for a in arguments if isinstance(a, Tensor) and a.dtype.name in _HALVES), None)
        if kind is None:
            return op(cuda, *arguments)
        made = op(cuda, *(as_type(cuda, a, wide_type(a.dtype)) if isinstance(a, Tensor) else a for a in arguments))
        if isinstance(made, Tensor):
            return as_type(cuda, made, kind)
        return tuple(as_type(cuda, t, kind) for t in made)

    return run


def assign(cuda: Cuda, t: Tensor, value: Given) -> None:
    """Overwrites t with a value that broadcasts to its shape, in t's type."""
    if isinstance(value, Tensor) and value._device[0] == "cpu":
        value = cuda.to_device(value, t._device[1])
    if t.numel() == 0:
        return
    if not isinstance(value, Tensor):
        fill(cuda, t, value)
        return
    if _overlap(t, value):
        value = cast(cuda, value, value.dtype)
    if value.dtype == t.dtype:
        symbol = f"copy_{word(t)}_{word(t)}"
    elif value.dtype.is_complex or t.dtype.is_complex:
        _assign_parts(cuda, t, value)
        return
    else:
        symbol = f"cast_{KINDS[value.dtype.name]}_{KINDS[t.dtype.name]}"
        if symbol not in cuda.kernels:  # small integers go through int64
            assign(cuda, t, cast(cuda, value, _core.int64))
            return
    (laid,), launches = _lay(t, [value])
    assert laid is not None
    for launch in launches:
        cuda.launch(symbol, launch, _at(laid, launch.offsets[1]), _at(t, launch.offsets[0]), launch.plan)


def _assign_parts(cuda: Cuda, t: Tensor, value: Tensor) -> None:
    """Complex numbers as pairs of real ones; a real number has no imaginary part, and where none fits it is dropped."""
    parts = _core.view_as_real(value) if value.dtype.is_complex else None
    if not t.dtype.is_complex:
        assert parts is not None
        assign(cuda, t, _core.select(parts, -1, 0))
        return
    pairs = _core.view_as_real(t)
    if parts is not None:
        assign(cuda, pairs, parts)
        return
    assign(cuda, _core.select(pairs, -1, 0), value)
    fill(cuda, _core.select(pairs, -1, 1), 0)


def word(t: Tensor) -> str:
    """How kernels that do no arithmetic name a tensor's elements: by their size."""
    return f"u{8 * t.itemsize}"


def _overlap(t: Tensor, value: Tensor) -> bool:
    """Whether writing t could change what is still to be read of value."""
    if t.data_ptr() == value.data_ptr() and t.shape == value.shape and t.stride() == value.stride():
        return t.dtype != value.dtype
    first, second = _reach(t), _reach(value)
    return first[0] < second[1] and second[0] < first[1]


def _reach(t: Tensor) -> tuple[int, int]:
    steps = [(n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True)]
    start = t.data_ptr() + sum(s for s in steps if s < 0) * t.itemsize
    return start, t.data_ptr() + (sum(s for s in steps if s > 0) + 1) * t.itemsize


def fill(cuda: Cuda, t: Tensor, value: complex) -> None:
    """Writes one value everywhere."""
    if t.numel() == 0:
        return
    if t.dtype.is_complex:
        pairs, whole = _core.view_as_real(t), complex(value)
        fill(cuda, _core.select(pairs, -1, 0), whole.real)
        fill(cuda, _core.select(pairs, -1, 1), whole.imag)
        return
    bits = np.uint64(_bits(value, t.dtype))
    for launch in geometry.elementwise(t.shape, [operand(t, t.shape)]):
        cuda.launch(f"fill_{word(t)}_{word(t)}", launch, bits, _at(t, launch.offsets[0]), launch.plan)


def _bits(value: Any, kind: dtype) -> int:
    """The value's bytes in a type, as one number."""
    if kind.name == "bfloat16":
        (bits,) = np.array([value], np.float32).view(np.uint32)
        return 0x7FC0 if value != value else int((int(bits) + 0x7FFF + ((int(bits) >> 16) & 1)) >> 16)
    number = np.array([value]).astype(kind.name)
    return int(number.view(f"u{kind.itemsize}")[0])


def _compute_type(op: str, operands: Sequence[Given]) -> dtype:
    kind = _core.result_type(*operands)
    return _core.get_default_dtype() if op in FLOATING and not kind.is_floating_point and not kind.is_complex else kind


def _prepared(cuda: Cuda, operand: Given, kind: dtype) -> Given:
    """An operand in the type that is computed in; a number, also one that a 0-d tensor of the CPU holds, as it is."""
    if not isinstance(operand, Tensor):
        return operand
    if operand._device[0] == "cpu":
        number: float = operand.item()
        return number
    return as_type(cuda, operand, kind)


def _computing(cuda: Cuda, op: str, kind: dtype, truth: bool) -> tuple[str, dtype] | None:
    """The kernel for an op, and the type that it computes in: the tensors' own, or the next wider that one is for."""
    whole = not kind.is_floating_point
    for wider in (kind, _core.int64 if whole else wide_type(kind)):
        held = KINDS[wider.name]
        symbol = f"{_KERNEL_NAMES.get(op, op)}_{held}_{'boolean' if truth else held}"
        if symbol in cuda.kernels:
            return symbol, wider
    return None


def run(cuda: Cuda, op: str, arity: int, arguments: Sequence[Any]) -> Tensor:
    """Any element-wise op: operands first, then numbers."""
    operands, numbers = list(arguments[:arity]), arguments[arity:]
    if op == "where":
        return _where(cuda, *operands)
    kind = _compute_type(op, operands)
    if kind.is_complex:
        return _complex(cuda, op, [_prepared(cuda, x, kind) for x in operands], numbers, kind)
    if kind.name == "bool":
        if op in ("sub", "neg"):
            raise DTypeError(f"{op} is not supported for bool; use logical_not or bitwise_xor")
        op = _OF_BOOLS.get(op, op)
    if not kind.is_floating_point and op in _WHOLE:
        made: Tensor = _WHOLE[op](cuda, *operands)
        return made
    if op == "logical_not":
        return _core.eq(operands[0], 0)
    if op in _LOGICAL:
        kind = _core.bool
        operands = [_truth(cuda, x) for x in operands]
    if op in ("add", "sub") and numbers[0] != 1:
        return _add_scaled(cuda, operands, kind, numbers[0] if op == "add" else -numbers[0])
    return compute(cuda, op, operands, kind, () if op in ("add", "sub") else numbers)


def compute(cuda: Cuda, op: str, operands: Sequence[Given], kind: dtype, numbers: Sequence[float] = ()) -> Tensor:
    """An op by a kernel of its name, over operands that broadcast, with a result of a type unless it is a bool."""
    truth = op in BOOLEAN and op not in _LOGICAL
    found = _computing(cuda, op, kind, truth)
    if found is None:
        raise DTypeError(f"{op} has no kernel for {kind.name}; use .to(dtype)")
    symbol, wider = found
    ready = [_prepared(cuda, x, wider) for x in operands]
    if not any(isinstance(x, Tensor) for x in ready):
        raise ShapeError(f"{op}: no operand is on the GPU")
    shape = broadcast(*(x.shape if isinstance(x, Tensor) else () for x in ready))
    out = cuda.empty(shape, _core.bool if truth else wider)
    if out.numel():
        _through_kernel(cuda, symbol, out, ready, [*numbers, 0, 0][:2] if op in _SHAPED else ())
    return out if truth else as_type(cuda, out, kind)


def _truth(cuda: Cuda, operand: Given) -> Given:
    return operand if isinstance(operand, Tensor) else bool(operand)


def _add_scaled(cuda: Cuda, operands: Sequence[Given], kind: dtype, alpha: float) -> Tensor:
    if kind.is_floating_point:
        return compute(cuda, "add_scaled", [*operands, alpha], kind)
    return compute(cuda, "add", [operands[0], compute(cuda, "mul", [operands[1], int(alpha)], kind)], kind)


def _where(cuda: Cuda, condition: Given, x: Given, y: Given) -> Tensor:
    kind = _core.result_type(x, y)
    if not isinstance(condition, Tensor) or (condition._device[0] == "cpu" and condition.dim() == 0):
        chosen = x if condition else y
        out = cuda.empty(broadcast(*(t.shape for t in (x, y) if isinstance(t, Tensor))), kind)
        assign(cuda, out, chosen)
        return out
    if kind.is_complex:
        return _complex(cuda, "where", [condition, *(_prepared(cuda, t, kind) for t in (x, y))], (), kind)
    wider = kind if kind.is_floating_point else _core.int64
    ready = [as_type(cuda, condition, _core.bool), *(_prepared(cuda, t, wider) for t in (x, y))]
    out = cuda.empty(broadcast(*(t.shape if isinstance(t, Tensor) else () for t in ready)), wider)
    if out.numel():
        _through_kernel(cuda, f"where_{KINDS[wider.name]}_{KINDS[wider.name]}", out, ready, ())
    return as_type(cuda, out, kind)


def _through_kernel(cuda: Cuda, symbol: str, out: Tensor, operands: Sequence[Given], numbers: Sequence[float]) -> None:
    scalar = _SCALARS.get(symbol.split("_")[-2], np.float32)
    masked = symbol.startswith("where")
    tensors, launches = _lay(out, [x if isinstance(x, Tensor) else None for x in operands])
    for launch in launches:
        given: list[Any] = []
        for i, (t, operand) in enumerate(zip(tensors, operands, strict=True)):
            given.append(None if t is None else _at(t, launch.offsets[i + 1]))
            if len(operands) > 1 and not (masked and i == 0):
                given.append(scalar(0 if isinstance(operand, Tensor) else operand))
        given += map(scalar, numbers)
        cuda.launch(symbol, launch, *given, _at(out, launch.offsets[0]), launch.plan)


def _complex(cuda: Cuda, op: str, operands: Sequence[Given], numbers: Sequence[float], kind: dtype) -> Tensor:
    result = _core.bool if op in BOOLEAN else real_dtype(kind) if op in REAL else kind
    shape = broadcast(*(x.shape if isinstance(x, Tensor) else () for x in operands))
    return through_arrays(cuda, op, operands, numbers, shape, kind, result)


def _answer(value: bool) -> Callable[..., Tensor]:
    def run(cuda: Cuda, t: Tensor) -> Tensor:
        out = cuda.empty(t.shape, _core.bool)
        fill(cuda, out, value)
        return out

    return run


# Of integers and bools, what needs no kernel of its own.
_WHOLE: dict[str, Callable[..., Tensor]] = {
    **dict.fromkeys(_ROUNDING, lambda cuda, t: cast(cuda, t, t.dtype)),
    "isnan": _answer(False), "isinf": _answer(False), "isfinite": _answer(True),
    "relu": lambda cuda, t: _core.maximum(t, False if t.dtype == _core.bool else 0),
    "relu_backward": lambda cuda, grad, y: _core.mul(grad, _core.gt(y, 0)),
}  # fmt: skip
_UNARY = (
    "neg", "abs", "sign", "square", "relu", "silu", "gelu_erf", "gelu_slope", "gelu_tanh", "softplus", "leaky_relu",
    "elu", "reciprocal", "sqrt", "rsqrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "tanh", "erf", "erfc", "erfinv", "lgamma", "digamma",
    "polygamma_of", "sigmoid", "floor", "ceil", "round", "trunc", "logical_not", "isnan",
    "isinf", "isfinite", "bitwise_not", "conj_physical", "complex_sgn", "complex_angle",
)  # fmt: skip
_BINARY = (
    "add", "sub", "mul", "div", "pow", "maximum", "minimum", "floor_divide", "remainder", "atan2", "relu_backward",
    "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or",
    "bitwise_xor", "hypot", "fmod",
)  # fmt: skip


def _op(name: str, arity: int) -> Callable[..., Tensor]:
    return lambda cuda, *arguments: run(cuda, name, arity, arguments)


OPS: dict[str, Callable[..., Any]] = {
    **{name: _op(name, 1) for name in _UNARY}, **{name: _op(name, 2) for name in _BINARY},
    "where": _op("where", 3), "lerp": _op("lerp", 3),
}  # fmt: skip
