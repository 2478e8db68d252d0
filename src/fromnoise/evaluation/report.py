"""The report: what report.json holds, and what `fromnoise.evaluate` returns.

docs/report.md is made from this module: the comment behind or above a field becomes its line there.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from fromnoise.errors import UserError
from fromnoise.evaluation.provenance import Protocol, Request, RunFacts, UsedFeatures
from fromnoise.files import read_json, with_nan

SCHEMA = 8
"""The version of the report's form."""
FEWEST = 50
"""Fewest images of each kind for a score and its tests; of training images, distinct ones count."""
SIGNIFICANCE = 0.001
"""Chance that a test accuses real images: small, as it is an accusation. `two_sample` has two ways to accuse, each with
this chance; `copies` adds a third of it for turned images."""
POWER = 0.9
"""Chance of finding what a test says that it would have found."""


class OtherVersion(UserError):  # noqa: N818 - a state of a report
    """A report has another version's form."""


class AnyReport(TypedDict):
    """What a report of every version has."""

    metrics: dict[str, Any]
    protocol: dict[str, Any]


class Beside(msgspec.Struct, frozen=True):
    """The score of other images, for comparison with the generated ones."""

    value: float  # The mean over the subsets.
    deviation: float | None  # The standard deviation between subsets; null for a single one.
    subsets: int  # Number of disjoint subsets: all that there are images for, up to `subsets` in `protocol.settings`.
    n: int  # Images in each subset.


class Measured(msgspec.Struct, frozen=True):
    """A metric of the generated images, and of other images for comparison."""

    value: float  # The number.
    error: float | None  # Its standard error over the choice of images; null if unknown.
    n: int  # Images that it was measured on.
    # The same for real images that the model never saw (for images in groups: any images outside the reference),
    # against the same reference; null if none are known.
    floor: Beside | None = None
    # The same for training images: what a model that only memorised would score. Null if they are not known.
    copycat: Beside | None = None


class Excess(msgspec.Struct, frozen=True):
    """The headline: how much farther the generated images are from the reference than real ones are. 0: no farther."""

    value: float  # The FID minus the floor, both of `n` images drawn by the same design.
    error: float  # Its standard error over the choice of images.
    low: float  # Lower end of its 95 % interval.
    high: float  # Upper end of the interval.
    n: int  # Images of each kind: all generated ones, or fewer if the floor's source has too few for a subset.
    design: str  # How the generated images and the floor were drawn: "stratified" or "random".
    fid: float  # The FID of `n` generated images: the mean over disjoint subsets of that size.
    floor: float  # The FID of `n` real images: the mean over the subsets.
    ratio: float | None  # `fid` divided by `floor`; it depends on `n`. Null if the floor was drawn by another design.


class ToldApart(msgspec.Struct, frozen=True):
    """Whether networks tell generated images from real ones that they have not seen, by their pixels."""

    verdict: str  # "told apart: …" where `p` or `strange_p` < 0.001, else "not told apart: …".
    detected: bool  # Whether a difference was detected: the verdict.
    auc: float  # The chance that a generated image looks more suspicious than a real one of its half; 0.5 is guessing.
    error: float  # The AUC's standard error.
    accuracy: float  # The share of images that they get right; both sets count the same.
    p: float  # The chance of so high an AUC in either half if the two sets were alike.
    strange: float  # Share of generated images that look less real than nearly all real ones; repeats count once.
    expected: float  # The share of real images that do: at most 0.3 %, or one image where there are few.
    strange_p: float  # The chance of so many strange images if the two sets were alike.
    detectable: float  # The AUC that would have been noticed with a chance of 90 %.
    n: int  # Generated images that were judged.
    m: int  # Real images that were judged, from the reference and the floor's source.
    surest: tuple[int, ...]  # Positions of the generated images that they are surest about, the surest first.


