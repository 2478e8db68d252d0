"""The report as types: what report.json holds, and what `fromnoise.evaluate` returns.

docs/report.md is made from this module: a field's docstring is its line there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fromnoise.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What other images score, held beside the generated ones'."""

    value: float
    """The mean over the draws; of the two-sample test, the accuracy."""
    deviation: float | None
    """The standard deviation between draws; null for a single one."""
    draws: int
    """How many disjoint draws."""
    n: int
    """Images in each."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Something measured on the generated images, and on others for comparison."""

    n: int
    """Images that it was measured on."""
    floor: Beside | None
    """The same of real images that the model never saw, against the same reference; null if none are known."""
    copycat: Beside | None
    """The same of training images, in one draw: what a model would score that only memorised. Null if not known."""


@dataclass(frozen=True, kw_only=True)
class Metric(Measured):
    """One number."""

    value: float | None
    """The number; null where it is infinite or undefined, and `notes` says so."""


@dataclass(frozen=True, kw_only=True)
class Estimate(Metric):
    """A number with its standard error."""

    error: float | None
    """How far other images would move the value."""


@dataclass(frozen=True, kw_only=True)
class Fid(Estimate):
    """The Fréchet distance between Gaussians fitted to the features. Its error is a jackknife over ten blocks of each
    set: null above 256 features, and for fewer than twice as many images as features."""

    ratio: float | None
    """The value over the floor's."""
    noise: Beside
    """The far end of the scale: the same of random bytes, in one draw."""


@dataclass(frozen=True, kw_only=True)
class TwoSample(Measured):
    """How well a linear classifier tells generated features from real ones, n of each."""

    accuracy: float
    """Its held-out accuracy; 0.5: it cannot."""
    p: float
    """The chance of so high an accuracy if the two were alike."""


@dataclass(frozen=True, kw_only=True)
class Balance:
    """How the generated images fall into classes."""

    counts: tuple[int, ...]
    """Images of each class."""
    expected: tuple[float, ...]
    """How many there would be with the reference's shares."""
    chi2: float | None
    """χ². The reference's shares count as exact where its classes are of one size (± 1), else as a random draw."""
    p: float | None
    """Its p-value."""


