"""Element-wise ops: one launch of the project's own kernel where the binary holds it, else CuPy's array functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.geometry import GeometryError, Operand
from wootz.dtypes import dtype, real_dtype
from wootz.errors import DTypeError, ShapeError

__all__ = [
    "BOOLEAN", "FLOATING", "FUNCTIONS", "OPS", "REAL", "as_type", "assign", "broadcast", "cast", "fill", "wide_type",
    "widened",
]  # fmt: skip

# What the op table says of each op's result: of a floating type, or a bool; the others keep their inputs' type.
REAL = frozenset(("abs", "complex_angle"))  # of complex numbers
FLOATING = frozenset((
    "silu", "gelu_erf", "gelu_slope", "gelu_tanh", "softplus", "leaky_relu", "elu", "div", "atan2", "lerp",
    "reciprocal", "sqrt", "rsqrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "tanh", "erf", "sigmoid",
))  # fmt: skip
BOOLEAN = frozenset((
    "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "logical_not", "isnan", "isinf",
    "isfinite",
))  # fmt: skip
_KERNEL_NAMES = {"gelu_erf": "gelu"}
_BINARY = frozenset((
    "add", "sub", "mul", "div", "pow", "maximum", "minimum", "relu_backward", "eq", "ne", "lt", "le", "gt", "ge",
))  # fmt: skip
_HALVES = frozenset(("float16", "bfloat16"))
_WIDE: dict[str, Any] = {"f64": np.float64, "i64": np.int64}  # the others compute in float32

Given = Tensor | float | int | bool


def _logistic(xp: Any, x: Any) -> Any:
    return 1 / (1 + xp.exp(-x))


def _cdf(cuda: Cuda, x: Any) -> Any:
    return 0.5 * (1 + cuda.special.erf(x * 0.7071067811865476))


def _density(xp: Any, x: Any) -> Any:
    return 0.3989422804014327 * xp.exp(-0.5 * x * x)


def _gelu_tanh(xp: Any, x: Any) -> Any:
    return 0.5 * x * (1 + xp.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def _softplus(xp: Any, x: Any, beta: float, threshold: float) -> Any:
    return xp.where(x * beta > threshold, x, xp.log1p(xp.exp(xp.minimum(x * beta, threshold))) / beta)


def _scaled(y: Any, alpha: float) -> Any:
    if alpha == 1:
        return y
    return y * (alpha if np.dtype(y.dtype).kind in "fc" else int(alpha))


# The op over arrays of one type (cuda, array module, operands, numbers): what runs for types that no kernel is for.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda _, xp, x, y, alpha: xp.add(x, _scaled(y, alpha)),
    "sub": lambda _, xp, x, y, alpha: xp.subtract(x, _scaled(y, alpha)),
    "relu": lambda _, xp, x: xp.maximum(x, np.dtype(x.dtype).type(0)),
    "relu_backward": lambda _, xp, g, y: xp.where(y > 0, g, np.dtype(g.dtype).type(0)),
    "silu": lambda _, xp, x: x * _logistic(xp, x),
    "sigmoid": lambda _, xp, x: _logistic(xp, x),
    "gelu_erf": lambda cuda, _, x: x * _cdf(cuda, x),
    "gelu_slope": lambda cuda, xp, x: _cdf(cuda, x) + x * _density(xp, x),
    "gelu_tanh": lambda _, xp, x: _gelu_tanh(xp, x),
    "softplus": lambda _, xp, x, beta, threshold: _softplus(xp, x, beta, threshold),
    "leaky_relu": lambda _, xp, x, slope: xp.where(x > 0, x, x * slope),
    "elu": lambda _, xp, x, alpha: xp.where(x > 0, x, alpha * xp.expm1(x)),
    "rsqrt": lambda _, xp, x: 1 / xp.sqrt(x),
    "reciprocal": lambda _, xp, x: 1 / x,
    "square": lambda _, xp, x: x * x,
    "erf": lambda cuda, _, x: cuda.special.erf(x),
    "round": lambda _, xp, x: xp.rint(x),
    "lerp": lambda _, xp, x, end, weight: x + weight * (end - x),
    "where": lambda _, xp, condition, x, y: xp.where(condition, x, y),
    "complex_sgn": lambda _, xp, x: xp.where(x == 0, x, x / xp.where(x == 0, np.dtype(x.dtype).type(1), xp.abs(x))),
}
_SAME_NAME = (
    "floor_divide", "remainder", "maximum", "minimum", "abs", "sign", "sqrt", "exp", "expm1", "log", "log2", "log10",
    "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil", "trunc", "logical_and", "logical_or",
    "logical_xor", "logical_not", "isnan", "isinf", "isfinite", "bitwise_and", "bitwise_or", "bitwise_xor",
)  # fmt: skip
# Those that have the array module's own name, or another one there.
_NAMES = {
    "neg": "negative", "mul": "multiply", "div": "true_divide", "pow": "power", "asin": "arcsin", "acos": "arccos",
    "atan": "arctan", "atan2": "arctan2", "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
    "conj_physical": "conj", "complex_angle": "angle", "gt": "greater", "ge": "greater_equal", "bitwise_not": "invert",
    **{name: name for name in _SAME_NAME},
}  # fmt: skip


def _named(name: str) -> Callable[..., Any]:
    return lambda _, xp, *operands: getattr(xp, name)(*operands)


FUNCTIONS |= {op: _named(name) for op, name in _NAMES.items()}


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The common shape, by NumPy's rule; raises `ShapeError`."""
    try:
        return np.broadcast_shapes(*map(tuple, shapes))
    except ValueError as error:
        raise ShapeError(f"shapes {', '.join(str(list(s)) for s in shapes)} do not broadcast") from error