class Balance(msgspec.Struct, frozen=True):
    """How the generated images fall into classes."""

    counts: tuple[int, ...]  # Images of each class.
    expected: tuple[float, ...]  # How many there would be in the reference's shares.
    chi2: float | None  # χ², with rare classes as one; null if infinite.
    # Its p-value. If `protocol.design` is "stratified", the numbers were fixed, and it says nothing about the model.
    p: float
    single_p: float  # The smallest p-value of the exact tests of single classes, times their number.
    # Whether the reference's classes are of equal size by design: then its shares are exact. Otherwise it counts as a
    # random sample.
    exact: bool
    # Independent images of the reference: fewer than all of them if they come in groups.
    independent: int


class ClassFid(msgspec.Struct, frozen=True, rename={"class_": "class"}):
    """The FID of one class."""

    class_: int  # The class.
    value: float | None  # Its FID; null unless `n` and `m` both exceed the number of features.
    n: int  # Generated images of this class.
    m: int  # Reference images of this class.


class Learned(msgspec.Struct, frozen=True):
    """What a linear classifier learns from the generated images and their labels."""

    accuracy: float  # Its accuracy on the reference.
    n: int  # Images that it learned from.
    # The accuracy of one that learned from training images, or else from the floor's; null if no labels of these are
    # known.
    real_accuracy: float | None
    real_n: int | None  # Real images that it learned from.
    agreement: float | None = None  # Share of generated images whose label it agrees with.

    def __str__(self) -> str:
        real = self.real_accuracy
        beside = "" if real is None else f" ({100 * real:.1f} % when trained on {self.real_n:,} real images)"
        learnt = f"a linear classifier trained on {self.n:,} generated images"
        return f"{learnt} gets {100 * self.accuracy:.1f} % of the reference right{beside}"


class Classes(msgspec.Struct, frozen=True):
    """What labels add."""

    balance: Balance  # How many images each class has.
    fid: tuple[ClassFid, ...]  # The FID of each class.
    # Trained on generated images, tested on real ones; null above 2,048 features, or for a single class.
    learned: Learned | None
    names: tuple[str, ...] = ()  # The classes' names; empty if they are only numbered.


class Closer(msgspec.Struct, frozen=True):
    """How many images lie closer to the training set than held-out images do, by one scale and one threshold."""

    # What the distance to the nearest training image is divided by: the distance to the fifth nearest training image,
    # where near-duplicates count as one ("among"), or to the nearest held-out image ("beside").
    scale: str
    view: str  # How images were seen: "as it is", "mirrored" too, or "turned" by quarters too; the closest counts.
    n: int  # Generated images that were compared, near-duplicates counted once: 300 at most are turned.
    share: float  # Share of these images below the threshold.
    expected: float  # The share expected for fresh images.
    p: float  # The p-value: exact, unless held-out images come in groups.
    least: float | None  # The smallest share that would be called copying; null if none would.
    threshold: float  # The relative distance below which a share of about `expected` of the held-out images lies.
    found: float  # Share of planted copies below the threshold.


class CopyBound(msgspec.Struct, frozen=True):
    """What the copy test can exclude: darker, shifted and noisy training images, like the planted copies."""

    share: float  # The upper 95 % confidence bound of the share of copies.
    least: float | None  # The least share of copies that would have been found with a chance of 90 %; null if none.
    view: str  # What counts as a copy, as in `closer`: "mirrored" where possible.


class Pair(msgspec.Struct, frozen=True):
    """A generated image and the training image most like it."""

    generated: int  # Position among the generated images.
    train: int  # Position among the training images.
    relative: float  # Their distance, divided by that to the fifth nearest training image.
    distance: float  # The distance itself: 0 for the same picture, about 1.4 for unrelated ones.


class CopySizes(msgspec.Struct, frozen=True):
    """How many images the copy test compared."""

    generated: int  # Generated images.
    train: int  # Training images.
    distinct: int  # Training images, with near-duplicates counted as one.
    held_out: int  # Reference images that are not training images byte for byte.


