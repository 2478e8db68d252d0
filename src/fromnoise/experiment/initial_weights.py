"""The weights that a training starts from: those that --init names, or by default of the packaged model that suits.

For images in colour that is a model of clip art, of 32 or of 64 pixels: it has seen more pictures than most users have,
and learnt from them what outlines, shades and surfaces look like.
"""

import math
from pathlib import Path

from fromnoise.config import Config
from fromnoise.data import sources
from fromnoise.data.parts import Parts
from fromnoise.errors import UserError
from fromnoise.experiment.find import find_model, run_of
from fromnoise.generation import pretrained
from fromnoise.generation.model import Model
from fromnoise.training.initial import Initial, differences, initial
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import AUTO, CLIPARTS, NONE

COLOUR = (3, 4)
"""Channels of images in colour."""


def named(init: str | None) -> Path | None:
    """The model file that --init names, if any; raises UserError if there is none of that name."""
    return None if init in (None, AUTO, NONE) else find_model(Path(str(init)))


def clip_art(height: int, width: int) -> str:
    """The packaged model of clip art whose size is nearest, as a ratio."""
    side = math.sqrt(height * width)
    return min(CLIPARTS, key=lambda name: abs(math.log(side / CLIPARTS[name])))


def note(folder: RunFolder, parts: Parts) -> str | None:
    """The report's note on a training on `parts` that began from other weights; None for one that began afresh."""
    about = folder.about()
    if about.init is None:
        return None
    init = about.config.training.init
    name = clip_art(*parts.train.shape[1:]) if init == AUTO else init
    return split_otherwise(about.config, parts) or (
        f"training started from the weights of {name}, which learned from other images: "
        "the copy and overfitting tests check only this run's training images"
    )


def split_otherwise(config: Config, parts: Parts) -> str | None:
    """A warning if --init names a training on the same data, of which it held out others, perhaps; else None."""
    init = config.training.init
    run = None if init in (None, AUTO, NONE) else run_of(Path(str(init)))
    if run is None or parts.groups is None:  # the data came in parts
        return None
    try:
        other = RunFolder(run).about()
    except UserError:  # perhaps not a run of ours: its weights are all that counts
        return None
    if other.data.fingerprint == parts.train.fingerprint or not sources.is_same(config.data.data, other.config.data):
        return None
    return (
        f"the starting weights, those of {init}, may have been trained on images of {config.data.data} held out here, "
        "so every test may miss problems"
    )


def chosen(model: Model) -> Initial | None:
    """The weights that a new training of `model` starts from, None for fresh ones.

    Raises UserError for those that --init names and that do not fit.
    """
    init = model.config.training.init
    if file := named(init):
        return initial(model, file, str(init))
    if init != AUTO or model.info.channels not in COLOUR:
        return None
    name = clip_art(model.info.height, model.info.width)
    file = pretrained.FILES[name]
    return None if differences(model, Model.load(file)) else initial(model, file, name)
