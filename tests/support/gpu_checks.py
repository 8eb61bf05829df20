"""What a GPU is asked: the op table, derivatives, kernels of every type, training, the tutorial. Answers are rows."""

from __future__ import annotations

import importlib.util
import io
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from tests.support.devices import compare
from tests.support.optable import samples

import wootz
from wootz import backend, cuda, nn, optim
from wootz.autograd import gradcheck, gradgradcheck
from wootz.errors import KernelError

__all__ = [
    "Row",
    "blobs",
    "classifier",
    "derivatives",
    "kernels",
    "op_table",
    "small",
    "stepper",
    "training",
    "tutorial",
]

ROOT = Path(__file__).resolve().parents[2]
# Of the largest value: results are rounded once, factors of products before.
_TOLERANCES = {wootz.float32: 2e-5, wootz.float64: 1e-13, wootz.float16: 8e-3, wootz.bfloat16: 6e-2}
_TOLD = 20  # failures of a check that are listed


class Row(NamedTuple):
    """A line of the table: what was done, whether it went well (None: it could not be done), and what was seen."""

    name: str
    good: bool | None
    seen: str

    @classmethod
    def of_error(cls, name: str, error: BaseException) -> Row:
        """What went wrong, in a line."""
        said = str(error).strip().partition("\n")[0]
        return cls("", False, f"{name}{': ' * bool(name)}{type(error).__name__} {said}"[:160])


def _failures(cases: Iterable[tuple[str, Callable[[], object]]], passed: list[str]) -> Iterator[Row]:
    """Runs every case, adds to ``passed``, and tells of those that raise. A kernel's fault ends it: CUDA runs nothing
    in this process after one."""
    told = 0
    for name, case in cases:
        try:
            case()
            passed.append(name)
        except KernelError as error:
            yield Row.of_error(name, error)
            yield Row("", False, "what comes after it was not run")
            return
        except Exception as error:  # a table of what fails is the purpose
            told += 1
            if told <= _TOLD:
                yield Row.of_error(name, error)


def op_table(names: Sequence[str] = ()) -> Iterator[Row]:
    """Every sample of every op, or of some: values and two derivatives beside the CPU's."""
    # a copy to the CPU leaves the GPU, which no other op may
    known = [sample for sample in samples() if sample.row["name"] != "to_device"]
    chosen = [sample for sample in known if not names or sample.row["name"] in names]
    passed: list[str] = []
    yield from _failures(((str(sample), partial(compare, sample, 1e-9)) for sample in chosen), passed)
    yield Row("op table, two derivatives", len(passed) == len(chosen), f"{len(passed)} of {len(chosen)} samples")


def derivatives() -> Iterator[Row]:
    """Finite differences in float64, on the GPU itself."""
    random = np.random.default_rng(0)

    def leaf(*shape: int) -> wootz.Tensor:
        return wootz.from_numpy(random.standard_normal(shape)).to("cuda").requires_grad_()

    labels = wootz.tensor([0, 2, 1], device="cuda")
    cases: dict[str, tuple[Callable[..., Any], list[wootz.Tensor]]] = {
        "gelu": (lambda x: nn.functional.gelu(x), [leaf(3, 4)]),
        "linear": (lambda x, w, b: nn.functional.linear(x, w, b), [leaf(3, 4), leaf(2, 4), leaf(2)]),
        "softmax": (lambda x: x.softmax(-1), [leaf(3, 5)]),
        "cross_entropy": (lambda x: nn.functional.cross_entropy(x, labels), [leaf(3, 5)]),
        "layer_norm": (lambda x, w, b: nn.functional.layer_norm(x, (5,), w, b), [leaf(3, 5), leaf(5), leaf(5)]),
        "var": (lambda x: x.var(1), [leaf(4, 3)]),
        "embedding": (lambda w: wootz.embedding(w, labels), [leaf(4, 3)]),
        "attention": (
            lambda q, k, v: nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
            [leaf(1, 3, 4), leaf(1, 3, 4), leaf(1, 3, 2)],
        ),
        "dropout": (lambda x: nn.functional.dropout(x, 0.5, generator=wootz.Generator(1)), [leaf(7)]),
        "convolution": (lambda x, w: nn.functional.conv2d(x, w), [leaf(1, 2, 4, 4), leaf(2, 2, 3, 3)]),
    }
    passed: list[str] = []
    yield from _failures(((name, partial(_check, *case)) for name, case in cases.items()), passed)
    seen = f"{len(passed)} of {len(cases)} functions, first and second"
    yield Row("gradcheck in float64", len(passed) == len(cases), seen)


