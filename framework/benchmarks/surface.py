"""How much of PyTorch's public surface wootz has, counted from the installed packages.

    python framework/benchmarks/surface.py [NAMESPACE ...]

A name counts if PyTorch documents it: a function or method with a docstring, a Module, an Optimizer or a scheduler.
With namespaces ("linalg", "Tensor", "." for the root), the names that wootz lacks are listed too.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

import wootz

# What wootz leaves out on purpose: graphs of programs, sparse and quantised tensors, other libraries' own kernels, and
# what PyTorch's own code imports for itself.
ELSEWHERE = (
    "cudnn_", "miopen_", "mkldnn_", "fbgemm_", "quantize", "fake_quantize", "q_", "sparse_", "sym_", "to_sparse",
    "is_vulkan", "vmap", "compile", "cond", "while_loop", "export", "sspaddmm", "dequantize", "int_repr", "qscheme",
    "to_mkldnn", "coalesce", "crow_", "col_", "ccol_", "row_indices", "indices", "values", "dense_dim",
    "has_torch_function", "handle_torch_function", "boolean_dispatch",
)  # fmt: skip


def documented(space: Any, name: str) -> bool:
    found = getattr(space, name, None)
    return callable(found) and not inspect.isclass(found) and bool((getattr(found, "__doc__", "") or "").strip())


def derived(base: str) -> Callable[[Any, str], bool]:
    def test(space: Any, name: str) -> bool:
        kind = getattr(importlib.import_module("torch"), base.split(".")[0])
        for part in base.split(".")[1:]:
            kind = getattr(kind, part)
        found = getattr(space, name, None)
        return inspect.isclass(found) and issubclass(found, kind) and found is not kind

    return test


NAMESPACES: dict[str, Callable[[Any, str], bool]] = {
    "": documented,
    "Tensor": documented,
    "nn.functional": documented,
    "nn": derived("nn.Module"),
    "optim": derived("optim.Optimizer"),
    "optim.lr_scheduler": derived("optim.lr_scheduler.LRScheduler"),
    "linalg": documented,
    "fft": documented,
    "special": documented,
}


def at(root: Any, path: str) -> Any:
    for part in path.split(".") if path else []:
        root = getattr(root, part, None)
    return root


def public(space: Any, wanted: Callable[[Any, str], bool]) -> list[str]:
    """PyTorch's names, without those that Python puts into a module that imports."""
    own = [n for n in dir(space) if not n.startswith("_") and not n.startswith(ELSEWHERE)]
    return [n for n in own if wanted(space, n) and not inspect.ismodule(getattr(space, n)) and _of(space, n)]


def _of(space: Any, name: str) -> bool:
    home = getattr(getattr(space, name), "__module__", None) or "torch"
    return home.split(".")[0] == "torch" and ".typing" not in home


def count(torch: Any, path: str) -> tuple[list[str], list[str]]:
    """The names that both have, and those that only PyTorch has."""
    names = public(at(torch, path), NAMESPACES[path])
    mine = at(wootz, path)
    have = [n for n in names if hasattr(mine, n)]
    return have, [n for n in names if n not in have]


def main() -> None:
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        print("surface: PyTorch is not installed, so there is nothing to count against")
        return
    print(f"surface of torch {torch.__version__} that wootz {wootz.__version__} has")
    print(f"  {'namespace':<22} {'have':>5} {'of':>5} {'share':>6}")
    total = [0, 0]
    for path in NAMESPACES:
        have, missing = count(torch, path)
        total = [total[0] + len(have), total[1] + len(have) + len(missing)]
        label = f"torch.{path}".rstrip(".")
        print(f"  {label:<22} {len(have):>5} {len(have) + len(missing):>5} {len(have) / len(have + missing):>6.0%}")
    print(f"  {'together':<22} {total[0]:>5} {total[1]:>5} {total[0] / total[1]:>6.0%}")
    for path in sys.argv[1:]:
        print(f"missing from {path or 'the root'}: {' '.join(count(torch, '' if path == '.' else path)[1])}")


if __name__ == "__main__":
    main()
