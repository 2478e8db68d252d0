"""Batches: images, labels, noise and levels, all a function of the seed and the step."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from fromnoise import rng
from fromnoise.data import augment
from fromnoise.data.image_set import ImageSet
from fromnoise.diffusion.objective import stratified
from fromnoise.errors import UserError
from fromnoise.generation.model import Model
from fromnoise.hardware import to_device

LABEL_DROPOUT = 0.1  # share of images whose class is replaced by the null class, for guidance


class Batch(NamedTuple):
    """The rows of one step that one process learns from, as `Objective.errors` takes them.

    u       in (0, 1): the quantile of each image's noise level
    change  how `x0` was changed (`data.augment`); None if the training changes no images
    """

    x0: Float[Tensor, "n c h w"]
    noise: Float[Tensor, "n c h w"]
    u: Float64[Tensor, " n"]
    label: Int64[Tensor, " n"] | None
    change: Float[Tensor, "n 6"] | None = None


class Batches:
    """Batches by number. Images come in a new order each epoch; a batch may span two epochs.

    `rank` and `world`: this process's number, and how many there are. Each takes every world-th row of a batch, which
    is the same however many share it.
    """

    def __init__(self, model: Model, images: ImageSet, rank: int = 0, world: int = 1) -> None:
        self.seed, self.size = model.config.seed, model.config.training.batch
        rows_each(self.size, world)
        self.images, self.info, self.rank, self.world = images, model.info, rank, world
        self.augment = model.config.training.augment
        self._orders: dict[int, np.ndarray] = {}  # of the images, in the current epochs

    def __call__(self, step: int) -> Batch:
        """The batch of step `step` (0 for the first)."""
        device = self.images.images.device
        mine = slice(self.rank, None, self.world)
        index = to_device(torch.from_numpy(self._index(step)[mine]), device)
        random = rng.generator(self.seed, "step", step)
        u = stratified(self.size, random.random())[mine]
        x0 = self.info.encode(self.images.images[index])
        label = None
        if self.info.classes:
            assert self.images.labels is not None
            dropped = to_device(torch.from_numpy(random.random(self.size)[mine] < LABEL_DROPOUT), device)
            label = self.images.labels[index].masked_fill(dropped, self.info.classes)
        change = None
        if self.augment:
            change = augment.random_changes(self.size, self.augment, rng.generator(self.seed, "augment", step))[mine]
            beyond = self.info.encoded_black if self.info.channels == 4 else None  # transparent
            x0, change = augment.apply(x0, change, beyond), to_device(change, device)
        return Batch(x0, self._noise(step)[mine], u, label, change)

    def _index(self, step: int) -> np.ndarray:
        def order(epoch: int) -> np.ndarray:
            return rng.generator(self.seed, "epoch", epoch).permutation(n)

        n, rows = len(self.images), range(step * self.size, (step + 1) * self.size)
        epochs = range(rows[0] // n, rows[-1] // n + 1)
        self._orders = {e: self._orders[e] if e in self._orders else order(e) for e in epochs}
        return np.array([self._orders[row // n][row % n] for row in rows])

    def _noise(self, step: int) -> Tensor:
        """The noise of the whole batch. (The 0 in its key was once the process; it keeps old runs repeatable.)"""
        shape, device = (self.size, *self.images.shape), self.images.images.device
        if device.type != "cuda":
            return rng.normal(shape, self.seed, "noise", step, 0).to(device)
        generator = torch.Generator(device).manual_seed(rng.integer(self.seed, "noise", step, 0))
        return torch.randn(shape, generator=generator, device=device)


def rows_each(batch: int, world: int) -> int:
    """How many of a batch's images each of `world` processes takes; raises UserError if they do not divide evenly."""
    if batch % world:
        raise UserError(f"--batch {batch} cannot be shared evenly by {world} processes")
    return batch // world
