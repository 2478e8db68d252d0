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
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.features import choosing_features, features
from fromnoise.evaluation.report import Report
from fromnoise.evaluation.score import score
from fromnoise.experiment.comparison import ScoreRequest, comparison
from fromnoise.experiment.find import find_images, is_run
from fromnoise.limits import flag

ScoredSets = Mapping[str, ImageSet | statistics.Statistics | None]
"""The sets that take part, by their names in the report's protocol."""
Check = Callable[[ScoredSets, Features], None]


def evaluate(
    request: ScoreRequest, device: torch.device, check: Check | None = None
) -> tuple[Report, ImageSet, ImageSet | None]:
    """The score of what is asked for, the generated images, and the training images if they are known.

    `check` sees the sets and features before anything is scored, and may raise. Raises UserError for sets that are too
    small or cannot be read.
    """
    published = statistics.load(Path(request.reference)) if isinstance(request.reference, str) else None
    given = [role for role in ("train", "floor") if getattr(request, role) is not None] + list(request.reading)
    if published is not None and given:
        flags = ", ".join(map(flag, given))
        raise UserError(f"{request.reference} holds statistics, not images: leave out {flags}")
    if published is not None:
        images, train = _generated(request), None
        real = images  # there are no real ones to see
        sets: ScoredSets = {"generated": images, "reference": published}
        scored = partial(statistics.score, images, published)
    else:
        found = comparison(request)
        images, train, real = found.generated, found.train, found.reference
        sets = {"generated": images, "reference": real, "floor": found.floor, "train": train}
        scored = partial(score, found, also=choosing_features(device))
    extractor = features(request.features, device, images=real, weights=request.weights)
    if check is not None:
        check(sets, extractor)
    return replace(scored(extractor, request.seed), request=request.recorded()), images, train


def _generated(request: ScoreRequest) -> ImageSet:
    """The images to score, where there is nothing else to load."""
    named = request.generated
    if isinstance(named, str):
        spec = str(find_images(Path(named))) if is_run(Path(named)) else named
        named = sources.load(spec, skip_broken=request.skip_broken)
    return named if request.n is None else named.subset(request.n, request.seed, balanced=False)
