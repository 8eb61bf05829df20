"""Layers, optimisers and data loading beside PyTorch's: `python benchmarks/training.py`. Ratios within this run.

Forward and backward, and steps, are on one thread; loading is by two worker processes, the whole pass with their start.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from ops import best, torch

import wootz
import wootz.data

__all__ = ["main"]

IMAGE = (3, 64, 64)


class Images:
    """Large samples that cost nothing: what is timed is bringing them over."""

    def __len__(self) -> int:
        return 2048

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.full(IMAGE, index, np.float32), index


def loading(library: Any) -> float:
    """Seconds for a pass in batches of 64."""
    loader = library.DataLoader(Images(), 64, num_workers=2, persistent_workers=True)
    list(loader)  # starts the workers
    start = time.perf_counter()
    for images, _ in loader:
        assert images.shape[1:] == IMAGE
    return time.perf_counter() - start


def layer(library: Any, name: str) -> float:
    """Seconds for forward and backward."""
    nn = library.nn
    made = {
        "LSTM 64-128, 2 layers, 50 steps": lambda: (nn.LSTM(64, 128, 2), library.randn(50, 32, 64)),
        "GRU 64-128, both directions": lambda: (nn.GRU(64, 128, bidirectional=True), library.randn(50, 32, 64)),
        "encoder layer 128, 4 heads, 64 steps": lambda: (
            nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True), library.randn(8, 64, 128),
        ),
    }  # fmt: skip
    module, x = made[name]()

    def run() -> None:
        module.zero_grad()
        out = module(x)
        (out[0] if isinstance(out, tuple) else out).sum().backward()

    return best(run)


def steps(library: Any, name: str, **options: Any) -> float:
    """Seconds for a step on some 500,000 parameters."""
    params = [library.nn.Parameter(library.randn(*shape)) for shape in [(512, 512), (512,), (256, 1024), (10, 256)]]
    for p in params:
        p.grad = library.randn(*p.shape)
    return best(getattr(library.optim, name)(params, **options).step)


LAYERS = ["LSTM 64-128, 2 layers, 50 steps", "GRU 64-128, both directions", "encoder layer 128, 4 heads, 64 steps"]
OPTIMISERS = ["SGD", "AdamW", "RMSprop", "Adagrad", "NAdam", "Adafactor"]


def row(name: str, ours: float, theirs: float | None) -> None:
    print(f"{name:42}{ours * 1e3:10.2f} ms" + (f"{theirs / ours:9.2f}x" if theirs else f"{'-':>10}"))


def main() -> None:
    wootz.set_num_threads(1)
    t = torch()
    print(f"{'':42}{'wootz':>10}   {'PyTorch':>10}")
    for name in LAYERS:
        row(name, layer(wootz, name), layer(t, name) if t else None)
    for name in OPTIMISERS:
        row(f"{name} step", steps(wootz, name), steps(t, name) if t else None)
    row("2048 images of 48 kB, 2 workers", loading(wootz.data), loading(t.utils.data) if t else None)


if __name__ == "__main__":
    main()