def _strides(t: Tensor, shape: Sequence[int]) -> tuple[int, ...]:
    own = tuple(0 if n == 1 else s for n, s in zip(t.shape, t.stride(), strict=True))
    return (0,) * (len(shape) - len(own)) + own


def _operand(t: Tensor, shape: Sequence[int]) -> Operand:
    return Operand(t.itemsize, _strides(t, shape), t.data_ptr())


def _at(t: Tensor, offset: int) -> np.uint64:
    return np.uint64(t.data_ptr() + offset * t.itemsize)


def _lay(out: Tensor, inputs: Sequence[Tensor | None]) -> tuple[list[Tensor | None], list[geometry.Launch]]:
    """Launches over an output and its inputs (None: a number); inputs too scattered for one are copied first."""

    def plan(given: Sequence[Tensor | None]) -> list[geometry.Launch]:
        number = Operand(1, (0,) * out.dim())
        laid = [number if t is None else _operand(t, out.shape) for t in given]
        return geometry.elementwise(out.shape, [_operand(out, out.shape), *laid])

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
    source, target = KINDS.get(value.dtype.name), KINDS.get(t.dtype.name)
    if value.dtype == t.dtype and source is None:
        source = target = {2: "f16", 4: "i32", 8: "i64", 1: "u8"}.get(t.itemsize)
    if source is None or target is None or (source == "f16" and value.dtype.name == "int16"):
        if "bfloat16" in (value.dtype.name, t.dtype.name):  # which array modules do not have
            value = cast(cuda, value, _core.float32)
            if t.dtype.name == "bfloat16":
                assign(cuda, t, value)
                return
        array, given = cuda.array(t), cuda.array(value)
        array[...] = given.astype(array.dtype) if given.dtype != array.dtype else given
        return
    (laid,), launches = _lay(t, [value])
    assert laid is not None
    for launch in launches:
        arguments = _at(laid, launch.offsets[1]), _at(t, launch.offsets[0])
        cuda.launch(f"cast_{source}_{target}", launch, *arguments, launch.plan)


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


def fill(cuda: Cuda, t: Tensor, value: float) -> None:
    """Writes one value everywhere."""
    if t.numel() == 0:
        return
    bits = _bits(value, t.dtype)
    if bits is None:
        cuda.array(t)[...] = value
        return
    for launch in geometry.elementwise(t.shape, [_operand(t, t.shape)]):
        word = f"u{8 * t.itemsize}"
        cuda.launch(f"fill_{word}_{word}", launch, np.uint64(bits), _at(t, launch.offsets[0]), launch.plan)


def _bits(value: float, kind: dtype) -> int | None:
    """The value's bytes in a type, as one number; None for a type that no fill kernel is for."""
    if kind.itemsize > 8:
        return None
    if kind.name == "bfloat16":
        (word,) = np.array([value], np.float32).view(np.uint32)
        return 0x7FC0 if value != value else int((int(word) + 0x7FFF + ((int(word) >> 16) & 1)) >> 16)
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
    return operand if operand.dtype == kind else cast(cuda, operand, kind)


