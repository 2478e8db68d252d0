"""Can a network tell a run's samples from all real images of its data, those included that the model learnt from?

    python -m benchmarks.all_real runs/emoji            (three minutes a run on a core)
    python -m benchmarks.all_real runs/* --choose       (between settings)

The report asks for more: its network learns from all training images, and judges by images that the model never saw.
Here it starts from nothing, and sees as many samples as real images and nothing else, so less is found: AUC, 0.5 where
it guesses, the mean over draws of the images with its standard error, beside the same of real images against others.
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

import fromnoise
from benchmarks import results
from fromnoise import rng
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation.judge import Judge, pretrained
from fromnoise.evaluation.two_sample import told_apart
from fromnoise.experiment.find import parts_of
from fromnoise.faces.cli import script
from fromnoise.generation.sampling import SampleRequest, own_precision, sample

SEED = 501  # no seed that anything else draws by


@dataclass(frozen=True)
class Settings:
    """Ask a network."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Run folders."""
    n: int = 750
    """Samples, and real images, of each draw."""
    choose: bool = False
    """To choose by: without held-out images, and with the report's network, which starts from packaged weights."""
    interval: tuple[float, float] | None = None
    """Guide between these λ; default: the run's own."""
    draws: int = 4
    """Draws of both; of real images against others as many as there are, at most."""


def main(settings: Settings) -> None:
    """Print a table."""
    print(results.table(("run", "samples", "real images"), list(measured(settings))))
    print(f"\non {results.machine()}, {' '.join(sys.argv[1:])}")


def measured(settings: Settings) -> Iterator[Sequence[str]]:
    """A line of the table for each run."""
    n = settings.n
    for path in settings.runs:
        model, parts = fromnoise.load(path, quiet=True).model, parts_of(path)
        known = parts.train, parts.val, None if settings.choose else parts.heldout
        images = torch.cat([each.images for each in known if each is not None])
        if len(images) < 2 * n:
            raise UserError(f"{path}: its data has {len(images):,} images, fewer than two draws of {n:,}")
        real = ImageSet("real", images)
        how = model.config.sampling.but(guidance_interval=settings.interval)
        samples = sample(model, SampleRequest(n * settings.draws, SEED, precision=own_precision(model), sampler=how))
        drawn = [ImageSet("samples", part) for part in samples.split(n)]
        judge = pretrained if settings.choose else Judge
        aucs = [told_apart(each, real.subset(n, SEED + k), k, judge=judge).auc for k, each in enumerate(drawn)]
        order = rng.generator(SEED, "real draws").permutation(len(real))
        pairs = [order[2 * k * n : 2 * (k + 1) * n] for k in range(min(settings.draws, len(real) // (2 * n)))]
        halves = [(real.take(rows[:n]), real.take(rows[n:])) for rows in pairs]
        null = [told_apart(*each, k, judge=judge).auc for k, each in enumerate(halves)]
        yield path.name, spread(aucs), spread(null)


def spread(aucs: Sequence[float]) -> str:
    """The mean, with its standard error where there are several."""
    mean = f"{statistics.mean(aucs):.3f}"
    return mean if len(aucs) < 2 else f"{mean} ± {statistics.stdev(aucs) / len(aucs) ** 0.5:.3f}"


if __name__ == "__main__":
    script(main, Settings, __doc__)
