"""A small convolutional network that learns to tell kinds of images apart, quickly and on one thread.

It may start from packaged weights, which `tools/train_judge.py` made: they have learnt to tell clip art from what
half-trained models make of it. That saves most of the time that a network needs to find blobs in other images.

It learns from images that are moved by a pixel or two, with noise added, so that it cannot go by what nobody sees:
samplers leave a background of 1 or 2 where real images have 0, and that alone gives nearly every generated image away.
Its random numbers are its own, so several can learn at once, each on a thread.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64, Shaped, UInt8
from torch import Tensor, nn

from fromnoise import tensors
from fromnoise.data.pixels import normalise
from fromnoise.hardware import channels_last

BATCH = 32
"""Images in a batch."""
RATE, DECAY, DROPOUT = 6e-3, 0.05, 0.2
GRAIN = 16
"""Standard deviation of the noise that is added to images, in grey levels: it hides rounding."""
JUDGEMENTS = 4
"""How often an image is judged, each time under other noise."""
SHIFT = 2
"""Pixels by which a batch is shifted at most."""
SIDE = 32
"""Largest side, in pixels, at which the first pooling is by 2; larger images are pooled by more."""
PIXELS = 2**20
"""Pixels that are judged at a time, of 256 images at most."""
WIDTHS = 16, 32, 32
WEIGHTS = Path(__file__).with_name("judge.safetensors")


class Judge(nn.Module):
    """Images in [−1, 1], n×c×h×w, to n logits of being generated: what is seen anywhere, on average and at most.

    With `classes` it has as many logits of each image, n×classes. Its start, noise and dropout are those of `seed`.
    """

    def __init__(self, channels: int, side: int, seed: int, classes: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would set those of GPUs too
            for k, width in enumerate(WIDTHS):
                layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
                if k < len(WIDTHS) - 1:  # the rest is done to a quarter of the numbers, or less
                    layers.append(nn.MaxPool2d(2 if k else 2 * -(-side // SIDE), ceil_mode=True))
                layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
            self.body = channels_last(nn.Sequential(*layers))
            self.head = nn.Linear(2 * channels, classes)
            self.random = torch.Generator().set_state(torch.get_rng_state())

    def seen(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """What the last convolution sees, on average and at most."""
        seen = self.body(x.contiguous(memory_format=torch.channels_last)).flatten(2)
        return torch.cat([seen.mean(dim=2), seen.amax(dim=2)], dim=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "..."]:
        """The logits."""
        seen = self.seen(x)
        if self.training:  # nn.Dropout takes no generator
            kept = torch.empty_like(seen).bernoulli_(1 - DROPOUT, generator=self.random) / (1 - DROPOUT)
            seen = seen * kept
        return self.head(seen).squeeze(1)

    def with_noise(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The images in [−1, 1], with noise."""
        x = normalise(images)
        return x + GRAIN / 127.5 * torch.empty_like(x).normal_(generator=self.random)


def pretrained(channels: int, side: int, seed: int) -> Judge:
    """A judge with the packaged weights, which are for RGBA.

    The first layer is fitted to grey and RGB images; for other channels it starts at random.
    """
    judge, weights = Judge(channels, side, seed), tensors.load(WEIGHTS)[0]
    own, first = judge.state_dict(), "body.0.weight"
    learnt = weights[first]
    fitting = {1: learnt[:, :3].sum(dim=1, keepdim=True), 3: learnt[:, :3], 4: learnt}
    weights[first] = fitting.get(channels, own[first])
    judge.load_state_dict(weights)
    return judge


def learning(
    judge: Judge,
    images: UInt8[Tensor, "n c h w"],
    wanted: Shaped[Tensor, " n"],
    sets: Sequence[Int64[np.ndarray, " _"]],
    steps: int,
    random: np.random.Generator,
    loss: Callable[[Tensor, Tensor], Tensor] = F.binary_cross_entropy_with_logits,
) -> Iterator[None]:
    """So many steps of training, each on a batch with as many images from each of `sets` of rows; yields after each.

    `loss` is of the judge's logits and what is `wanted` of these images.
    """
    optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    orders = [_endless(rows, random) for rows in sets]
    judge.train()
    for _ in range(steps):
        rows = [next(order) for order in orders for _ in range(BATCH // len(sets))]
        x = _shifted(judge.with_noise(images[rows]), random)
        optimizer.zero_grad()
        loss(judge(x), wanted[rows]).backward()
        optimizer.step()
        schedule.step()
        yield


@torch.inference_mode()
def judged(judge: Judge, images: UInt8[Tensor, "n c h w"]) -> Float64[np.ndarray, "..."]:
    """The logits of each image."""
    judge.eval()
    length = max(1, min(256, PIXELS // math.prod(images.shape[2:])))
    views = ([judge(judge.with_noise(part)) for _ in range(JUDGEMENTS)] for part in images.split(length))
    return torch.cat([torch.stack(logits).mean(dim=0) for logits in views]).double().numpy()


def in_parallel(works: Sequence[Iterator[None]], steps: int) -> Generator[None]:
    """So many steps of each of the works, one thread for each, no more than PyTorch may use; yields after each step."""
    workers = min(len(works), torch.get_num_threads())
    with one_thread(), ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for _ in range(steps):
            yield from pool.map(next, works)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it PyTorch computes on one thread, so that numbers do not depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _shifted(images: Float[Tensor, "n c h w"], random: np.random.Generator) -> Float[Tensor, "n c h w"]:
    height, width = images.shape[2:]
    down, right = random.integers(2 * SHIFT + 1, size=2)
    return F.pad(images, (SHIFT,) * 4, mode="replicate")[..., down : down + height, right : right + width]


def _endless(rows: Int64[np.ndarray, " n"], random: np.random.Generator) -> Iterator[int]:
    """The rows in a random order, again and again in another."""
    while True:
        yield from random.permutation(rows)
