"""Sampling as it is asked for, by the command line or in Python."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from fromnoise.config import from_json, to_json
from fromnoise.data.image_set import ImageSet
from fromnoise.diffusion.samplers import ON_SCHEDULE
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.errors import UserError
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import SampleRequest, labels_for, own_precision, sample
from fromnoise.say import say

N = 64
"""Images, if nobody says how many."""


def sampled(
    model: Model,
    source: Path | None = None,
    *,
    n: int | None = None,
    per_class: int | None = None,
    seed: int = 0,
    first: int = 0,
    label: int | str | None = None,
    guidance: float | None = None,
    precision: str = "auto",
    reject_copies: bool = False,
    **settings: Any,
) -> ImageSet:
    """Images of the model, with their classes or clusters.

    - `per_class`: so many of each class, instead of `n`
    - `reject_copies`: replace copies of the training images of the run `source`
    - `settings`: `SamplerSettings` that differ from the model's; None for its own

    Raises UserError, before any work, for what the model cannot do.
    """
    if per_class is not None and (n is not None or label is not None):
        raise UserError("--per-class already says how many images of which class: leave out --n and --label")
    if unknown := set(settings) - {each.name for each in fields(SamplerSettings)}:
        raise UserError(f"unknown sampler settings: {', '.join(sorted(unknown))}")
    for name in ("logsnr_range", "guidance_interval"):
        interval = to_json(settings.get(name))
        if interval is not None and not (isinstance(interval, list) and len(interval) == 2):
            raise UserError(f"{name} takes two λ, not {settings[name]}")
    how = from_json(SamplerSettings, to_json(model.config.sampling.but(**settings)))
    if settings.get("logsnr_range") is not None and how.spacing in ON_SCHEDULE:
        raise UserError(f"--spacing {how.spacing} takes the schedule's own levels: leave out --logsnr-range")
    number = own_precision(model) if precision == "auto" else precision
    even = per_class is not None
    count = (N if n is None else n) if per_class is None else per_class * max(len(model.info.present), 1)
    request = SampleRequest(count, seed, first, label, guidance, number, how, even)
    labels = labels_for(model, request)
    if settings.get("guidance_interval") is not None and labels is None:
        raise UserError("this model was trained without classes: leave out --guidance-interval")
    if reject_copies:
        from fromnoise.experiment.reject import guard_of, sample_without_copies  # imports scipy.stats

        guard = guard_of(source)
        images, replaced = sample_without_copies(lambda asked: sample(model, asked), request, labels, guard)
        say(f"{count + replaced:,} images sampled, {replaced:,} rejected as copies of training images")
    else:
        images = sample(model, request)
    return ImageSet("sampled", images, labels, model.info.clustered, model.info.class_names)
