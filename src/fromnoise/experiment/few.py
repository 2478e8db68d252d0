"""Few training images: which model of a training is kept then, and what a user should know before it starts.

A network knows a few hundred images by heart long before its loss stops falling. From then on it denoises other images
worse, which validation images show at little cost (`evaluation.overfitting`). So the model is kept that denoises them
best. By KID the copies would win: they look like real images, because they are.
"""

from collections.abc import Mapping
from typing import Any

from fromnoise.config import Config
from fromnoise.data.sources import Parts

FEW = 1000
"""Training images below which the denoising error chooses the model."""
FEWEST = 10
"""Validation images that can tell."""
EVERY = 250
"""Steps between two validations, where --evaluate-every says nothing."""


def are_few(parts: Parts) -> bool:
    """Whether the network may know the training images by heart."""
    return len(parts.train) < FEW


def validate_every(parts: Parts, steps: int | None) -> int | None:
    """Steps between validations that nobody asked for; None where the images are not few, or the training is short.

    steps  of the training; None where the clock decides
    """
    return EVERY if _matters(parts, steps) and validation_images(parts) >= FEWEST else None


def advice(config: Config, parts: Parts, steps: int | None) -> str | None:
    """What to say before a training on few images; None where there is nothing to say."""
    if not _matters(parts, steps):
        return None
    n, training = validation_images(parts), config.training
    every = config.evaluation.evaluate_every or EVERY
    if n >= FEWEST:
        kept = f"the model is kept that denoises {n} validation images best, validated every {every:,} steps"
    else:
        kept = "there are too few to tell when: keep the training short, and see the report's copy test"
    tries = [] if training.augment else ["--augment 0.3"]
    tries += [] if training.init else ["--init with a model of other images"]
    return (
        f"{len(parts.train):,} training images are few: a network soon knows them by heart, and then copies them; "
        f"{kept}. More images help most{'; so may ' + ' and '.join(tries) if tries else ''}; more minutes do not"
    )


def note(parts: Parts, best: Mapping[str, Any] | None, steps: int) -> str | None:
    """What the report says of a model of few images, trained for so many steps; None where that does not matter."""
    if not _matters(parts, steps):
        return None
    few = f"{len(parts.train):,} training images are few: the copy test says most"
    if best is None or "denoising" not in best:
        return few
    return f"{few}; the model is that of step {best['step']:,} of {steps:,}, which denoised validation images best"


def _matters(parts: Parts, steps: int | None) -> bool:
    return are_few(parts) and (steps is None or steps >= 2 * EVERY)


def validation_images(parts: Parts) -> int:
    """How many there are."""
    return 0 if parts.val is None else len(parts.val)
