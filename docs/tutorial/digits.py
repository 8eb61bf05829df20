"""Trains a small network to read handwritten digits, saves it, loads it again and checks that it answers the same."""

import argparse
import time
from pathlib import Path

from sklearn.datasets import load_digits

import wootz
from wootz import nn
from wootz.data import DataLoader, TensorDataset
from wootz.optim import AdamW
from wootz.optim.lr_scheduler import CosineAnnealingLR

EPOCHS = 25


def datasets() -> tuple[TensorDataset, TensorDataset]:
    """1797 images of 8x8 pixels: a fifth to test on, the others to train on."""
    digits = load_digits()
    images = wootz.tensor(digits.data / 16, dtype=wootz.float32)
    labels = wootz.tensor(digits.target, dtype=wootz.int64)
    order = wootz.randperm(len(images))
    held_out = len(images) // 5
    test, train = order[:held_out], order[held_out:]
    return TensorDataset(images[train], labels[train]), TensorDataset(images[test], labels[test])


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 10))


def train(model: nn.Module, data: TensorDataset) -> None:
    batches = DataLoader(data, batch_size=64, shuffle=True)
    loss_of = nn.CrossEntropyLoss()
    optimizer = AdamW(model.parameters(), lr=3e-3)
    schedule = CosineAnnealingLR(optimizer, T_max=EPOCHS)
    for epoch in range(EPOCHS):
        total = 0.0
        for images, labels in batches:
            optimizer.zero_grad()
            loss = loss_of(model(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(images)
        schedule.step()
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1:2}  loss {total / len(data):.4f}")


def accuracy(model: nn.Module, data: TensorDataset) -> float:
    model.eval()
    with wootz.no_grad():
        images, labels = data.tensors
        return (model(images).argmax(1) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=Path("digits.safetensors"), help="where to save them")
    path = parser.parse_args().weights

    wootz.manual_seed(0)
    train_data, test_data = datasets()
    model = network()
    print(f"{len(train_data)} images to train on, {len(test_data)} to test on")

    start = time.perf_counter()
    train(model, train_data)
    print(f"trained in {time.perf_counter() - start:.1f} s")

    result = accuracy(model, test_data)
    print(f"test accuracy {result:.1%}")

    wootz.save(model.state_dict(), path)
    copy = network()
    copy.load_state_dict(wootz.load(path))
    print(f"saved to {path} and loaded again: test accuracy {accuracy(copy, test_data):.1%}")

    if result <= 0.95 or accuracy(copy, test_data) != result:
        raise SystemExit("that is not what this tutorial promises: more than 95 %, and the same again")


if __name__ == "__main__":
    main()
