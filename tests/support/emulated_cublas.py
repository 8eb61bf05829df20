"""The emulated GPU's cuBLAS: the one function that the backend calls, with its checks, over NumPy."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["cublas"]

_TYPES = {0: "f4", 1: "f8", 2: "f2", 14: "u2"}


def cublas(cupy: Any) -> Any:
    """`cupy.cuda.cublas` over an emulated device."""

    def gemm(
        handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, a: int, a_type: int, lda: int,
        a_step: int, b: int, b_type: int, ldb: int, b_step: int, beta: int, c: int, c_type: int, ldc: int, c_step: int,
        batch: int, compute: int, algorithm: int,
    ) -> None:  # fmt: skip
        assert lda >= max(1, k if transa else m) and ldb >= max(1, n if transb else k) and ldc >= max(1, m)
        number = np.float64 if compute == 70 else np.float32
        factors = [float(np.frombuffer((ctypes.c_char * 8).from_address(p), number, 1)[0]) for p in (alpha, beta)]

        def columns(address: int, kind: int, rows: int, count: int, leading: int, step: int) -> Any:
            """A stack of column-major matrices: [batch, rows, count]."""
            cupy.region.check(cupy.device, address, "gemm")
            item = np.dtype(_TYPES[kind]).itemsize
            reach = ((batch - 1) * step + (count - 1) * leading + rows) * item
            cupy.region.check(cupy.device, address + reach - 1, "gemm")
            raw = (ctypes.c_char * reach).from_address(address)
            return np.ndarray((batch, rows, count), _TYPES[kind], raw, 0, (step * item, item, leading * item))

        def work() -> None:
            with cupy.region.open():
                left = columns(a, a_type, *((k, m) if transa else (m, k)), lda, a_step)
                right = columns(b, b_type, *((n, k) if transb else (k, n)), ldb, b_step)
                x, y = _wide(left, a_type).astype(number), _wide(right, b_type).astype(number)
                product = (x.swapaxes(1, 2) if transa else x) @ (y.swapaxes(1, 2) if transb else y)
                out = columns(c, c_type, m, n, ldc, c_step)
                kept = factors[1] * _wide(out, c_type).astype(number) if factors[1] else 0
                _store(out, c_type, factors[0] * product + kept)

        cupy.queue(work)

    return SimpleNamespace(gemmStridedBatchedEx=gemm)


def _wide(array: Any, kind: int) -> Any:
    return (array.astype("u4") << 16).view("f4") if kind == 14 else array


def _store(out: Any, kind: int, values: Any) -> None:
    if kind != 14:
        out[...] = values
        return
    bits = np.ascontiguousarray(values, "f4").view("u4")
    out[...] = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
