"""All parameters of a model as one vector."""

from __future__ import annotations

from collections.abc import Iterable

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters behind each other; has a derivative."""
    return wootz.cat([parameter.reshape((-1,)) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies the pieces of a vector into parameters. Raises `ShapeError`, before anything is changed, if it is not as
    long as they are together.
    """
    held = list(parameters)
    size = sum(parameter.numel() for parameter in held)
    if vec.shape != (size,):
        raise ShapeError(f"a vector of {size} elements is needed, not a tensor of shape {tuple(vec.shape)}")
    pieces = vec.detach().split([parameter.numel() for parameter in held])
    for parameter, piece in zip(held, pieces, strict=True):
        parameter.detach().copy_(piece.reshape(parameter.shape))