class Copies(msgspec.Struct, frozen=True):
    """Whether generated images are copies of training images. Copies count whatever their brightness, contrast and
    colour, and if shifted by up to two pixels, mirrored, rotated by quarter turns, a little noisy or blurred."""

    # "no sign of copying: …", with the bound; "copying: …", for which one image that is a training image byte for byte
    # is enough, unless it is blank or held-out images are training images too; or "copying cannot be judged: …", if
    # there are fewer than 50 images of a kind, or if planted copies are not found.
    verdict: str
    copying: bool | None  # Whether images are copies; null if that cannot be judged.
    n: CopySizes  # What was compared.
    # Whether held-out images were left out to give their classes the generated images' shares. Null without labels;
    # false if fewer than 50 would have been left: then all are used, and `notes` says so.
    by_class: bool | None
    identical: int  # Generated images that are training images byte for byte, mirrored and turned ones too.
    bound: CopyBound | None  # How many copies there may be; null if planted copies are not found.
    closer: tuple[Closer, ...]  # All comparisons; empty if there are too few images.
    closest: tuple[Pair, ...]  # The pairs with the smallest relative distance.


class OtherFeatures(msgspec.Struct, frozen=True):
    """The FID in other features, such as those that chose the model."""

    features: UsedFeatures  # The features.
    fid: Measured  # The FID.
    excess: Excess | None  # Its excess over the floor; null without a floor.


class DenoisingError(msgspec.Struct, frozen=True):
    """How well a model removes noise of one level from images: the mean square error in the clean image."""

    level: float  # The level λ, the logarithm of the signal-to-noise ratio.
    train: float  # The error on training images; 1 is the mean square of the data.
    held_out: float  # The error on held-out images.


class Overfitting(msgspec.Struct, frozen=True):
    """Whether the model denoises its training images better than held-out ones."""

    # "overfitting: …" if p < 0.001, "perhaps overfitting: …" if only the interval is above 0, "… to judge overfitting:
    # …" if it goes to 50 % or more, or the images are of a single group, otherwise "no sign of overfitting: …".
    verdict: str
    overfitted: bool  # The verdict.
    # How much larger the error on held-out images is than that on training images, as a share of the latter; each
    # level counts the same.
    gap: float
    interval: tuple[float, ...]  # The two ends of its 95 % interval.
    p: float  # The t-test's one-sided p-value.
    detectable: float  # The gap that would have been found with a chance of 90 %.
    levels: tuple[DenoisingError, ...]  # What the gap was computed from.
    n: int  # Images of each set, chosen at random; 1,000 at most.
    seed: int  # The seed of the choice of images and of the noise.


class Bits(msgspec.Struct, frozen=True):
    """The variational bound of some images, in bits per dimension."""

    bits: float  # Its mean over the images.
    standard_error: float  # The mean's standard error over the images.
    n: int  # Images, chosen at random; 256 at most.
    prior: float  # The part due to pure noise.
    steps: float  # The part due to the backward steps.
    decoder: float  # The part due to the last step, to pixels.


class Overlap(msgspec.Struct, frozen=True):
    """How many images of one set are in another."""

    identical: int  # Images that are in the other set byte for byte; grey saved as RGB counts as grey.
    near: int  # Further images with a near-duplicate in the other set.
    n: int  # Images in the first set.
    verdict: str  # The result in a sentence.
    # Share of the other generated images (of 1,000 at most) that have a near-duplicate if mirrored or rotated.
    turned: float = 0.0


class Overlaps(msgspec.Struct, frozen=True):
    """Images that two sets share and should not; null where a set is not known."""

    generated_in_reference: Overlap  # Generated images that are reference images: any makes the score worthless.
    reference_in_train: Overlap | None  # Reference images that the model was trained on.
    # Images of the floor's source that the model was trained on; also null for images in groups, where the floor
    # includes training images on purpose.
    floor_in_train: Overlap | None
    noticed: float  # Share of reference images that were recognised if made darker, shifted and a little noisy.

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
        return [each for each in self.known if each.identical or each.near / each.n + each.turned > 0.1]


