"""Trains a small convolutional network on handwritten digits that are shifted about, in worker processes."""

import argparse
from pathlib import Path

import numpy as np
from plot import svg
from sklearn.datasets import load_digits

import wootz
from wootz import nn
from wootz.data import DataLoader, random_split
from wootz.optim import AdamW
from wootz.optim.lr_scheduler import OneCycleLR
from wootz.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from wootz.serialize import load_checkpoint, save_checkpoint


class Digits:
    """8 x 8 pixels in [0, 1] and a class; shifted by up to a pixel each way if ``shift``."""

    def __init__(self, indices: list[int], shift: bool) -> None:
        digits = load_digits()
        self.images = (digits.images[indices] / 16).astype(np.float32)
        self.labels = digits.target[indices]
        self.shift = shift

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        image = self.images[index]
        if self.shift:
            down, right = np.random.randint(0, 3, 2)
            image = np.pad(image, 1)[down : down + 8, right : right + 8]
        return image[None], int(self.labels[index])


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(256, 10),
    )  # fmt: skip


def train(model: nn.Module, average: AveragedModel, batches: DataLoader, epochs: int) -> list[float]:
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
    schedule = OneCycleLR(optimizer, max_lr=0.01, epochs=epochs, steps_per_epoch=len(batches))
    losses = []
    for epoch in range(epochs):
        for images, labels in batches:
            optimizer.zero_grad()
            loss = loss_of(model(images), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
            losses.append(loss.item())
        print(f"epoch {epoch + 1:2}  loss {np.mean(losses[-len(batches) :]):.3f}")
    return losses


def accuracy(model: nn.Module, batches: DataLoader) -> float:
    model.eval()
    with wootz.no_grad():
        right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in batches)
    return right / len(batches.dataset)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the checkpoint and the plot")
    arguments = parser.parse_args()

    wootz.manual_seed(0)
    held_out, rest = (list(part.indices) for part in random_split(range(1797), [360, 1437]))
    batches = DataLoader(Digits(rest, shift=True), 64, shuffle=True, drop_last=True, num_workers=2)
    test = DataLoader(Digits(held_out, shift=False), 360)

    model = network()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95), use_buffers=True)
    losses = train(model, average, batches, arguments.epochs)
    result = accuracy(average, test)
    print(f"test accuracy {result:.1%}")

    path = arguments.out / "convnet.safetensors"
    save_checkpoint(path, model=average, epochs=arguments.epochs)
    copy = AveragedModel(network())
    load_checkpoint(path, model=copy)
    print(f"loaded again: test accuracy {accuracy(copy, test):.1%}")
    svg(arguments.out / "convnet.svg", {"cross-entropy": losses}, "A convolutional network on digits", "steps")


if __name__ == "__main__":
    main()
