"""Few training images: when a training ends, which model of it is kept, and what a user should know before it starts.

A network knows a few hundred images by heart long before its loss stops falling. From then on it denoises other images
worse, which validation images show at little cost (`evaluation.overfitting`). So the model that denoises them best is
kept, and the training ends once the validation error rises for good. KID would favour copies, which are real images.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fromnoise.config import Config
from fromnoise.data.parts import Parts
from fromnoise.evaluation.design import Groups, error_of_mean
from fromnoise.experiment.initial_weights import COLOUR
from fromnoise.say import plural
from fromnoise.training.settings import AUTO

FEW = 1000
"""Training images below which the denoising error chooses the model."""
FEWEST = 10
"""Validation images that are enough to choose by."""
EVERY = 250
"""Steps between two validations, without --evaluate-every."""
PATIENCE = 5
"""Validations in a row that must be worse than the best one before the training ends."""
CONFIDENCE = 0.95


def are_few(parts: Parts) -> bool:
    """Whether the network may know the training images by heart."""
    return len(parts.train) < FEW


def validate_every(parts: Parts, steps: int | None) -> int | None:
    """Steps between validations by default; None where the images are not few, or the training is short.

    steps  of the training; None for a budget in minutes
    """
    return EVERY if _matters(parts, steps) and validation_images(parts) >= FEWEST else None


def advice(config: Config, parts: Parts, steps: int | None) -> str | None:
    """What to say before a training on few images; None where there is nothing to say."""
    if not are_few(parts):
        return None
    n, training, asked = validation_images(parts), config.training, config.evaluation.evaluate_every
    if not _matters(parts, steps):
        few = f"{_only(parts)}; a training of fewer than {2 * EVERY} steps is not validated"
        return None if asked else f"{few}{' unless you set --evaluate-every' if n >= FEWEST else ''}"
    every = asked or EVERY
    if n >= FEWEST:
        kept = f"It is validated on {n} images every {every:,} steps; the best model is kept, and training stops after "
        kept += f"{PATIENCE} worse results in a row"
    else:
        kept = "Validation images are too few to stop in time: keep the training short, and sample with --reject-copies"
    tries = [] if training.augment else ["--augment 0.3"]
    if training.init == AUTO and parts.train.shape[0] not in COLOUR:
        tries.append("--init with a model of other images")
    return (
        f"{_only(parts)}: the network will soon memorise and copy them. {kept}. "
        f"More images help most{'; so may ' + ' and '.join(tries) if tries else ''}; more minutes do not"
    )


def should_stop(records: Sequence[Mapping[str, Any]], began: int, groups: Groups | None = None) -> str | None:
    """Why a training ends before its budget does, by the lines of evaluations.jsonl; None where it goes on.

    Since the step at which the budget `began`, the last `PATIENCE` validations are all worse than the best of all, and
    by more than chance: so says the interval of the mean difference between the same images' errors. Those of one of
    the `groups` count as one.
    """
    known = [record for record in records if record.keys() >= {"denoising", "errors"}]
    last = [record for record in known if record["step"] > began][-PATIENCE:]
    if len(last) < PATIENCE:
        return None
    best = min(known, key=lambda record: float(record["denoising"]["value"]))
    if not all(_above(np.subtract(record["errors"], best["errors"]), groups) for record in last):
        return None
    return (
        f"the last {PATIENCE} validations were all worse than at step {best['step']:,}, so training stops and keeps "
        "that model (the same command with --minutes +5 continues)"
    )


def _above(more: NDArray[np.float64], groups: Groups | None) -> bool:
    """Whether the mean is above 0, beyond chance."""
    from scipy import stats  # takes a second to import

    n = len(more) if groups is None else len(np.unique(groups))
    return bool(more.mean() > stats.t.isf((1 - CONFIDENCE) / 2, n - 1) * error_of_mean(more, groups))


def note(parts: Parts, best: Mapping[str, Any] | None, steps: int) -> str | None:
    """The report's note on a model of few images, trained for so many steps; None where that does not matter."""
    if not _matters(parts, steps):
        return None
    few = f"{_only(parts)}: go by the copy test above all"
    if best is None or "denoising" not in best:
        return few
    return f"{few}; the model is that of step {best['step']:,} of {steps:,}, which denoised validation images best"


def _only(parts: Parts) -> str:
    return f"only {plural(len(parts.train), 'training image')}"


def _matters(parts: Parts, steps: int | None) -> bool:
    return are_few(parts) and (steps is None or steps >= 2 * EVERY)


def validation_images(parts: Parts) -> int:
    """The number of validation images."""
    return 0 if parts.val is None else len(parts.val)
