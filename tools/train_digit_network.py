"""Train the packaged digit feature network: src/fromnoise/evaluation/digit_network.safetensors.

    python tools/train_digit_network.py [--epochs 14] [--seed 0]

The 55,000 MNIST training digits that are not among the packaged `digits`, resized to 32×32 as everywhere in
fromnoise, under small random affine maps; AdamW with a one-cycle rate. Prints the accuracy on the 10,000 test
digits, which chose nothing: the last epoch is kept, whatever it scores.
"""

import math
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fromnoise import tensors
from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.data.pixels import normalise
from fromnoise.evaluation import digit_network
from fromnoise.faces.cli import script
from fromnoise.hardware import channels_last

TARGET = digit_network.WEIGHTS


@dataclass(frozen=True)
class Settings:
    """How to train the digit feature network."""

    epochs: int = 14
    batch: int = 128
    lr: float = 4e-3
    seed: int = 0


def jitter(x: Tensor) -> Tensor:
    """Each image under an affine map of its own: ±12°, ±10 % size, ±6 % shear, ±2 pixels."""
    n = len(x)
    angle = (torch.rand(n) * 2 - 1) * math.radians(12)
    scale = 1 + (torch.rand(n) * 2 - 1) * 0.1
    shear = (torch.rand(n) * 2 - 1) * 0.06
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = (torch.rand(n, 2) * 2 - 1) * 2 / 16
    rows = torch.stack([cos, -sin + shear, shift[:, 0], sin + shear, cos, shift[:, 1]], dim=1)
    grid = F.affine_grid(rows.view(n, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


@torch.no_grad()
def accuracy(network: torch.nn.Module, images: ImageSet) -> float:
    """Share of `images` that the network reads as their label."""
    network.eval()
    right = 0
    for x, y in zip(images.images.split(1000), images.labels.split(1000), strict=True):  # type: ignore[union-attr]
        right += int((network(normalise(x)).argmax(1) == y).sum())
    network.train()
    return right / len(images)


def main(settings: Settings) -> None:
    """Train, report, write."""
    size = (digit_network.SIZE, digit_network.SIZE)
    train = sources.load("mnist:train", size)
    for part in ("train", "val", "heldout"):
        train = train.without(sources.load(f"digits:{part}", size))
    test = sources.load("mnist:test", size)
    assert train.labels is not None
    assert len(train) == 55_000
    torch.manual_seed(settings.seed)
    network = channels_last(digit_network.DigitNetwork())
    steps = settings.epochs * (len(train) // settings.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.2)
    start = time.perf_counter()
    for epoch in range(settings.epochs):
        order = torch.randperm(len(train))[: len(train) // settings.batch * settings.batch]
        total = 0.0
        for index in order.split(settings.batch):
            x = jitter(normalise(train.images[index])).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(x)
            loss = F.cross_entropy(logits.float(), train.labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            total += float(loss.detach())
        mean = total / (len(order) // settings.batch)
        print(f"epoch {epoch + 1}: loss {mean:.4f}, {time.perf_counter() - start:.0f} s", flush=True)
    score = accuracy(network, test)
    print(f"accuracy on the {len(test):,} test digits: {score:.2%}")
    about = {"accuracy_on_mnist_test": f"{score:.4f}", "trained_on": "55,000 digits, none packaged"}
    tensors.save(TARGET, network.state_dict(), about)
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    script(main, Settings, __doc__)
