"""By how much do models denoise validation images better than another model, level by level?

    python -m benchmarks.denoising runs/before runs/after       (a minute a run on a core)

All runs are of the same data and seed of the split. Every model gets the same noise, so differences of a few per cent
show with some hundred images, where metrics of sampled images would need thousands. The first run's errors are the
measure: a line for each other run says by how many per cent its own differ, with the standard error of paired images.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import Float64

import fromnoise
from benchmarks import results
from fromnoise.errors import UserError
from fromnoise.experiment.find import parts_of
from fromnoise.faces.cli import script
from fromnoise.generation.denoising import denoising_errors, known_levels


@dataclass(frozen=True)
class Settings:
    """Denoise."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Run folders: the one to compare with, and others."""
    levels: tuple[float, ...] = (6, 4, 2, 0, -2, -4, -6, -8)
    """λ of the noisy images."""


def main(settings: Settings) -> None:
    """Print a table."""
    head = ("run", *(f"λ = {level:g}" for level in settings.levels))
    print(results.table(head, list(measured(settings))))
    print(f"\non {results.machine()}, {' '.join(sys.argv[1:])}")


def measured(settings: Settings) -> Iterator[Sequence[str]]:
    """A line of the table for each run."""
    before: Float64[np.ndarray, "n l"] | None = None
    fingerprint = ""
    for path in settings.runs:
        model, parts = fromnoise.load(path, quiet=True).model, parts_of(path)
        if parts.val is None:
            raise UserError(f"{path}: its data has too few images to validate by")
        if before is not None and parts.val.fingerprint != fingerprint:
            raise UserError(f"{path} has other validation images than {settings.runs[0]}")
        fingerprint = parts.val.fingerprint
        errors = denoising_errors(model, parts.val.images, known_levels(model, settings.levels), seed=0)
        if before is None:
            before = errors
            yield path.name, *(f"{error:.4g}" for error in errors.mean(axis=0))
            continue
        more = 100 * (errors - before) / before.mean(axis=0)
        spread = more.std(axis=0, ddof=1) / len(more) ** 0.5
        yield path.name, *(f"{m:+.1f} ± {s:.1f} %" for m, s in zip(more.mean(axis=0), spread, strict=True))


if __name__ == "__main__":
    script(main, Settings, __doc__)
