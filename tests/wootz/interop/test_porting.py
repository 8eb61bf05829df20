"""A program written for PyTorch, run with `import wootz as torch`: the same losses, number by number.

Two networks that train against each other, as in the usual examples: modules with in-place activations, a gradient
penalty, two optimisers, a schedule, hooks, autocast, clipping, and a checkpoint from which the second half goes on.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def program(torch: Any, folder: Path) -> list[float]:
    nn, F, optim = torch.nn, torch.nn.functional, torch.optim
    random = np.random.default_rng(0)

    def randn(*shape: int) -> Any:
        return torch.from_numpy(random.standard_normal(shape).astype(np.float32))

    class Generator(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super(Generator, self).__init__()  # noqa: UP008  # as it stands in many programs
            self.main = nn.Sequential(
                OrderedDict(
                    [
                        ("up", nn.ConvTranspose2d(4, 4, 4, 1, 0, bias=False)),
                        ("norm", nn.BatchNorm2d(4)),
                        ("relu", nn.ReLU(True)),
                        ("last", nn.ConvTranspose2d(4, 1, 4, 2, 1)),
                        ("tanh", nn.Tanh()),
                    ]
                )
            )

        def forward(self, z: Any) -> Any:
            return self.main(z)

    class Discriminator(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.utils.spectral_norm(nn.Conv2d(1, 4, 4, 2, 1))
            self.act = nn.LeakyReLU(0.2, inplace=True)
            self.fc = nn.Linear(4 * 4 * 4, 1)

        def forward(self, x: Any) -> Any:
            return self.fc(torch.flatten(self.act(self.conv(x)), 1)).view(-1)

    generator, discriminator = Generator(), Discriminator()
    with torch.no_grad():
        for p in [*generator.parameters(), *discriminator.parameters(), *discriminator.buffers()]:
            p.copy_(randn(*p.shape) * 0.2)
    by_d = optim.AdamW(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999), weight_decay=0.01)
    by_g = optim.RMSprop(generator.parameters(), lr=2e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(by_g, T_max=20)
    loss_of = nn.BCEWithLogitsLoss()
    seen: list[float] = []
    handle = discriminator.fc.register_forward_hook(lambda module, args, out: seen.append(out.detach().mean().item()))

    losses: list[float] = []
    for step in range(20):
        real, labels = randn(8, 1, 8, 8), torch.full((8,), 1.0, dtype=torch.float)
        by_d.zero_grad()
        fake = generator(randn(8, 4, 1, 1))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=step % 2 == 1):
            d_loss = loss_of(discriminator(real), labels) + loss_of(
                discriminator(fake.detach()), torch.zeros_like(labels)
            )
        mixed = (real * 0.3 + fake.detach() * 0.7).requires_grad_(True)
        scores = discriminator(mixed)
        slope = torch.autograd.grad(
            outputs=scores, inputs=mixed, grad_outputs=torch.ones_like(scores), create_graph=True, only_inputs=True
        )[0]
        penalty = ((slope.view(8, -1).norm(2, dim=1) - 1) ** 2).mean()
        (d_loss + 0.1 * penalty).backward()
        norm = nn.utils.clip_grad_norm_(discriminator.parameters(), 1.0)
        by_d.step()
        by_g.zero_grad(set_to_none=True)
        g_loss = F.softplus(-discriminator(fake)).mean()
        g_loss.backward()
        by_g.step()
        schedule.step()
        losses += [d_loss.item(), g_loss.item(), penalty.item(), norm.item(), schedule.get_last_lr()[0], seen[-1]]
        if step == 9:
            state = {"g": generator.state_dict(), "opt": by_g.state_dict(), "step": step, "args": {"lr": 2e-3}}
            torch.save(state, folder / "run.pt")
            kept = torch.load(folder / "run.pt", map_location="cpu", weights_only=True)
            generator.load_state_dict(kept["g"])
            by_g.load_state_dict(kept["opt"])
            assert kept["args"] == {"lr": 2e-3}
    handle.remove()
    generator.eval()
    losses.append(generator(randn(2, 4, 1, 1)).mean().item())
    return losses


def test_a_program_for_pytorch_gives_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    found = []
    for name in ("wootz", "torch"):
        (tmp_path / name).mkdir()
        found.append(program(importlib.import_module(name), tmp_path / name))
    np.testing.assert_allclose(found[0], found[1], rtol=0.02, atol=0.02)
    np.testing.assert_allclose(found[0][:6], found[1][:6], rtol=1e-4, atol=1e-5)  # before the first step in bfloat16
