"""The report: what report.json holds, and what `fromnoise.evaluate` returns.

docs/report.md is made from this module: what stands behind or above a field is its line there.
"""

import json
import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from fromnoise.data.settings import Alpha, Fit
from fromnoise.errors import UserError

SCHEMA = 4
"""The version of the report's form."""


class Beside(msgspec.Struct, frozen=True):
    """What other images score, held beside the generated ones'."""

    value: float  # The mean over the draws.
    deviation: float | None  # The standard deviation between draws; null for a single one.
    draws: int  # How many disjoint draws: all that there are, up to the numbers of images in `protocol.settings`.
    n: int  # Images in each.


class Measured(msgspec.Struct, frozen=True):
    """A metric of the generated images, and of others for comparison."""

    value: float  # The number.
    error: float | None  # Its standard error: how far other images would move it. Null where it is not known.
    n: int  # Images that it was measured on.
    # The same of real images that the model never saw (of images in groups: of any that are not in the reference),
    # against the same reference; null if none are known.
    floor: Beside | None = None
    # The same of training images: what a model would score that only memorised. Null if they are not known.
    copycat: Beside | None = None


class Excess(msgspec.Struct, frozen=True):
    """The headline: how much farther from the reference the generated images are than real ones. 0: no farther."""

    value: float  # The FID less the floor, both of `n` images by the same design.
    error: float  # Its standard error: how far other images would move it.
    low: float  # The 95 % interval, from …
    high: float  # … to.
    n: int  # Images of each: all generated ones, or as many as the floor's source has for one draw.
    design: str  # How the generated images and the floor were drawn: "stratified" or "random".
    fid: float  # The FID of `n` generated images: the mean over all disjoint subsets of so many.
    floor: float  # The FID of `n` real images: the mean over the draws.
    ratio: float | None  # `fid` over `floor`: it moves with `n`. Null where the floor was drawn by another design.


class ToldApart(msgspec.Struct, frozen=True):
    """Whether a network tells generated images from real ones that it has not seen, by their pixels."""

    verdict: str  # "told apart: …" where p < 0.001, else "not told apart: …".
    told: bool  # The verdict.
    auc: float  # The chance that it finds a generated image more suspicious than a real one; 0.5: it guesses.
    error: float  # The AUC's standard error.
    accuracy: float  # The share of the images that it is right about, of both sets alike.
    p: float  # The chance of so high an AUC if the two were alike.
    detectable: float  # The AUC that would have been told with a chance of 90 %.
    n: int  # Generated images that it judged; it learnt from as many others.
    m: int  # Real images that it judged.
    surest: tuple[int, ...]  # Positions of the generated images that it is surest about, the surest first.


class Balance(msgspec.Struct, frozen=True):
    """How the generated images fall into classes."""

    counts: tuple[int, ...]  # Images of each class.
    expected: tuple[float, ...]  # How many there would be with the reference's shares.
    # χ²; null where it is infinite. The reference's shares count as exact where its classes are of one size (± 1), else
    # as a random sample.
    chi2: float | None
    # Its p-value. Where `protocol.design` is "stratified" the numbers were chosen, and it says nothing of a model.
    p: float


class ClassFid(msgspec.Struct, frozen=True, rename={"class_": "class"}):
    """The FID of one class."""

    class_: int  # The class.
    value: float | None  # Its FID; null unless both numbers of images are above the number of features.
    n: int  # Generated images of it.
    m: int  # Images of it in the reference.


class Learned(msgspec.Struct, frozen=True):
    """What a linear classifier learns from the generated images and their labels."""

    accuracy: float  # Its accuracy on the reference.
    n: int  # Images that it learned from.
    # The accuracy of one that learned from training images; null if they or their labels are not known.
    real_accuracy: float | None
    real_n: int | None  # How many of those.


class Classes(msgspec.Struct, frozen=True):
    """What labels add."""

    balance: Balance  # How many images each class has.
    fid: tuple[ClassFid, ...]  # The FID of each class.
    # Trained on generated images, tested on real ones; null above 2,048 features, or for a single class.
    learned: Learned | None


