"""Times convolution, pooling, normalisation and attention beside PyTorch: `python benchmarks/layers.py [FILTER]`.

Forward alone, and forward with backward, on one thread (processor time, so that a busy machine tells the same) and on
all (the wall's); both libraries run in this process in turns, and each figure is the best of several rounds. A ratio
says how many times as long PyTorch takes. Without PyTorch the times alone are printed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ops import best, torch

import wootz
from wootz.nn import functional

__all__ = ["CASES", "main"]


@dataclass
class Case:
    """A call of a library's nn.functional on arrays of the given shapes."""

    name: str
    call: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]

    def actions(self, lib: Any, f: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """Forward, and forward with backward."""
        random = np.random.default_rng(0)
        inputs = [lib.tensor(random.standard_normal(s).astype(np.float32), requires_grad=True) for s in self.shapes]
        ones = lib.ones_like(self.call(f, *inputs))

        def both() -> None:
            for x in inputs:
                x.grad = None
            self.call(f, *inputs).backward(ones)

        return lambda: self.call(f, *inputs), both


CASES = [
    Case("conv2d 3x3, 8 x 64 x 56 x 56", lambda f, x, w: f.conv2d(x, w, padding=1), ((8, 64, 56, 56), (64, 64, 3, 3))),
    Case("conv2d 3x3, 8 x 256 x 14 x 14", lambda f, x, w: f.conv2d(x, w, padding=1),
         ((8, 256, 14, 14), (256, 256, 3, 3))),
    Case("conv2d 3x3, 8 x 512 x 7 x 7", lambda f, x, w: f.conv2d(x, w, padding=1), ((8, 512, 7, 7), (512, 512, 3, 3))),
    Case("conv2d 3x3 stride 2, 8 x 128 x 28 x 28", lambda f, x, w: f.conv2d(x, w, stride=2, padding=1),
         ((8, 128, 28, 28), (128, 128, 3, 3))),
    Case("conv2d 1x1, 8 x 64 x 56 x 56", lambda f, x, w: f.conv2d(x, w), ((8, 64, 56, 56), (256, 64, 1, 1))),
    Case("conv2d 7x7 stride 2, 4 x 3 x 224 x 224", lambda f, x, w: f.conv2d(x, w, stride=2, padding=3),
         ((4, 3, 224, 224), (64, 3, 7, 7))),
    Case("conv2d depth-wise 3x3, 8 x 96 x 28 x 28", lambda f, x, w: f.conv2d(x, w, padding=1, groups=96),
         ((8, 96, 28, 28), (96, 1, 3, 3))),
    Case("conv2d depth-wise stride 2, 8 x 128 x 28 x 28",
         lambda f, x, w: f.conv2d(x, w, stride=2, padding=1, groups=128), ((8, 128, 28, 28), (128, 1, 3, 3))),
    Case("max_pool2d 3 stride 2, 8 x 64 x 56 x 56", lambda f, x: f.max_pool2d(x, 3, 2, 1), ((8, 64, 56, 56),)),
    Case("avg_pool2d 2, 8 x 64 x 56 x 56", lambda f, x: f.avg_pool2d(x, 2), ((8, 64, 56, 56),)),
    Case("interpolate bilinear x2, 8 x 32 x 64 x 64", lambda f, x: f.interpolate(x, scale_factor=2, mode="bilinear"),
         ((8, 32, 64, 64),)),
    Case("batch_norm, 8 x 64 x 56 x 56", lambda f, x, w, b: f.batch_norm(x, None, None, w, b, True),
         ((8, 64, 56, 56), (64,), (64,))),
    Case("group_norm, 8 x 64 x 56 x 56", lambda f, x, w, b: f.group_norm(x, 8, w, b), ((8, 64, 56, 56), (64,), (64,))),
    Case("layer_norm, 4096 x 768", lambda f, x, w, b: f.layer_norm(x, (768,), w, b), ((4096, 768), (768,), (768,))),
    Case("attention causal, 2 x 12 x 1024 x 64 (GPT-2)",
         lambda f, q, k, v: f.scaled_dot_product_attention(q, k, v, is_causal=True), ((2, 12, 1024, 64),) * 3),
    Case("attention, 2 x 12 x 1024 x 64", lambda f, q, k, v: f.scaled_dot_product_attention(q, k, v),
         ((2, 12, 1024, 64),) * 3),
]  # fmt: skip


def _line(case: Case, t: Any, threads: int) -> Iterator[str]:
    clock = time.process_time if threads == 1 else time.perf_counter
    ours = [best(action, clock=clock) for action in case.actions(wootz, functional)]
    theirs = [best(action, clock=clock) for action in case.actions(t, t.nn.functional)] if t else [None, None]
    for own, other in zip(ours, theirs, strict=True):
        yield f"{own * 1e3:12.2f}" + (f"{other / own:9.2f}x" if other else f"{'-':>10}")


def main() -> None:
    wanted, t = sys.argv[1] if len(sys.argv) > 1 else "", torch()
    most = wootz.get_num_threads()
    print(f"wootz {wootz.__version__} on {wootz._core.isa()}, PyTorch {t.__version__ if t else 'absent'}")
    for threads in dict.fromkeys((1, most)):
        wootz.set_num_threads(threads)
        if t:
            t.set_num_threads(threads)
        print(f"\n{f'{threads} thread(s)':46}{'forward ms':>12}{'PyTorch':>10}{'+ backward':>12}{'PyTorch':>10}")
        for case in CASES:
            if wanted in case.name:
                print(f"{case.name:46}" + "".join(_line(case, t, threads)), flush=True)


if __name__ == "__main__":
    main()
