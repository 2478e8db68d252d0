"""The strength of guidance by class, chosen for a model once it is trained.

Guidance (Ho & Salimans 2022) makes up for what a short training has not learnt, and costs a long one variety: no
constant is right. So a few hundred images are sampled at each of a few values, from one noise that no later sample
uses, and compared with the training images by FID, in features that are not the score's (`choosing_features`). They are
whitened first: as they are, a few directions, of brightness and contrast, hold nearly all their variance, and the FID
asks for strong guidance long after variety suffers. Validation images are often too few to choose by, and a single
number cannot memorise training images; KID is noisier. Held-out images choose nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fromnoise import rng
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.files import write_json
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import MICRO_BATCH, SampleRequest, network_calls, own_precision, sample
from fromnoise.say import say
from fromnoise.training.run_folder import RunFolder

FACTOR, LAST = 1.35, 4  # the values are powers of it: 1, 1.35, 1.82, 2.46 and 3.32
VALUES_TRIED = 3  # usually
IMAGES_PER_VALUE = 256, 1024  # sampled at each: more after more steps, when less depends on it
LEAST = 1e-12  # variance that real features count as having
MOST_REAL = 3000
FEWEST_REAL = 50
FEWEST_STEPS = 300  # of a training: after fewer, choosing takes longer than it is worth
MOST_SHARE_OF_TRAINING = 0.2  # of a budget: nothing is chosen if it would take more, as with hundreds of network calls
PASSES = 4  # forward, of as many images, take the time of a training step; on CPUs 4 or 5


@dataclass(frozen=True)
class Chooser:
    """Chooses a model's guidance, and writes guidance.json."""

    model: Model
    train: ImageSet
    folder: RunFolder
    features: Features

    @cached_property
    def real(self) -> ImageSet:
        """The training images that sampled ones are compared with."""
        few = len(self.train) <= MOST_REAL
        return self.train if few else self.train.subset(MOST_REAL, self.model.config.seed, balanced=False)

    def cost(self, steps: int, budget: int) -> int:
        """How many steps' time choosing takes (more with features slower than `digits`); 0 if nothing is chosen."""
        if steps < FEWEST_STEPS or len(self.real) < FEWEST_REAL:
            return 0
        config = self.model.config
        calls = network_calls(self.model, replace(config.sampling, guidance=FACTOR))
        cost = round(VALUES_TRIED * images_after(steps) * calls / (PASSES * config.training.batch))
        return cost if cost <= MOST_SHARE_OF_TRAINING * budget else 0

    def choose(self, step: int, model: Model) -> float:
        """The guidance that brings sampled images closest to the training images."""
        say("choosing guidance: sampling at several strengths")
        n = images_after(step)
        features = self.features.cached(self.real.images)
        whiten = whitening(features)
        real = Moments.of(features.double() @ whiten)
        seed = rng.integer(self.model.config.seed, "guidance")

        def far(k: int) -> float:
            request = SampleRequest(n, seed, guidance=FACTOR**k, precision=own_precision(model))
            images = sample(model, request)
            return distance(Moments.of(self.features(images).double() @ whiten), real)

        k, tried = lowest(far, LAST)
        guidance = round(FACTOR**k, 2)
        distances = [{"guidance": round(FACTOR**j, 2), "fid": tried[j]} for j in sorted(tried)]
        about = {"images": n, "features": self.features.name, "real": self.real.name, "tried": distances}
        self.folder.check_there()
        write_json(self.folder.guidance_file, {"step": step, "guidance": guidance, **about})
        fids = ", ".join(f"{each['fid']:.3g} at {each['guidance']:g}" for each in distances)
        say(
            f"guidance {guidance:g}, chosen by the FID of {n:,} images against {len(self.real):,} training images in "
            f"whitened {self.features.name} features ({fids})"
        )
        return guidance


def whitening(features: Float[Tensor, "n d"]) -> Float64[Tensor, "d d"]:
    """What features are multiplied by to be whitened: real ones are then uncorrelated.

    A direction of variance v has v/(v + m) after it, where m is the mean variance. Strong directions then count
    equally, and weak ones are not amplified into noise.
    """
    values, vectors = torch.linalg.eigh(Moments.of(features).covariance)
    return vectors / (values.clamp(min=0) + values.mean()).clamp(min=LEAST).sqrt()


def images_after(steps: int) -> int:
    """How many images are sampled at each value after so many steps: whole micro-batches."""
    least, most = IMAGES_PER_VALUE
    return min(max(steps // 5 // MICRO_BATCH * MICRO_BATCH, least), most)


def lowest(value: Callable[[int], float], last: int) -> tuple[float, dict[int, float]]:
    """Where a function with one valley is least from 0 to `last`, and its values at the whole numbers tried.

    They are tried downhill from 1. The place is the vertex of the parabola through three neighbours, with the least in
    the middle, or at one side if it lies at an end.
    """
    tried = {1: value(1), 2: value(2)}
    while (k := min(tried, key=tried.__getitem__)) not in (0, last) and not {k - 1, k + 1} <= set(tried):
        beyond = k - 1 if k - 1 not in tried else k + 1
        tried[beyond] = value(beyond)
    middle = min(max(k, 1), last - 1)
    before, here, after = (tried[middle + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    return (min(max(middle + (before - after) / (2 * bend), 0), last) if bend > 0 else k), tried