def _symbol(cuda: Cuda, op: str, kind: dtype, result: dtype, numbers: Sequence[float]) -> str | None:
    """The kernel for this op and these types, if the binary holds it and it takes no numbers besides."""
    held = f"{_KERNEL_NAMES.get(op, op)}_{KINDS.get(kind.name)}_{KINDS.get(result.name)}"
    plain = not numbers or (op in ("add", "sub") and numbers[0] == 1)
    return held if plain and kind.name in KINDS and held in cuda.kernels else None


def run(cuda: Cuda, op: str, arity: int, arguments: Sequence[Any]) -> Tensor:
    """Any element-wise op: operands first, then numbers."""
    operands, numbers = list(arguments[:arity]), arguments[arity:]
    masked = op == "where"
    kind = _compute_type(op, operands[1:] if masked else operands)
    if masked:
        operands = [_prepared(cuda, operands[0], _core.bool), *(_prepared(cuda, x, kind) for x in operands[1:])]
    else:
        operands = [_prepared(cuda, x, kind) for x in operands]
    shape = broadcast(*(x.shape if isinstance(x, Tensor) else () for x in operands))
    result = _core.bool if op in BOOLEAN else real_dtype(kind) if op in REAL else kind
    symbol = _symbol(cuda, op, kind, result, numbers)
    if symbol is None or (masked and not isinstance(operands[0], Tensor)):
        return _through_arrays(cuda, op, operands, numbers, kind, result, shape)
    out = cuda.empty(shape, result)
    if out.numel():
        _through_kernel(cuda, symbol, out, operands, by_value=op in _BINARY or masked)
    return out


def _through_kernel(cuda: Cuda, symbol: str, out: Tensor, operands: list[Given], by_value: bool) -> None:
    scalar = _WIDE.get(symbol.split("_")[-2], np.float32)
    tensors, launches = _lay(out, [x if isinstance(x, Tensor) else None for x in operands])
    for launch in launches:
        given: list[Any] = []
        for i, (t, operand) in enumerate(zip(tensors, operands, strict=True)):
            given.append(None if t is None else _at(t, launch.offsets[i + 1]))
            if by_value and not (i == 0 and symbol.startswith("where")):
                given.append(scalar(0 if isinstance(operand, Tensor) else operand))
        cuda.launch(symbol, launch, *given, _at(out, launch.offsets[0]), launch.plan)


def _through_arrays(
    cuda: Cuda, op: str, operands: list[Given], numbers: Sequence[float], kind: dtype, result: dtype,
    shape: Sequence[int],
) -> Tensor:  # fmt: skip
    narrow, name = kind.name in _HALVES, wide_type(kind).name
    if kind.name == "bool" and op in ("sub", "neg"):
        raise DTypeError(f"{op} is not supported for bool; use logical_not or bitwise_xor")

    def given(operand: Given) -> Any:
        if not isinstance(operand, Tensor):
            return np.dtype(name).type(operand)
        return cuda.array(as_type(cuda, operand, wide_type(operand.dtype)))

    if all(not isinstance(x, Tensor) for x in operands):
        raise ShapeError(f"{op}: no operand is on the GPU")
    made = FUNCTIONS[op](cuda, cuda.cupy, *map(given, operands), *numbers)
    array = made.astype("float32" if narrow and op not in BOOLEAN else result.name, copy=False)
    if tuple(array.shape) != tuple(shape):
        array = cuda.cupy.broadcast_to(array, tuple(shape))
    out = cuda.tensor(array)
    return cast(cuda, out, result) if narrow and op not in BOOLEAN else out


def _op(name: str, arity: int) -> Callable[..., Tensor]:
    return lambda cuda, *arguments: run(cuda, name, arity, arguments)


_BINARY_FUNCTIONS = _BINARY | frozenset((
    "floor_divide", "remainder", "atan2", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or",
    "bitwise_xor",
))  # fmt: skip
OPS: dict[str, Callable[..., Any]] = {
    name: _op(name, 3 if name in ("where", "lerp") else 2 if name in _BINARY_FUNCTIONS else 1) for name in FUNCTIONS
}
