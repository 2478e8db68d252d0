"""Train a network of your own on small digits, and sample from it.

    python examples/own_network.py            # under two minutes on one CPU core; writes own_network.png
    python examples/own_network.py 100        # fewer steps, to try it out

Any `nn.Module` will do that is called as network(x, λ, label), or network(x, λ) without classes, and returns a tensor
like x. This one is a stack of residual convolutions that takes level and class as a bias on every channel.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise import process
from fromnoise.data import pictures, sources


class Block(nn.Module):
    """h + convolution of SiLU(norm(h) + condition)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.bias = nn.GroupNorm(4, width), nn.Linear(width, width)
        self.convolution = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """The block's output."""
        return h + self.convolution(F.silu(self.norm(h) + self.bias(condition)[:, :, None, None]))


class OwnNetwork(nn.Module):
    """Residual convolutions at half the resolution, all of one width."""

    def __init__(self, width: int = 64, blocks: int = 5, classes: int = 10) -> None:
        super().__init__()
        self.level = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes, width)
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.last = nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, x: Tensor, logsnr: Tensor, label: Tensor) -> Tensor:
        """The prediction for noisy images x, N×1×H×W, at levels λ (`logsnr`, N) of classes `label`, N."""
        condition = F.silu(self.level(logsnr[:, None] / 4) + self.label(label))
        h = self.first(F.pixel_unshuffle(x, 2))
        for block in self.blocks:
            h = block(h, condition)
        return F.pixel_shuffle(self.last(h), 2)


def main(steps: int = 1500, out: Path = Path("own_network.png")) -> list[float]:
    """Train, sample ten of each digit into `out`; returns the losses."""
    torch.manual_seed(0)
    digits = sources.load("digits:train", (16, 16))
    data, labels = digits.images / 127.5 - 1, digits.labels
    scale = data.square().mean().sqrt()
    network = OwnNetwork()

    denoiser = process.Denoiser(network, "v")
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(steps):
        batch = torch.randint(len(data), (64,))
        loss = process.loss(denoiser, data[batch] / scale, labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    x = process.sample(denoiser, (100, 1, 16, 16), label=torch.arange(100) % 10) * scale

    pictures.save_grid(out, ((x + 1) * 127.5).round().clamp(0, 255).byte())
    return losses


if __name__ == "__main__":
    losses = main(*map(int, sys.argv[1:2]))
    tenth = max(1, len(losses) // 10)
    print(f"loss {sum(losses[:tenth]) / tenth:.3f} at first, {sum(losses[-tenth:]) / tenth:.3f} at last")