class Repeats(msgspec.Struct, frozen=True):
    """How many images are near-duplicates of another image of the same set."""

    share: float  # Share of the generated images that repeat an earlier one.
    real: float  # The same for as many reference images; for images in groups, from the floor's source.
    n: int  # Images of each set that were compared, chosen at random; at most 3,000.
    p: float  # The one-sided p-value of Fisher's exact test.
    found: bool  # Whether p < 0.001 and the share is larger by at least 0.01.
    noticed: bool  # Whether repeats would have been found, with a chance of 90 %, if every image appeared twice.
    verdict: str  # The result in a sentence.


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """A score, with everything needed to judge it."""

    schema: int  # The version of this format.
    excess: Excess | None  # The headline: the FID minus that of as many real images. Null without a floor.
    # By name: `fid`, the Fréchet distance, and those listed below. One that could not be computed is left out, and
    # `notes` says why.
    metrics: Mapping[str, Measured]
    noise: Beside | None  # The far end of the FID's scale: the score of random bytes, as one set.
    classes: Classes | None  # What labels add; null unless both sets have labels, with at least two classes.
    # Whether images are copies of training images; null if these are not known.
    copies: Copies | None
    protocol: Protocol  # What the numbers depend on.
    notes: tuple[str, ...]  # What a reader of the score should know, in sentences.
    also: tuple[OtherFeatures, ...] = ()  # The FID in further features.
    # Whether a network tells the images from real ones by their pixels; if null, `notes` says why.
    told_apart: ToldApart | None = None
    overlaps: Overlaps | None = None  # Images that sets share but should not.
    repeats: Repeats | None = None  # Generated images that repeat each other.
    # Only from `run`, or in Python from `Run.evaluate`: whether the model has overfitted. Null without held-out
    # images.
    overfitting: Overfitting | None = None
    # What a person would see in the generated images that the comparison leaves out, such as colour.
    hidden: tuple[str, ...] = ()
    likelihood: Bits | None = None  # Only from `run` or `Run.evaluate`: how likely the model finds held-out images.
    run: RunFacts | None = None  # Only from `run`: the run itself.
    request: Request | None = None  # Only from `evaluate`: what was asked for, so that `--again` can repeat it.
    command: str | None = None  # Only from `evaluate`: the command.
    system: Mapping[str, Any] | None = None  # Only from `evaluate`: hardware and versions.

    def __repr__(self) -> str:
        excess = "" if self.excess is None else f", {self.excess.value:.4g} ± {self.excess.error:.2g} over the floor"
        return f"<Report of {self.protocol.generated.name}: FID {self.fid.value:.4g}{excess}>"

    @property
    def fid(self) -> Measured:
        """The Fréchet distance, `metrics["fid"]`."""
        return self.metrics["fid"]

    @classmethod
    def of(cls, value: Mapping[str, Any], name: str = "this", advice: str = "") -> "Report":
        """The report in plain JSON values, NaN for a number that is null; `name` and `advice` are for messages.

        Raises OtherVersion for a report of another version, UserError for a field that is missing.
        """
        schema = value.get("schema") if isinstance(value, Mapping) else SCHEMA
        if schema != SCHEMA:
            raise OtherVersion(f"{name} is a report of another version (schema {schema}, not {SCHEMA}): score again")
        try:
            report = msgspec.convert(with_nan(value, cls), cls)
            if "fid" not in report.metrics:
                raise msgspec.ValidationError("it has no FID")
        except msgspec.ValidationError as error:
            raise UserError(f"{name} is not a complete report: {error}{advice and f'; {advice}'}") from error
        return report

    @classmethod
    def read(cls, path: str | Path, advice: str = "") -> "Report":
        """The report in the file `path`; raises UserError as `of` does, and with `advice` for anything else."""
        return cls.of(read_json(Path(path), AnyReport, "a report of fromnoise", advice), str(path), advice)

    def plain(self) -> dict[str, Any]:
        """The report as plain JSON values, null for numbers that are not finite."""
        plain: dict[str, Any] = json.loads(msgspec.json.encode(self))
        return plain