class Closer(msgspec.Struct, frozen=True):
    """How many images lie closer to the training set than held-out images do, by one scale and up to one threshold."""

    # What the distance to the nearest training image is relative to: that to the fifth nearest of another group of
    # near-duplicates ("among"), or that to the nearest held-out image ("beside").
    scale: str
    mirrored: bool  # Whether the lesser of the image's and its mirror image's was taken.
    share: float  # Share of the generated images below the threshold.
    expected: float  # The share expected of fresh images.
    p: float  # The p-value: exact, unless held-out images come in groups.
    least: float | None  # The least share that would be called copying; null: none would.
    threshold: float  # The relative distance below which about `expected` of held-out images lie.
    found: float  # Share of planted copies below the threshold.


class CopyBound(msgspec.Struct, frozen=True):
    """What the copy test can exclude: of copies that are like the planted ones, training images darkened, moved by a
    pixel and noisy."""

    share: float  # The upper 95 % confidence bound of the share of copies.
    least: float | None  # The least share of copies that would have been called copying; null: none would.
    mirrored: bool  # Whether mirror images of training images count as copies.


class Pair(msgspec.Struct, frozen=True):
    """A generated image and the training image most alike to it."""

    generated: int  # Position among the generated images.
    train: int  # Position among the training images.
    relative: float  # The distance, relative to the fifth nearest training image's.


class CopySizes(msgspec.Struct, frozen=True):
    """How many images the copy test compared."""

    generated: int  # Generated images.
    train: int  # Training images.
    distinct: int  # Groups of near-duplicates among those.
    held_out: int  # Images of the reference that are not, byte for byte, training images.


class Copies(msgspec.Struct, frozen=True):
    """Whether generated images are copies of training images: of whatever brightness, contrast and colour, moved by up
    to two pixels, mirrored, a little noisy or blurred."""

    # "no sign of copying: …", with the bound; "copying: …"; or "copying cannot be judged: …", for fewer than 50 images
    # of a kind, or where planted copies are not found.
    verdict: str
    copying: bool | None  # Whether images are copies; null where it cannot be judged.
    n: CopySizes  # What was compared.
    # Whether held-out images were left out so that the classes have the generated images' shares. Null without labels;
    # false where fewer than 50 would be left, and then all are taken and `notes` says so.
    by_class: bool | None
    identical: int  # Generated images that are training images to the byte.
    bound: CopyBound | None  # How many copies there may be; null where planted copies are not found.
    closer: tuple[Closer, ...]  # All comparisons; empty for too few images.
    closest: tuple[Pair, ...]  # The pairs of least relative distance.


class UsedFeatures(msgspec.Struct, frozen=True):
    """The features in which images were compared."""

    name: str  # As `--features` names them.
    dimension: int  # Their length.
    sha256: str  # Of their weights; empty where there are none.
    colour: str  # What is done to images with other channels.
    # Whether the weights are the published ones that the name stands for: Inception's by their SHA-256, DINOv2's where
    # they come from their publisher's repository and not from a file. False for `onnx:PATH`.
    known: bool


class OtherFeatures(msgspec.Struct, frozen=True):
    """The FID in other features, such as those that chose the model."""

    features: UsedFeatures  # The features.
    fid: Measured  # The FID.
    excess: Excess | None  # Its excess over the floor; null where there is no floor.


class SetOfImages(msgspec.Struct, frozen=True, omit_defaults=True):
    """A set that took part."""

    name: str  # Its name.
    n: int  # Images in it; 0 for statistics, which do not say.
    shape: tuple[int, ...]  # Channels, height, width; empty for statistics.
    sha256: str  # Over pixels and labels.
    # Groups of near-duplicates (or those of `--group-by`) that they fall into; left out where none has two images, or
    # where they were not looked for.
    groups: int | None = None


