"""How likely a model finds images: what `fromnoise likelihood` and `Run.likelihood` do."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64

from fromnoise.data import folder, sources
from fromnoise.data.colour import kind, laid, with_channels
from fromnoise.data.image_set import ImageSet
from fromnoise.data.picture import suffixes
from fromnoise.data.settings import NAMED, Size
from fromnoise.errors import UserError
from fromnoise.evaluation.design import error_of_mean
from fromnoise.experiment.find import config_of, parts_of, run_of, unchecked
from fromnoise.generation.likelihood import bound_bits, flow_bits, labelled, levels_of
from fromnoise.generation.model import Model
from fromnoise.say import say

Method = Literal["bound", "flow"]
Levels = int | Literal["all"] | None
LEVELS_PER_IMAGE = 32  # a usual number of random levels


@dataclass(frozen=True)
class LikelihoodRequest:
    """How to compute the likelihood of images.

    method       the variational bound, or the probability-flow ODE ("flow")
    levels       random noise levels for the bound of each image, or "all"; None for 32 (all, where the schedule has no
                 more), and for the flow
    label        the images' class or cluster; None for any
    n            the size of a random subset of each set; None for all images
    seed         of levels, noise and subsets
    skip_broken  leave out files that cannot be read

    Raises UserError for levels of the flow.
    """

    method: Method = "bound"
    levels: Levels = None
    label: int | str | None = None
    n: int | None = None
    seed: int = 0
    skip_broken: bool = False

    def __post_init__(self) -> None:
        if self.method == "flow" and self.levels is not None:
            raise UserError("--levels is for the bound: leave it out with --method flow")

    def used_levels(self, model: Model) -> Levels:
        """The levels for each image; None for the flow."""
        if self.levels is not None or self.method == "flow":
            return self.levels
        return levels_of(model, LEVELS_PER_IMAGE) or "all"


@dataclass(frozen=True, eq=False)
class Likelihoods:
    """How likely a model finds images, in bits per dimension: fewer bits mean likelier.

    name                    of the set
    names                   of its images
    bits                    float64, N: the variational bound of each image, or with the flow its near-exact value
    standard_error          float64, N: of `bits`, from the random levels and noise; NaN with the flow
    mean                    of `bits`
    error                   the mean's standard error over the images; NaN for a single one
    prior, steps, decoder   float64, N: the parts of the bound, which add up to `bits`; None with the flow
    """

    name: str
    names: tuple[str, ...]
    bits: Float64[np.ndarray, " n"]
    standard_error: Float64[np.ndarray, " n"]
    mean: float
    error: float
    prior: Float64[np.ndarray, " n"] | None = None
    steps: Float64[np.ndarray, " n"] | None = None
    decoder: Float64[np.ndarray, " n"] | None = None


def likelihoods(
    model: Model, source: Path, sets: Sequence[str | ImageSet], request: LikelihoodRequest
) -> Iterator[Likelihoods]:
    """One set of images after another, each an image file, a folder, an .npz file, a data set, or in memory.

    `source` is the model as the user named it. Numbers other than bytes are mapped by the model's range. Raises
    UserError, before any work, for images that do not fit the model, a label that it does not have, and held-out images
    of a run whose data has changed.
    """
    labelled(model, request.label)
    if request.n is not None and all(isinstance(each, str) and _is_image(each) for each in sets):
        raise UserError("--n is for folders, .npz files and data sets: leave it out for single images")
    found = [images for each in sets if (images := _images(each, model, source, request)) is not None]
    if not found:
        raise UserError("none of the images can be read")
    for images in found:
        yield _likelihoods(model, images, request)


def _is_image(spec: str) -> bool:
    return Path(spec).is_file() and Path(spec).suffix.lower() in suffixes()


def _images(named: str | ImageSet, model: Model, source: Path, request: LikelihoodRequest) -> ImageSet | None:
    """The images, with their names in `files`; None for a file that is skipped."""
    info, run, data = model.info, run_of(source), config_of(model, source).data
    size = Size(info.height, info.width, data.fit)
    if isinstance(named, ImageSet):
        images = replace(named, range=named.range or info.range)  # bytes are those that the model samples
    elif _is_image(named):
        try:
            images, changes = folder.load_file(Path(named), size, info.range)
        except UserError as error:
            if not request.skip_broken:
                raise
            say(f"skipped: {error}")
            return None
        images = replace(images, name=named, files=(named,))
        if changes:
            say(f"{named}: {'; '.join(changes)}")
    else:
        if sources.is_part(named) and sources.is_same(sources.whole_of(named), data) and data.data not in NAMED:
            if run is not None:
                parts_of(run)  # raises UserError if the data has changed: it would be split otherwise
            for note in unchecked(model, source):
                say(note)
        images = sources.load_as(named, data, size, skip_broken=request.skip_broken, within=info.range)
        images = replace(images, name=named)
    images = replace(images, files=images.files or tuple(f"{images.name}[{k}]" for k in range(len(images))))
    if request.n is not None and images.files != (images.name,):
        images = images.take(images.subset_rows(request.n, request.seed, balanced=False))
    images = laid(images, data.alpha)
    if info.channels == 4 and images.shape[0] in (1, 3):
        images = with_channels(images, 4)
    if images.shape[0] != info.channels:
        ours, theirs = kind(info.channels), kind(images.shape[0])
        raise UserError(f"{images.name}: the model was trained on {ours} images, but these are {theirs}: convert them")
    info.check_range(images)
    return images


def _likelihoods(model: Model, images: ImageSet, request: LikelihoodRequest) -> Likelihoods:
    if request.method == "flow":
        found = flow_bits(model, images.images, seed=request.seed, label=request.label)
    else:
        levels = request.used_levels(model)
        found = bound_bits(
            model, images.images, None if levels == "all" else levels, seed=request.seed, label=request.label
        )
    bits = found.bits.numpy()
    parts = (None if part is None else part.numpy() for part in (found.prior, found.steps, found.decoder))
    error = error_of_mean(bits, images.groups) if len(bits) > 1 else math.nan
    return Likelihoods(images.name, images.files, bits, found.standard_error.numpy(), float(bits.mean()), error, *parts)
