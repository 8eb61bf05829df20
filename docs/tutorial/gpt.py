"""Trains a small GPT to write Python's licence, character by character, and lets it write."""

import argparse
import math
import os
from pathlib import Path

from plot import svg

import wootz
from wootz import nn
from wootz.nn import functional as F
from wootz.optim import AdamW
from wootz.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

CONTEXT, WIDTH, HEADS, LAYERS, BATCH = 64, 96, 4, 3, 24
TEMPERATURE = 0.5  # below 1 the likelier characters are drawn more often than their probability


class Attention(nn.Module):
    """Each character looks at itself and those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: wootz.Tensor) -> wootz.Tensor:
        batch, length, _ = x.shape
        q, k, v = (part.reshape(batch, length, HEADS, -1).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(seen.transpose(1, 2).reshape(batch, length, WIDTH))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(WIDTH), Attention())
        self.think = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: wootz.Tensor) -> wootz.Tensor:
        x = x + self.attend(x)
        return x + self.think(x)


class GPT(nn.Module):
    def __init__(self, characters: int) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(characters, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.scores = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, characters))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02 if parameter.shape[0] == CONTEXT else WIDTH**-0.5)

    def forward(self, text: wootz.Tensor) -> wootz.Tensor:
        places = wootz.arange(text.shape[1], device=text.device)
        return self.scores(self.blocks(self.characters(text) + self.places(places)))


def licence() -> str:
    """Python's licence, which comes with every Python; this project's where a distribution left it out."""
    files = [Path(os.__file__).parent / "LICENSE.txt", Path(__file__).parents[2] / "LICENSE"]
    return next(file for file in files if file.is_file()).read_text(encoding="utf-8")


def batch(text: wootz.Tensor) -> tuple[wootz.Tensor, wootz.Tensor]:
    """Random stretches of the text, and the same ones a character later."""
    starts = wootz.randint(0, len(text) - CONTEXT, (BATCH, 1))
    at = starts + wootz.arange(CONTEXT)
    return text[at], text[at + 1]


def train(model: GPT, text: wootz.Tensor, steps: int) -> list[float]:
    optimizer = AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1)
    warm_up = max(1, steps // 20)
    schedule = SequentialLR(
        optimizer,
        [LinearLR(optimizer, 0.1, total_iters=warm_up), CosineAnnealingLR(optimizer, max(1, steps - warm_up), 1e-4)],
        milestones=[warm_up],
    )
    losses = []
    for step in range(steps):
        before, after = batch(text)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(before).flatten(0, 1), after.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % max(1, steps // 8) == 0 or step == steps - 1:
            print(f"step {step + 1:4}  loss {losses[-1]:.3f}")
    return losses


def write(model: GPT, text: wootz.Tensor, length: int) -> wootz.Tensor:
    """Goes on from a text, drawing each next character by its probability."""
    with wootz.no_grad():
        for _ in range(length):
            scores = model(text[-CONTEXT:].unsqueeze(0))[0, -1]
            draw = F.gumbel_softmax(scores / TEMPERATURE, hard=True).argmax(0)
            text = wootz.cat([text, draw.reshape(1)])
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the plot")
    arguments = parser.parse_args()

    wootz.manual_seed(0)
    source = licence()
    alphabet = sorted(set(source))
    text = wootz.tensor([alphabet.index(character) for character in source])
    model = GPT(len(alphabet))
    size = sum(parameter.numel() for parameter in model.parameters())
    print(f"{len(text)} characters, {len(alphabet)} different ones, {size} parameters")
    print(f"a guess would have loss {math.log(len(alphabet)):.3f}")

    losses = train(model, text, arguments.steps)
    svg(arguments.out / "gpt.svg", {"cross-entropy": losses}, "A small GPT on Python's licence", "steps")
    start = len(text) // 3
    written = write(model.eval(), text[start : start + CONTEXT], 200).tolist()
    print("".join(alphabet[i] for i in written[:CONTEXT]), "".join(alphabet[i] for i in written[CONTEXT:]), sep="|")


if __name__ == "__main__":
    main()
