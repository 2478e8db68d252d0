"""From what is asked for to a report: what `fromnoise evaluate` and `fromnoise.evaluate` do."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from msgspec.structs import replace

from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation import statistics
from fromnoise.evaluation.choosing import choosing_features
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.features import features
from fromnoise.evaluation.report import Report
from fromnoise.evaluation.score import score
from fromnoise.experiment.comparison import Asked, comparison
from fromnoise.experiment.find import find_images, is_run
from fromnoise.limits import flag

Sets = Mapping[str, ImageSet | statistics.Statistics | None]
"""The sets that take part, by their names in the report's protocol."""
Check = Callable[[Sets, Features], None]


def evaluate(
    asked: Asked, device: torch.device, check: Check | None = None
) -> tuple[Report, ImageSet, ImageSet | None]:
    """The score of what is asked for, the generated images, and the training images if they are known.

    `check` sees the sets and features before anything is scored, and may raise. Raises UserError for sets that are too
    small or cannot be read.
    """
    published = statistics.load(Path(asked.reference)) if isinstance(asked.reference, str) else None
    given = [role for role in ("train", "floor") if getattr(asked, role) is not None] + list(asked.reading)
    if published is not None and given:
        flags = ", ".join(map(flag, given))
        raise UserError(f"{asked.reference} holds statistics, not images: leave out {flags}")
    if published is not None:
        images, train = _generated(asked), None
        real = images  # there are no real images
        sets: Sets = {"generated": images, "reference": published}
        scored = partial(statistics.score, images, published)
    else:
        found = comparison(asked)
        images, train, real = found.generated, found.train, found.reference
        sets = {"generated": images, "reference": real, "floor": found.floor, "train": train}
        scored = partial(score, found, also=choosing_features(device))
    extractor = features(asked.features, device, images=real, weights=asked.weights)
    if check is not None:
        check(sets, extractor)
    return replace(scored(extractor, asked.seed), request=asked.request()), images, train


def _generated(asked: Asked) -> ImageSet:
    """The images to score, where there is nothing else to load."""
    named = asked.generated
    if isinstance(named, str):
        spec = str(find_images(Path(named))) if is_run(Path(named)) else named
        named = sources.load(spec, skip_broken=asked.skip_broken)
    return named if asked.n is None else named.subset(asked.n, asked.seed, balanced=False)