class Protocol(msgspec.Struct, frozen=True):
    """What the numbers depend on."""

    line: str  # All of it in one line to cite. Scores may be compared where it is the same, and only there.
    version: str  # Of fromnoise.
    features: UsedFeatures  # The features.
    resizing: str  # How images of another size are resized for them.
    seed: int  # Of all random subsets.
    # How the generated images were drawn: "stratified" where their classes are of even size, or have the shares of the
    # reference or of the training images, to within three images; otherwise "random".
    design: str
    # `rows`: images of each set, at most, for KID, neighbours and classifiers. `draws`: images of all draws of the
    # floor or copycat, at most. `precision_k`, `density_k`: the neighbour that makes the balls. `levels` of FID∞.
    settings: Mapping[str, int]
    generated: SetOfImages  # The images scored.
    reference: SetOfImages  # The real images that they are compared with.
    # Where floors were taken from: of images in groups, all but the reference. Null if not known.
    floor: SetOfImages | None
    train: SetOfImages | None  # The training images; null if not known.


class DenoisingError(msgspec.Struct, frozen=True):
    """How well a model removes noise of one level from images: the mean square error in the clean image."""

    level: float  # The level λ, the logarithm of the signal-to-noise ratio.
    train: float  # The error of training images; 1 is the mean square of the data.
    held_out: float  # The error of held-out images.


class Overfitting(msgspec.Struct, frozen=True):
    """Whether the model denoises its training images better than held-out ones."""

    # "overfitting: …" where p < 0.001, "perhaps overfitting: …" where only the interval is above 0, else "no sign of
    # overfitting: …".
    verdict: str
    overfitted: bool  # The verdict.
    # By how much the error of held-out images is larger than that of training images, as a share of it; each level
    # counts the same.
    gap: float
    interval: tuple[float, ...]  # Its 95 % interval, from and to.
    p: float  # The paired t-test's one-sided p-value.
    detectable: float  # The gap that would have been found with a chance of 90 %.
    levels: tuple[DenoisingError, ...]  # What the gap was computed from.
    n: int  # Images of each set, chosen at random; 1,000 at most.
    seed: int  # Of images and noise.


class Bits(msgspec.Struct, frozen=True):
    """The variational bound of some images, in bits per dimension."""

    bits: float  # Its mean over the images.
    standard_error: float  # Over the images.
    n: int  # Images, chosen at random; 256 at most.
    prior: float  # The part of pure noise.
    steps: float  # The part of the backward steps.
    decoder: float  # The part of the last step, to pixels.


class Request(msgspec.Struct, frozen=True):
    """What `evaluate` was asked to compare, as its flags name it."""

    generated: str | None  # The images to score; null for images in memory, here and below.
    reference: str | None  # Real images, or a file of statistics.
    train: str | None  # Training images; null where they were not named.
    floor: str | None  # Real images for the floor; null where they were not named.
    features: str  # The features.
    weights: str | None  # The file of their weights; null where it was not named.
    n: int | None  # How many of the generated images; null for all.
    skip_broken: bool  # Whether files that cannot be read were left out.
    fit: Fit | None = None  # stretch, crop or pad, for images of other proportions; null where that was not said.
    alpha: Alpha | None = None  # keep, white or black: what became of transparency; null where that was not said.
    label_by: str | None = None  # How the reference's data has classes; null where that was not said.
    group_by: str | None = None  # How the reference's data is split; null where that was not said.


class Overlap(msgspec.Struct, frozen=True):
    """How many images of one set are in another."""

    identical: int  # Images that are in the other set to the byte; grey saved as RGB counts as grey.
    near: int  # Further images of which the other set holds a near-duplicate.
    n: int  # Images of the one set.
    verdict: str  # Both in a sentence.


class Overlaps(msgspec.Struct, frozen=True):
    """Images that two sets share and should not; null where a set is not known."""

    generated_in_reference: Overlap  # Generated images that are reference images: the score is worth nothing then.
    reference_in_train: Overlap | None  # Reference images that the model has learnt.
    # Images of the floor's source that the model has learnt; null too for images in groups, whose floors take them all.
    floor_in_train: Overlap | None

    @property
    def known(self) -> list[Overlap]:
        """Those that are not null."""
        every = (self.generated_in_reference, self.reference_in_train, self.floor_in_train)
        return [each for each in every if each is not None]

    @property
    def found(self) -> list[Overlap]:
        """The overlaps that spoil a score: by any image to the byte, or by more than a tenth of near-duplicates.

        Some real images are near-duplicates of others by nature, as thin ones among digits are.
        """
        return [each for each in self.known if each.identical or each.near > each.n / 10]


