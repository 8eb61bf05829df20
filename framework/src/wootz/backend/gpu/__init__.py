"""The op table on CUDA: each op as a launch of the project's kernels, a cuBLAS call, or made of other ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.backend.cuda import Cuda
from wootz.backend.gpu import (
    attention,
    convolution,
    counting,
    functions,
    indexing,
    lines,
    matrices,
    movement,
    normalization,
    optim,
    pointwise,
    pooling,
    random,
    reduction,
    rows,
)  # fmt: skip
from wootz.errors import BackendError

__all__ = ["OPS", "array_op", "create", "run"]

_FAMILIES = (
    pointwise, reduction, rows, movement, matrices, indexing, optim, convolution, pooling, normalization, attention,
    lines, counting, random,
)  # fmt: skip
array_op = functions.array_op
OPS: dict[str, Callable[..., Any]] = {name: op for family in _FAMILIES for name, op in family.OPS.items()}


def run(cuda: Cuda, op: str, arguments: Sequence[Any]) -> Any:
    """Runs an op where its first tensor on a GPU is; what it needs of the host's values it takes as numbers."""
    function = OPS.get(op)
    if function is None:
        raise BackendError(f"{op} has no CUDA implementation; move its inputs with .cpu()")
    recording = _core.set_grad_enabled(False)
    try:
        with cuda.on(_device(arguments)):
            return function(cuda, *arguments)
    except cuda.errors as error:
        cuda.translate(error)
    finally:
        _core.set_grad_enabled(recording)


def create(cuda: Cuda, maker: str, index: int | None, arguments: Sequence[Any]) -> Tensor:
    """A new tensor on a GPU: ``full`` or one of the random ones."""
    try:
        with cuda.on(index):
            made: Tensor = random.MAKERS[maker](cuda, *arguments)
            return made
    except cuda.errors as error:
        cuda.translate(error)


def _device(arguments: Sequence[Any]) -> int | None:
    for argument in arguments:
        for t in argument if isinstance(argument, tuple) else (argument,):
            if isinstance(t, Tensor) and t._device[0] == "cuda":
                return t._device[1]
    return None
