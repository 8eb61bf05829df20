"""Optimiser steps over any number of tensors in one launch a type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import numpy as np

from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.errors import DTypeError

__all__ = ["OPS"]


def _step(
    cuda: Cuda, name: str, rules: dict[str, np.dtype[np.void]], fields: dict[str, Any], params: Sequence[Tensor],
    grads: Sequence[Tensor], states: Sequence[Sequence[Tensor]],
) -> None:  # fmt: skip
    by_kind: dict[str, list[int]] = {}
    for i, p in enumerate(params):
        kind = KINDS.get(p.dtype.name, "")
        if kind not in ("f32", "f64", "f16", "bf16"):
            raise DTypeError(f"{name}: expected a floating point tensor, got {p.dtype.name}")
        if p.numel():
            by_kind.setdefault(kind, []).append(i)
    for kind, which in by_kind.items():
        launch, firsts = geometry.slots([params[i].numel() for i in which])
        table = np.zeros(len(which), geometry.SLOT)
        for row, i in enumerate(which):
            addresses = [s[i].data_ptr() for s in states] + [0] * (3 - len(states))
            table[row] = (params[i].data_ptr(), grads[i].data_ptr(), addresses, params[i].numel(), firsts[row])
        rule = np.zeros((), rules["f8" if kind == "f64" else "f4"])
        for field, value in fields.items():
            rule[field] = value
        slots = cuda.upload(table.view(np.uint8))
        cuda.launch(f"{name}_{kind}_{kind}", launch, slots, np.int32(len(which)), rule)


def _live(cuda: Cuda, count: int) -> int:
    """The address of the numbers that a graph reads anew at each replay; 0 where there is none."""
    held = cuda.live(count)
    return 0 if held is None else held.data_ptr()


def _sgd(
    cuda: Cuda, params: Sequence[Tensor], grads: Sequence[Tensor], buffers: Sequence[Tensor], rate: float,
    momentum: float, dampening: float, decay: float, nesterov: bool, maximize: bool, first: bool,
) -> None:  # fmt: skip
    fields = {
        "rate": rate, "momentum": momentum, "dampening": dampening, "decay": decay, "nesterov": nesterov,
        "maximize": maximize, "first": first, "live": _live(cuda, 1),
    }  # fmt: skip
    _step(cuda, "sgd", geometry.SGD_RULE, fields, params, grads, [buffers] if buffers else [])


def _adam(
    cuda: Cuda, params: Sequence[Tensor], grads: Sequence[Tensor], means: Sequence[Tensor], squares: Sequence[Tensor],
    maxima: Sequence[Tensor], rate: float, beta1: float, beta2: float, eps: float, decay: float, correction1: float,
    correction2: float, decoupled: bool, maximize: bool
) -> None:  # fmt: skip
    fields = {
        "rate": rate, "beta1": beta1, "beta2": beta2, "eps": eps, "decay": decay, "correction1": correction1,
        "correction2_root": sqrt(correction2), "decoupled": decoupled, "maximize": maximize,
        "live": _live(cuda, 3),
    }  # fmt: skip
    _step(cuda, "adam", geometry.ADAM_RULE, fields, params, grads, [means, squares, *([maxima] if maxima else [])])


OPS: dict[str, Callable[..., Any]] = {"sgd_step": _sgd, "adamw_step": _adam}
