"""Where a report comes from: what its numbers depend on, and the run that was scored or what `evaluate` was asked for.

docs/report.md is made from this module too, as from `report`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from fromnoise.data.settings import Alpha, Fit


class UsedFeatures(msgspec.Struct, frozen=True):
    """The features in which images were compared."""

    name: str  # As `--features` names them.
    dimension: int  # Numbers per image.
    sha256: str  # The SHA-256 of their weights; empty if there are none.
    colour: str  # What is done to images with other channels.
    # Whether the weights are the published ones that the name stands for. For Inception the SHA-256 decides; for
    # DINOv2, whether they came from the publisher's repository rather than a file. False for `onnx:PATH`.
    known: bool


class SetOfImages(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the sets of images."""

    name: str  # Its name.
    n: int  # Number of images; 0 for published statistics, which do not give it.
    shape: tuple[int, ...]  # Channels, height, width; empty for statistics.
    sha256: str  # The SHA-256 of pixels and labels.
    # Number of groups that the images fall into, by near-duplicates or as given; left out if no group has two
    # images, or if groups were not looked for.
    groups: int | None = None


class Protocol(msgspec.Struct, frozen=True):
    """What the numbers depend on."""

    line: str  # All of it in one line, to cite. Only scores with the same line, apart from the seed, may be compared.
    version: str  # The version of fromnoise.
    features: UsedFeatures  # The features.
    resizing: str  # How images of another size are resized for the features.
    seed: int  # The seed of all random subsets.
    # How the generated images were drawn: "stratified" if their classes are of equal size, or have the shares of the
    # reference or of the training images, to within three images; otherwise "random".
    design: str
    # `rows`: the most images of each set used for KID, neighbours and classifiers. `subsets`: the most images in all
    # subsets of the floor or copycat together. `precision_k`, `density_k`: which neighbour sets the balls' radius.
    # `fid_infinity_sizes`: from how many sizes FID∞ is extrapolated. `judge`: SHA-256 of the two-sample test's start.
    settings: Mapping[str, int | str]
    generated: SetOfImages  # The images scored.
    reference: SetOfImages  # The real images that they are compared with.
    # Where floors were taken from; for images in groups, everything but the reference. Null if not known.
    floor: SetOfImages | None
    train: SetOfImages | None  # The training images; null if not known.


class TrainingFacts(msgspec.Struct, frozen=True):
    """What the training did."""

    steps: int  # Steps in all.
    seconds: float  # How long it took.
    images: int  # Training images.
    plan: Mapping[str, Any]  # Precision, memory format, compiling, threads, and the reason for them.
    budgets: tuple[Mapping[str, Any], ...]  # The first budget and its extensions.
    shortfall: str | None  # A sentence, if the minutes allowed far too few steps.
    parameters: int  # Number of the network's parameters.
    conditioned_on: str  # Such as "10 classes", "40 clusters" or "no classes".
    class_names: tuple[str, ...] = ()  # The classes' names; empty if they are numbers.


class SamplingFacts(msgspec.Struct, frozen=True):
    """How the images were sampled."""

    n: int  # Number of images.
    seconds: float  # How long it took to sample them.
    sampler: Mapping[str, Any]  # The sampler's settings.
    guidance: float  # The strength of guidance; 1 for none.
    calls: int  # Network calls per image, including those of guidance.
    seed: int  # The seed of the noise.


class RunFacts(msgspec.Struct, frozen=True):
    """The run behind a report."""

    command: str  # The command that was given.
    config: Mapping[str, Any]  # The whole configuration.
    training: TrainingFacts  # What the training did.
    sampling: SamplingFacts  # How the images were sampled.
    scoring_seconds: float  # The time of scoring, without the test for overfitting.
    overfitting_seconds: float  # The time of the test for overfitting and of the likelihood.
    system: Mapping[str, Any]  # Hardware and versions.
    # How guidance was chosen after the training, as in guidance.json: the step, the choice, the features (not the
    # score's), the number of images, and for each value tried the FID in whitened features against training images.
    # Null if guidance was given or not chosen: fewer than 300 steps, no classes, or choosing would have taken over a
    # fifth of the training.
    guidance: Mapping[str, Any] | None = None
    # The lines of evaluations.jsonl, with `--evaluate-every` or few training images. Each has the step and the seconds
    # of training; with few training images the denoising error (`denoising`); with `--evaluate-every` and 50 or more
    # validation images the KID against at most 1,000 of them, in other features than the score's, with its jackknife
    # error and number of images, and the copy test with the validation images as held-out images; and the seconds that
    # it took, which do not count as training.
    evaluations: tuple[Mapping[str, Any], ...] = ()
    # Step and KID of the validation with the lowest KID, whose model is in checkpoints/best; null without validation.
    # The lowest of several KIDs is a little optimistic. The last model is the one that is scored. With fewer than 1,000
    # training images: step and `denoising` error of the validation with the lowest error; here the model of that step
    # is scored.
    best: Mapping[str, Any] | None = None
    weights: str | None = None  # The file of the features' weights; null for the published ones.
    skip_broken: bool = False  # Whether images that cannot be read were left out.


class Request(msgspec.Struct, frozen=True):
    """What `evaluate` was asked to compare, in the words of its flags."""

    generated: str | None  # The images to score; null for images in memory, here and below.
    reference: str | None  # Real images, or a file of statistics.
    train: str | None  # Training images; null if not given.
    floor: str | None  # Real images for the floor; null if not given.
    features: str  # The features.
    weights: str | None  # The file of their weights; null if not given.
    n: int | None  # How many of the generated images; null for all.
    skip_broken: bool  # Whether files that cannot be read were left out.
    fit: Fit | None = None  # stretch, crop or pad, for images of other proportions; null if not given.
    alpha: Alpha | None = None  # keep, white or black: what becomes of transparency; null if not given.
    label_by: str | None = None  # Where the classes of the reference's data come from; null if not given.
    group_by: str | None = None  # How the reference's data is split; null if not given.
