"""An extractor of features: images in, a batch at a time, and one vector for each out."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fromnoise.data import blocks
from fromnoise.data.image_set import digests
from fromnoise.errors import UserError
from fromnoise.say import bar
from fromnoise.threads import shared

BATCH = 256
BILINEAR = "bilinear, antialiased, rounded to 8 bits"  # what fromnoise.data.resize does


@dataclass(eq=False)
class Features:
    """An extractor: the map from images to vectors, and what a report says of it.

    name       as `--features` names it
    dimension  the length of its vectors; 0 until it has seen images, if it depends on them
    sha256     of the file its weights come from; empty where there are none
    extract    the map itself, for one batch of images
    resizing   how images of another size are resized
    colour     what is done to images with other channels than it takes
    known      whether the weights are the published ones that the name stands for, not a file of one's own
    batch      how many images are mapped at once
    """

    name: str
    dimension: int
    sha256: str
    extract: Callable[[Tensor], Tensor]
    resizing: str = "none"
    colour: str = "as it is"
    known: bool = True
    batch: int = BATCH
    # Digests of images, and their features: a pair for each set that had new ones.
    _seen: list[tuple[np.ndarray, Tensor]] = field(default_factory=list, init=False, repr=False)

    def __call__(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features of images of any number, on the CPU.

        Raises UserError for features that are not finite, or of another length than those before.
        """
        return blocks.join(self._batches(images), len(images))

    def cached(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The same, computed once for each image: equal images have the same features, to the bit, in every set."""
        wanted = digests(images)
        known = np.concatenate([np.empty(0, "S16"), *(seen for seen, _ in self._seen)])
        _, first = np.unique(wanted, return_index=True)
        new = np.sort(first[~np.isin(wanted[first], known)])
        if len(new):
            found = self(images if len(new) == len(images) else images[new])
            self._seen.append((wanted[new], found))
        return self._rows(wanted)

    def _rows(self, wanted: np.ndarray) -> Float[Tensor, "n d"]:
        """The features of images with these digests. Those of a whole set are not copied: they may be gigabytes."""
        for seen, rows in self._seen:
            if np.array_equal(seen, wanted):
                return rows
        found = self._seen[0][1].new_empty(len(wanted), self.dimension)
        for seen, rows in self._seen:
            order = np.argsort(seen)
            place = order[np.minimum(np.searchsorted(seen, wanted, sorter=order), len(seen) - 1)]
            here = seen[place] == wanted
            found[torch.from_numpy(here)] = rows[torch.from_numpy(place[here])]
        return found

    def _batches(self, images: Tensor) -> Iterator[Tensor]:
        """Features a batch at a time: in batches of a fixed size, so that results do not depend on how images come."""
        threads, done = shared(), 0
        with bar(f"{self.name} features") as shown:
            for batch in images.split(self.batch):
                with torch.no_grad():
                    features = self.extract(_plain(batch)).cpu()
                if not bool(features.isfinite().all()):
                    raise UserError(f"{self.name}: some features are not finite")
                threads.after(time.perf_counter(), len(batch))
                self.dimension = self.dimension or features.shape[1]
                if features.shape[1] != self.dimension:
                    size = "×".join(str(length) for length in batch.shape[1:])
                    raise UserError(
                        f"{self.name}: images of {size} give {features.shape[1]} features, not {self.dimension}: "
                        "all must be of one size and have as many channels"
                    )
                done += len(batch)
                shown.show(done, len(images))
                yield features


def _plain(images: Tensor) -> Tensor:
    """The same images laid out channel by channel: kernels round differently for other layouts, which C = 1 hides."""
    return images.flatten(1).view(images.shape)