def _check(function: Callable[..., Any], inputs: list[wootz.Tensor]) -> None:
    assert gradcheck(function, inputs) and gradgradcheck(function, inputs)


def _attended(kind: Any, device: str, width: int, causal: bool, queries: int, keys: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(width)
    sizes = ((2, 3, queries, width), (2, 3, keys, width), (2, 3, keys, width))
    q, k, v = (wootz.from_numpy(random.standard_normal(s)).to(kind).to(device).detach().requires_grad_() for s in sizes)
    out = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    out.backward(wootz.ones_like(out))
    return [t.double().numpy(force=True) for t in (out, q.grad, k.grad, v.grad)]


def _looked_up(kind: Any, device: str, count: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(1)
    weight = wootz.from_numpy(random.standard_normal((50, 40))).to(kind).to(device).detach().requires_grad_()
    places = wootz.from_numpy(random.integers(0, 50, count) // random.integers(1, 50, count))
    out = nn.functional.embedding(places.to(device), weight)
    out.backward(out.detach())
    return [t.double().numpy(force=True) for t in (out, weight.grad)]


def _dropped(kind: Any, device: str, count: int) -> list[np.ndarray[Any, Any]]:
    x = wootz.ones(count, dtype=kind).to(device).detach().requires_grad_()
    out = nn.functional.dropout(x, 0.3, generator=wootz.Generator(7))
    out.backward(wootz.ones_like(out))
    return [t.double().numpy(force=True) for t in (out, x.grad)]


def _across(kind: Any, device: str, count: int) -> list[np.ndarray[Any, Any]]:
    """What threads of a block do together along rows, with gradients."""
    random = np.random.default_rng(2)
    x, weight = (wootz.from_numpy(random.standard_normal(s)).to(kind).to(device).detach() for s in ((5, count), count))
    found = []
    for function in (
        lambda t: t.softmax(-1),
        lambda t: nn.functional.layer_norm(t, (count,), weight, weight),
        lambda t: nn.functional.rms_norm(t, (count,), weight),
        lambda t: nn.functional.cross_entropy(t, wootz.arange(5).to(device)),
        lambda t: t.sum(0),
        lambda t: t.amax(1),
    ):
        leaf = x.clone().requires_grad_()
        out = function(leaf)
        out.backward(out.detach())
        found += [out, leaf.grad]
    return [t.double().numpy(force=True) for t in found]


def _ordered(kind: Any, device: str, count: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(3)
    x = wootz.from_numpy(random.random((3, count))).to(kind).to(device)  # as 16-bit numbers many are equal
    return [t.double().numpy(force=True) for t in (x.sort(-1).values, x.cumsum(-1))]


def kernels(size: int = 256) -> Iterator[Row]:
    """Kernels in every type that they are for, beside the CPU's; and again, bit by bit."""
    cases: dict[str, Callable[..., list[np.ndarray[Any, Any]]]] = {
        "attention": lambda kind, device: _attended(kind, device, 64, False, size + 1, size // 2 + 1),
        "causal attention": lambda kind, device: _attended(kind, device, 24, True, size + 1, size + 1),
        "attention of wide rows": lambda kind, device: _attended(kind, device, 128, False, size // 8, size + 1),
        "embedding": lambda kind, device: _looked_up(kind, device, 8 * size),
        "dropout": lambda kind, device: _dropped(kind, device, 4 * size + 1),
        "norms, losses, sums": lambda kind, device: _across(kind, device, 8 * size + 1),
        "sort, running sum": lambda kind, device: _ordered(kind, device, 8 * size + 1),
    }
    for name, case in cases.items():
        errors: dict[str, float] = {}
        passed: list[str] = []

        def check(kind: Any, case: Any = case, errors: dict[str, float] = errors) -> None:
            expected, found, again = case(kind, "cpu"), case(kind, "cuda"), case(kind, "cuda")
            pairs = zip(found, expected, strict=True)
            scales = [max(1.0, float(np.abs(theirs).max())) for theirs in expected]
            off = [float(np.abs(a - b).max()) / scale for (a, b), scale in zip(pairs, scales, strict=True)]
            errors[kind.name] = max(off) / _TOLERANCES[kind]
            assert errors[kind.name] <= 1, f"{errors[kind.name]:.3g} of the tolerance"
            assert all(a.tobytes() == b.tobytes() for a, b in zip(found, again, strict=True)), "twice, two results"

        yield from _failures(((f"{name} of {kind.name}", partial(check, kind)) for kind in _TOLERANCES), passed)
        seen = (
            f"{len(passed)} of {len(_TOLERANCES)} types, error {max(errors.values(), default=0):.0%} of the tolerance"
        )
        yield Row(name, len(passed) == len(_TOLERANCES), seen)


def small(size: int = 72) -> Iterator[Row]:
    """For a sanitizer, which slows kernels down a hundredfold: every way of working together, on little data."""
    # each tensor an allocation of its own: in a pool's block an access beyond one would go unseen
    backend.active().cupy.cuda.set_allocator(None)
    yield from kernels(size)
    yield from op_table(("add", "where", "gelu_erf", "index_put", "scatter_add", "var", "max_pool", "cat"))


def blobs(count: int = 512) -> tuple[wootz.Tensor, wootz.Tensor]:
    """Points around ten centres, and which."""
    random = np.random.default_rng(0)
    centres, labels = random.standard_normal((10, 64)) * 3, random.integers(0, 10, count)
    points = (centres[labels] + random.standard_normal((count, 64))).astype("f4")
    return wootz.from_numpy(points).to("cuda"), wootz.from_numpy(labels).to("cuda")


def classifier() -> tuple[nn.Module, optim.Optimizer]:
    wootz.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).to("cuda")
    return model, optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def stepper(model: nn.Module, optimizer: optim.Optimizer, x: Any, y: Any) -> Callable[[], wootz.Tensor]:
    def step() -> wootz.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def training(count: int = 512) -> Iterator[Row]:
    """A small network learns, alone and as one graph."""
    x, y = blobs(count)
    model, optimizer = classifier()
    step = stepper(model, optimizer, x, y)
    for _ in range(40):
        step()
    right = (model(x).argmax(1) == y).float().mean().item()
    yield Row("training, op by op", right > 0.95, f"{right:.1%} right after 40 steps")
    model, optimizer = classifier()
    step = stepper(model, optimizer, x, y)
    step()
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        loss = step()
    for _ in range(39):
        graph.replay()
    right = (model(x).argmax(1) == y).float().mean().item()
    yield Row("training, as one graph", right > 0.95, f"{right:.1%} right, loss {loss.item():.4f}")


def _tutorial() -> ModuleType:
    """docs/tutorial/gpt.py, as it stands there."""
    folder = ROOT / "docs" / "tutorial"
    spec = importlib.util.spec_from_file_location("gpt", folder / "gpt.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))  # it imports its neighbour
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def tutorial(steps: int = 200, gpt: ModuleType | None = None) -> Iterator[Row]:
    """The tutorial's GPT: embedding, attention, norms and AdamW together."""
    gpt = gpt or _tutorial()
    wootz.manual_seed(0)
    source = gpt.licence()
    alphabet = sorted(set(source))
    text = wootz.tensor([alphabet.index(character) for character in source], device="cuda")
    model = gpt.GPT(len(alphabet)).to("cuda")
    with redirect_stdout(io.StringIO()):
        losses = gpt.train(model, text, steps)
    guess = math.log(len(alphabet))
    seen = f"loss {losses[0]:.3f} to {losses[-1]:.3f} in {steps} steps; a guess has {guess:.3f}"
    yield Row("the tutorial's GPT", losses[-1] < min(losses[0], guess), seen)
