"""How good is the choice of guidance? Images of trained models at several strengths, by measures that chose none.

    python -m benchmarks.guidance runs/emoji runs/fashion       (ten minutes a run on a core)

Every strength draws the same n images from one noise. A network tells them from validation images (AUC, 0.5 where it
guesses), having learnt from the training images too; FID and recall are in the features of the run's own score, against
the same images. The last column is what a run chooses by: the FID of whitened random convolutions against the
training images. Nothing else should run beside it.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from jaxtyping import UInt8
from torch import Tensor

import fromnoise
from benchmarks import results
from fromnoise.api import Run
from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.data.parts import Parts
from fromnoise.errors import UserError
from fromnoise.evaluation.featured import Featured
from fromnoise.evaluation.features import choosing_features, features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.neighbours import recall
from fromnoise.evaluation.report import ToldApart
from fromnoise.evaluation.two_sample import told_apart
from fromnoise.experiment.guidance import FACTOR, LAST, MOST_REAL, whitening
from fromnoise.faces.cli import script
from fromnoise.faces.console import Bar
from fromnoise.generation.sampling import SampleRequest, own_precision, sample

SEED = 11  # no seed that anything else draws by


@dataclass(frozen=True)
class Settings:
    """Sample at several strengths of guidance, and measure."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Run folders."""
    n: int = 600
    """Images at each strength, no more than there are validation images."""
    guidances: tuple[float, ...] = tuple(round(FACTOR**k, 2) for k in range(LAST + 1))
    """Strengths."""
    interval: tuple[float, float] | None = None
    """Guide only between these λ; default: the model's."""


def main(settings: Settings) -> None:
    """Print a table."""
    head = ("run", "guidance", "AUC", "FID", "recall", "whitened FID")
    with Bar("strengths") as bar:
        rows = list(measured(settings, bar))
    print(results.table(head, rows))
    print(f"\non {results.machine()}, {' '.join(sys.argv[1:])}")


def measured(settings: Settings, bar: Bar) -> Iterator[Sequence[str]]:
    """A line of the table for each run and strength."""
    for path in settings.runs:
        run = fromnoise.load(path, quiet=True)
        parts = sources.prepare(run.config.data, run.config.seed)
        if parts.val is None:
            raise UserError(f"{path}: its data has too few images to validate by")
        n = min(settings.n, len(parts.val))
        choosing = choosing_features(torch.device("cpu"))
        train = parts.train.subset(min(len(parts.train), MOST_REAL), SEED, balanced=False)
        training = choosing(train.images).double()
        whiten = whitening(training)
        for k, guidance in enumerate(settings.guidances):
            sampler = run.model.config.sampling.but(guidance_interval=settings.interval)
            request = SampleRequest(n, SEED, guidance=guidance, precision=own_precision(run.model), sampler=sampler)
            told, fid, recalled, images = against_validation(run, parts, request)
            drawn = choosing(images).double()
            chosen_by = distance(Moments.of(drawn @ whiten), Moments.of(training @ whiten))
            yield (
                path.name,
                f"{guidance:g}",
                f"{told.auc:.3f} ± {told.error:.3f}",
                f"{fid:.4f}",
                f"{recalled:.2f}",
                f"{chosen_by:.3f}",
            )
            bar.show(k + 1, len(settings.guidances))


def against_validation(
    run: Run, parts: Parts, request: SampleRequest
) -> tuple[ToldApart, float, float, UInt8[Tensor, "n c h w"]]:
    """How well a network tells a run's images from validation images, their FID and recall, and the images."""
    assert parts.val is not None, "asked for"
    real = replace(parts.val.subset(min(request.n, len(parts.val)), SEED, balanced=False), labels=None)
    scoring = features(run.config.evaluation.features, torch.device("cpu"), images=parts.train)
    images = ImageSet("generated", sample(run.model, request))
    told = told_apart(images, real, SEED, train=parts.train)
    ours, theirs = (Featured(scoring(each.images)) for each in (images, real))
    return told, distance(ours.moments, theirs.moments), recall(ours, theirs, SEED).value, images.images


if __name__ == "__main__":
    script(main, Settings, __doc__)
