"""`fromnoise augment`: images of every class for a classifier to learn from, and what it gains from them."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from fromnoise.config import to_json
from fromnoise.data import folder, saving, sources
from fromnoise.data.image_set import ImageSet
from fromnoise.data.listing import NAMED, listed
from fromnoise.data.parts import Parts
from fromnoise.errors import UserError
from fromnoise.evaluation.gain import Gain, gain
from fromnoise.evaluation.report import FEWEST
from fromnoise.experiment import system
from fromnoise.experiment.find import config_of, parts_of_model
from fromnoise.experiment.sample import sampled
from fromnoise.files import whole_folder, without_slash, write_json
from fromnoise.generation.model import Model
from fromnoise.say import say

MOST = 3000  # images by default


def augment(
    model: Model,
    source: Path,
    data: str,
    out: Path,
    *,
    per_class: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    **how: Any,
) -> Gain:
    """Sample `per_class` images of each class into the new folder `out`, and measure what a classifier gains from them.

    By default there are as many in all as training images, at most `MOST`. `source` is the model as the user named it;
    for `data` and `how` see `sets_for`. Images and augment.json are written whole or not at all.
    """
    sources.check_outside(out, without_slash(data))
    train, held_out, notes = sets_for(data, model, source, **how)
    for note in notes:
        say(note)
    each = per_class or math.ceil(min(len(train), MOST) / len(model.info.present))
    images = sampled(model, per_class=each, seed=seed, guidance=guidance)
    found = gain(images, train, held_out, seed)
    about = {"data": data, "model": str(source), "guidance": guidance, "seed": seed, "notes": notes}
    report = {**to_json(dataclasses.asdict(found)), **about, "command": system.command()}
    with whole_folder(out) as temporary:
        folder.save(temporary, images.images, saving.places(images))
        write_json(temporary / "augment.json", report)
    return found


def sets_for(
    data: str,
    model: Model,
    source: Path,
    *,
    skip_broken: bool = False,
    label_by: str | None = None,
    group_by: str | None = None,
) -> tuple[ImageSet, ImageSet, list[str]]:
    """The training and held-out images of `data`, and notes on them for readers of the result.

    If the model was trained on `data`, they are those of its training, so that it never saw what is held out.
    Other data has classes and groups by the rules given, and is mapped to bytes by the model's range. `source` is the
    model as the user named it. Raises UserError for data whose images or classes are not the model's, and for too few
    images to hold out.
    """
    trained, data = config_of(model, source).data, without_slash(data)
    if not model.info.classes or model.info.clustered:
        raise UserError(f"{source} was trained without classes: train it on images with classes")
    if sources.is_same(data, trained):
        if label_by is not None or group_by is not None:
            raise UserError(
                f"{data} was the model's training data and is split as it was then: leave out --label-by and --group-by"
            )
        parts, notes = parts_of_model(model, source, skip_broken=skip_broken)
    else:
        settings = dataclasses.replace(trained, data=data, m=None, label_by=label_by, group_by=group_by)
        parts = sources.prepare(settings, model.config.seed, skip_broken=skip_broken, within=model.info.range)
        notes = [f"the model was trained on {trained.data}: if it saw images held out here, the gain is overstated"]
    held_out = _held_out(parts, model, data)
    tested = set() if held_out.labels is None else set(held_out.labels.tolist())
    if lacking := [model.info.called(label) for label in model.info.present if label not in tested]:
        notes.append(f"classes without held-out images cannot be judged: {listed(lacking, NAMED)}")
    return parts.train, held_out, notes


def _held_out(parts: Parts, model: Model, data: str) -> ImageSet:
    """The held-out images; raises UserError unless a classifier can learn from these parts and the model's images."""
    info, train, held_out = model.info, parts.train, parts.heldout
    if train.shape != info.image:
        ours, theirs = ("×".join(map(str, shape)) for shape in (info.image, train.shape))
        raise UserError(f"the model makes images of {ours}, but those of {data} are {theirs}: train a model on {data}")
    info.check_range(train)
    if train.labels is None or train.classes != info.classes:
        raise UserError(f"the model has {info.conditioned_on} and {data} has {train.classes}: train a model on {data}")
    names = train.class_names[: info.classes]
    if names and info.class_names and names != info.class_names:
        raise UserError(
            f"the classes of {data} ({', '.join(names[:5])} …) are not the model's "
            f"({', '.join(info.class_names[:5])} …): train a model on {data}"
        )
    if held_out is None or len(held_out) < FEWEST:
        n, why = 0 if held_out is None else len(held_out), parts.why_few(FEWEST)
        raise UserError(f"{data} has {n} held-out images but measuring a gain takes at least {FEWEST}{why}: add images")
    if held_out.labels is not None and len(held_out.labels.unique()) < 2:
        raise UserError(f"all held-out images of {data} are of one class: measuring a gain takes two; add images")
    return held_out