class ClassFid(msgspec.Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """The FID of one class."""

    class_: int
    """The class."""
    value: float | None
    """Its FID; null unless both numbers of images are above the number of features."""
    n: int
    """Generated images of it."""
    m: int
    """Images of it in the reference."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a linear classifier learns from the generated images and their labels."""

    accuracy: float
    """Its accuracy on the reference."""
    n: int
    """Images that it learned from."""
    real_accuracy: float | None
    """The accuracy of one that learned from training images; null if they or their labels are not known."""
    real_n: int | None
    """How many of those."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """What labels add."""

    balance: Balance
    """How many images each class has."""
    fid: tuple[ClassFid, ...]
    """The FID of each class."""
    learned: Learned | None
    """Trained on generated images, tested on real ones; null above 2,048 features, or for a single class."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """All metrics, each with its floor and copycat. Null: could not be computed; `notes` says why."""

    fid: Fid
    """The Fréchet distance: smaller is better."""
    fid_matched: Metric | None
    """The FID with the reference weighted to the images' shares of classes (floor and copycat: to their own): how well
    each class is drawn, not how often. Null without labels, or for a class that the reference lacks."""
    fid_infinity: Estimate | None
    """FID∞, of infinitely many images. Null above 256 features, and below five times as many images as features."""
    kid: Estimate
    """The kernel distance, without bias; of at most `protocol.settings.rows` images. Its error is a jackknife's."""
    precision: Metric
    """The share of generated images inside the reference's balls (to the 3rd nearest neighbour)."""
    recall: Metric
    """The share of reference images inside the generated images' balls."""
    density: Metric
    """In how many of the reference's balls (to the 5th nearest neighbour) an image lies, by 5; 1: alike."""
    coverage: Metric
    """The share of the reference's balls that hold a generated image."""
    two_sample: TwoSample | None
    """A classifier's attempt to tell generated from real; null above 2,048 features."""
    classes: Classes | None
    """Null unless both sets have labels, of two classes at least."""


@dataclass(frozen=True, kw_only=True)
class Closer:
    """How many images lie closer to the training set than held-out images do."""

    share: float
    """Share whose relative distance (d_1/d_5, of nearest and fifth nearest training image) is below the threshold."""
    expected: float
    """The share expected of fresh images."""
    p: float
    """The exact p-value."""
    least: float | None
    """The least share that would be called copying; null: none would."""
    threshold: float | None
    """The relative distance below which 1 % of held-out images lie."""


@dataclass(frozen=True, kw_only=True)
class Both:
    """One number of generated and of held-out images."""

    generated: float | None
    """Of the generated images."""
    held_out: float | None
    """Of the held-out images; null where there are too few."""
    p: float | None = None
    """Of `memorised`: the p-value that the generated images have more."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The one-sided Mann–Whitney test on relative distances; it decides nothing."""

    superiority: float
    """The chance that a generated image is relatively closer than a held-out one; 0.5: alike."""
    rank_biserial: float
    """The same from −1 to 1."""
    p: float
    """The p-value."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A generated image and the training image nearest to it."""

    generated: int
    """Position among the generated images."""
    train: int
    """Position among the training images."""
    relative: float | None
    """The relative distance."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """The copy test by one kind of distance."""

    copying: bool | None = None
    """Whether these distances say that images are copies; null where it cannot be judged."""
    closer: Closer | None = None
    """How many lie closer than held-out images; null where it cannot be judged."""
    memorised: Both
    """The share with d_1/d_2 below a third."""
    effect: Effect | None = None
    """How much closer they lie altogether; null where it cannot be judged."""
    distance: Both
    """The median distance to the nearest training image."""
    relative: Both
    """The median relative distance."""
    identical: int
    """Generated images at distance 0."""
    closest: tuple[Pair, ...]
    """The pairs of least relative distance."""


@dataclass(frozen=True, kw_only=True)
class CopySizes:
    """How many images the copy test compared."""

    generated: int
    """Generated images."""
    train: int
    """Training images."""
    held_out: int
    """Images of the reference that are not, byte for byte, training images."""


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Whether generated images are copies of training images."""

    verdict: str
    """"no sign of copying"; "copying: …"; or "copying cannot be judged: …", for fewer than 50 images of a kind."""
    n: CopySizes
    """What was compared."""
    by_class: bool | None
    """Whether held-out images were left out so that the classes have the generated images' shares. Null without labels;
    false where fewer than 50 would be left, and then all are taken and `notes` says so."""
    pixels: Space | None
    """By distances between pixels, 0 to 255; null for fewer than five training images."""
    features: Space | None
    """By distances between features; null if the features are pixels, or for more than 20,000 training images."""


@dataclass(frozen=True, kw_only=True)
class UsedFeatures:
    """The features in which images were compared."""

    name: str
    """As `--features` names them."""
    dimension: int
    """Their length."""
    sha256: str
    """Of their weights; empty where there are none."""
    colour: str
    """What is done to images with other channels."""
    known: bool
    """Whether the weights are the published ones that the name stands for."""


@dataclass(frozen=True, kw_only=True)
class SetOfImages:
    """A set that took part."""

    name: str
    """Its name."""
    n: int
    """Images in it."""
    shape: tuple[int, ...]
    """Channels, height, width."""
    sha256: str
    """Over pixels and labels."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What the numbers depend on. Compare reports only where it is the same."""

    features: UsedFeatures
    """The features."""
    resizing: str
    """How images of another size are resized for them."""
    seed: int
    """Of all draws."""
    settings: Mapping[str, int]
    """`rows`: images of each set, drawn down to, for KID, neighbours and classifiers. `floor_images`: of all floor
    draws together, except for the FID. `precision_k`, `density_k`: the neighbour that makes the balls. `folds` of the
    two-sample test, `levels` of FID∞, `blocks` of the FID's error."""
    generated: SetOfImages
    """The images scored."""
    reference: SetOfImages
    """The real images that they are compared with."""
    floor: SetOfImages | None
    """Where floors were drawn from; null if not known."""
    train: SetOfImages | None
    """The training images; null if not known."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What held-out images cost more than training images."""

    value: float
    """Bits per dimension."""
    standard_error: float
    """Its standard error."""
    p: float
    """Welch's one-sided p-value."""


@dataclass(frozen=True, kw_only=True)
class Bits:
    """The variational bound of some images, in bits per dimension."""

    bits: float
    """Its mean over the images."""
    standard_error: float
    """Over the images."""
    n: int
    """Images, drawn at random; 256 at most."""
    prior: float
    """The part of pure noise."""
    steps: float
    """The part of the backward steps."""
    decoder: float
    """The part of the last step, to pixels."""


@dataclass(frozen=True, kw_only=True)
class LikelihoodGap:
    """Whether the model finds its training images likelier than held-out ones."""

    verdict: str
    """"overfitting: …" where p < 0.01, else "no sign of overfitting: …"."""
    overfitted: bool
    """The verdict."""
    gap: Gap
    """What decides."""
    train: Bits
    """Of training images."""
    held_out: Bits
    """Of held-out images."""
    levels: int
    """Random noise levels an image."""
    seed: int
    """Of draws, levels and noise."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A score, with everything needed to judge it."""

    schema: int
    """The version of this form."""
    metrics: Metrics
    """The numbers."""
    copies: Copies | None
    """Whether images are copies of training images; null if these are not known, or differ in shape."""
    protocol: Protocol
    """What the numbers depend on."""
    notes: tuple[str, ...]
    """What a reader of the score must know, in sentences."""
    likelihood: LikelihoodGap | None = None
    """By `run`, and from Python by `Run.evaluate`: whether the model has overfitted. Null without held-out images."""
    run: Mapping[str, Any] | None = None
    """By `run` only: command, configuration, training, sampling, guidance, evaluations, system."""
    command: str | None = None
    """By `evaluate` only: the command."""
    system: Mapping[str, Any] | None = None
    """By `evaluate` only: hardware and versions."""

    @property
    def fid(self) -> Fid:
        """`metrics.fid`."""
        return self.metrics.fid

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Report":
        """The report in plain JSON values; raises UserError for a field that is missing."""
        try:
            return msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise UserError(f"this is no whole report: {error}") from error
