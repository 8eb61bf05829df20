"""Training on CUDA calls no function that CuPy would compile first, on an emulated GPU that notes such calls."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.devices import on_gpu
from tests.support.optable import samples

import wootz
from wootz import nn
from wootz.errors import BackendError
from wootz.nn import functional as F
from wootz.optim import AdamW
from wootz.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR
from wootz.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial"


@pytest.fixture
def tutorial(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A tutorial's module by its name; the data that it loads is not asked for."""
    pytest.importorskip("sklearn", reason="scikit-learn, whose digits the tutorials read, is not installed")
    monkeypatch.syspath_prepend(str(TUTORIAL))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module
    for name in ("convnet", "digits", "gpt", "plot"):
        sys.modules.pop(name, None)


def steps(model: nn.Module, inputs: Any, loss_of: Any, optimizer: Any, schedule: Any, count: int = 2) -> list[float]:
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = loss_of(model(inputs))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def test_the_digits_tutorial(tutorial: Any, cupy: Any) -> None:
    wootz.manual_seed(0)
    model = tutorial("digits").network().cuda()
    images, labels = wootz.rand(6, 64, device="cuda"), wootz.randint(0, 10, (6,), device="cuda")
    optimizer = AdamW(model.parameters(), lr=3e-3)
    losses = steps(model, images, lambda y: F.cross_entropy(y, labels), optimizer, CosineAnnealingLR(optimizer, 3))
    model.eval()
    with wootz.no_grad():
        right = (model(images).argmax(1) == labels).float().mean().item()
    assert all(np.isfinite(losses)) and 0 <= right <= 1
    assert cupy.compiled == []


def test_the_convnet_tutorial(tutorial: Any, cupy: Any) -> None:
    wootz.manual_seed(0)
    model = tutorial("convnet").network().cuda()
    images, labels = wootz.rand(2, 1, 8, 8, device="cuda"), wootz.randint(0, 10, (2,), device="cuda")
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
    schedule = OneCycleLR(optimizer, max_lr=0.01, epochs=1, steps_per_epoch=4)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95), use_buffers=True)
    losses = steps(model, images, lambda y: loss_of(y, labels), optimizer, schedule)
    average.update_parameters(model)
    average.update_parameters(model)
    average.eval()
    with wootz.no_grad():
        average(images).argmax(1).cpu()
    assert all(np.isfinite(losses))
    assert cupy.compiled == []


def test_the_gpt_tutorial(tutorial: Any, cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpt = tutorial("gpt")
    for name, value in {"CONTEXT": 8, "WIDTH": 16, "HEADS": 2, "LAYERS": 1, "BATCH": 2}.items():
        monkeypatch.setattr(gpt, name, value)
    wootz.manual_seed(0)
    model = gpt.GPT(11).cuda()
    text = wootz.randint(0, 11, (40,), device="cuda")
    before, after = gpt.batch(text)
    optimizer = AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1)
    losses = steps(
        model, before, lambda y: F.cross_entropy(y.flatten(0, 1), after.flatten()), optimizer,
        CosineAnnealingLR(optimizer, 3),
    )  # fmt: skip
    written = gpt.write(model.eval(), text[:8], 2)
    assert all(np.isfinite(losses)) and written.shape == (10,)
    assert cupy.compiled == []


def test_no_op_of_the_table_is_compiled_but_for_complex_numbers(cupy: Any) -> None:
    found = set()
    for sample in samples():
        args, kwargs = sample.arguments(dtype="float32")
        if sample.row["name"] == "to_device" or any(isinstance(a, wootz.Tensor) and a.is_complex() for a in args):
            continue
        args, kwargs = [on_gpu(a) for a in args], {k: on_gpu(v) for k, v in kwargs.items()}
        cupy.compiled.clear()
        sample.op()(*args, **kwargs)
        found |= {sample.row["name"]} if cupy.compiled else set()
    assert found == set()


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "uint8", "bool", "float16", "bfloat16", "complex64"])
def test_copies_of_every_type_are_kernels(kind: str, cupy: Any) -> None:
    dtype = getattr(wootz, kind)
    x = wootz.tensor([[0, 1, 1], [2, 0, 5]]).to(dtype)
    there = x.cuda()
    made = [there.T.contiguous(), there.flip(1), wootz.cat([there, there]), there[:, 1], wootz.full_like(there, 1)]
    made += [there[wootz.tensor([1, 0]).cuda()], wootz.tril(there), wootz.zeros_like(there)]
    expected = [x.T.contiguous(), x.flip(1), wootz.cat([x, x]), x[:, 1], wootz.full_like(x, 1)]
    expected += [x[wootz.tensor([1, 0])], wootz.tril(x), wootz.zeros_like(x)]
    for one, other in zip(made, expected, strict=True):
        assert one.dtype == dtype and one.cpu().tolist() == other.tolist()
    assert cupy.compiled == []


@pytest.fixture
def without_compiler(cupy: Any) -> Any:
    def missing() -> Any:
        raise RuntimeError("CuPy failed to load libnvrtc.so.12: No such file or directory")

    cupy.cuda.nvrtc.getVersion = missing
    return cupy


def test_an_op_that_needs_a_missing_compiler_says_what_to_install(without_compiler: Any) -> None:
    z = wootz.tensor([1 + 2j, 3 - 1j]).cuda()
    with pytest.raises(BackendError, match=r"^mul: .*NVRTC.*libnvrtc\.so\.12.*nvidia-cuda-nvrtc-cu12==12\.\*"):
        z * z
    with pytest.raises(BackendError, match=r"^logaddexp: .*nvidia-cuda-runtime-cu12"):
        wootz.logaddexp(wootz.ones(2).cuda(), wootz.ones(2).cuda())
    with pytest.raises(BackendError, match=r"^matmul: "):
        wootz.ones(2, 2, dtype=wootz.int64).cuda() @ wootz.ones(2, 2, dtype=wootz.int64).cuda()


def test_everything_else_does_without_a_compiler(without_compiler: Any) -> None:
    x = wootz.tensor([3.0, 1.0, 2.0], requires_grad=True, device="cuda")
    (x.sort().values * wootz.arange(3.0, device="cuda")).cumsum(0).sum().backward()
    assert x.grad.cpu().tolist() == [2.0, 0.0, 2.0]
