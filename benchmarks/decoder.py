"""What is decoding by the training images' values worth? Samples of trained models, decoded and merely rounded.

    python -m benchmarks.decoder runs/emoji runs/digits       (ten minutes a run on a core)

The same samples twice: as a model decodes them (`data.pixels.decoder`), and rounded to the nearest values. A network,
which has learnt from the training images too, tells each from validation and held-out images: AUC, 0.5 where it
guesses, the mean over deals of the images into those that it learns from and those that it judges.
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

import fromnoise
from benchmarks import results
from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation.two_sample import told_apart
from fromnoise.faces.cli import script
from fromnoise.generation.sampling import SampleRequest, own_precision, sample

SEED = 31  # no seed that anything else draws by


@dataclass(frozen=True)
class Settings:
    """Decode samples in both ways, and measure."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Run folders."""
    n: int = 1500
    """Samples of each model."""
    deals: int = 3
    """Deals of the images."""


def main(settings: Settings) -> None:
    """Print a table."""
    print(results.table(("run", "rounded", "decoded"), list(measured(settings))))
    print(f"\non {results.machine()}, {' '.join(sys.argv[1:])}")


def measured(settings: Settings) -> Iterator[Sequence[str]]:
    """A line of the table for each run."""
    for path in settings.runs:
        model = fromnoise.load(path, quiet=True).model
        parts = sources.prepare(model.config.data, model.config.seed)
        unseen = [each.images for each in (parts.val, parts.heldout) if each is not None]
        if not unseen:
            raise UserError(f"{path}: its data has too few images to hold any back")
        real, request = ImageSet("real", torch.cat(unseen)), SampleRequest(settings.n, SEED)
        found = []
        for info in (replace(model.info, decoder=()), model.info):
            each = replace(model, info=info)
            images = ImageSet("samples", sample(each, replace(request, precision=own_precision(each))))
            aucs = [told_apart(images, real, seed, train=parts.train).auc for seed in range(settings.deals)]
            found.append(statistics.mean(aucs))
        yield (path.name, *(f"{auc:.3f}" for auc in found))


if __name__ == "__main__":
    script(main, Settings, __doc__)