class Repeats(msgspec.Struct, frozen=True):
    """How many images are near-duplicates of another of their set."""

    share: float  # Of the generated images, less the first of each group.
    real: float  # Of as many reference images; of images in groups, as many of the floor's source.
    n: int  # Images of each set that were looked at, chosen at random; 3,000 at most.
    p: float  # The one-sided p-value of Fisher's exact test.
    found: bool  # Whether p < 0.001, and the share is larger by a hundredth at least.
    verdict: str  # All of it in a sentence.


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """A score, with everything needed to judge it."""

    schema: int  # The version of this form.
    excess: Excess | None  # The headline: the FID over that of real images. Null without a floor.
    # By name: `fid`, the Fréchet distance, and those listed below. One that could not be had is left out, and `notes`
    # says why.
    metrics: Mapping[str, Measured]
    # The far end of the FID's scale: random bytes, in one draw. Null for features of published statistics.
    noise: Beside | None
    classes: Classes | None  # What labels add; null unless both sets have labels, of two classes at least.
    # Whether images are copies of training images; null if these are not known, or differ in shape.
    copies: Copies | None
    protocol: Protocol  # What the numbers depend on.
    notes: tuple[str, ...]  # What a reader of the score must know, in sentences.
    also: tuple[OtherFeatures, ...] = ()  # The FID in further features.
    # Whether a network tells the images from real ones by their pixels; null where `notes` says why not.
    told_apart: ToldApart | None = None
    overlaps: Overlaps | None = None  # Images that sets share and should not.
    repeats: Repeats | None = None  # Generated images that repeat each other.
    # By `run`, and from Python by `Run.evaluate`: whether the model has overfitted. Null without held-out images.
    overfitting: Overfitting | None = None
    likelihood: Bits | None = None  # By the same: how likely held-out images are to the model.
    # By `run` only: command, configuration, training, sampling, guidance, evaluations, system.
    run: Mapping[str, Any] | None = None
    request: Request | None = None  # By `evaluate` only: what was asked for, so that `--again` can ask the same.
    command: str | None = None  # By `evaluate` only: the command.
    system: Mapping[str, Any] | None = None  # By `evaluate` only: hardware and versions.

    @property
    def fid(self) -> Measured:
        """The Fréchet distance, `metrics["fid"]`."""
        return self.metrics["fid"]

    @classmethod
    def of(cls, value: Mapping[str, Any], name: str = "this") -> "Report":
        """The report in plain JSON values, NaN for a number that is null; `name` is for messages.

        Raises UserError for a report of another version, and for a field that is missing.
        """
        schema = value.get("schema", SCHEMA) if isinstance(value, Mapping) else SCHEMA
        if schema != SCHEMA:
            raise UserError(f"{name} is a report of another version (schema {schema}, not {SCHEMA}): score again")
        try:
            return msgspec.convert(_with_nan(value, cls), cls)
        except msgspec.ValidationError as error:
            raise UserError(f"{name} is no whole report: {error}") from error

    def plain(self) -> dict[str, Any]:
        """The report as plain JSON values, null for numbers that are not finite."""
        plain: dict[str, Any] = json.loads(msgspec.json.encode(self))
        return plain


def _with_nan(value: Any, kind: Any) -> Any:
    """`value` with NaN for null where the type `kind` is of numbers that cannot be null."""
    arguments = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        inner = [each for each in arguments if each is not type(None)]
        return value if value is None else _with_nan(value, inner[0])
    if value is None and kind is float:
        return math.nan
    if isinstance(value, list | tuple) and get_origin(kind) is tuple:
        return [_with_nan(each, arguments[0]) for each in value]
    if isinstance(value, Mapping) and get_origin(kind) is Mapping:
        return {name: _with_nan(each, arguments[1]) for name, each in value.items()}
    if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        return {name: _with_nan(each, types.get(name)) for name, each in value.items()}
    return value
