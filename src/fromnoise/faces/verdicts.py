"""What a report says in words: its verdicts, most important first, for readers who do not know the numbers yet."""

from typing import Literal, NamedTuple

from scipy import stats

from fromnoise.evaluation.copies import NOTICED
from fromnoise.evaluation.excess import STRICT
from fromnoise.evaluation.metrics import METRICS
from fromnoise.evaluation.report import Copies, Excess, Report

Mark = Literal["✓", "!", "?"]
BLIND = 0.65
"""AUC from which on a two-sample test that finds nothing says little: what a third of blobs may have."""
ALIKE = 0.1
"""Share of near-duplicates in the reference above which a floor of unknown groups may be too high."""
FEW_GROUPS = 30
"""Groups in the reference below which chance rules their spread, and with it the interval."""
SHARES = ("precision", "recall", "density", "coverage")
BEHIND = 0.001
"""Chance that real images have one of these so far below what other real images have."""


class Verdict(NamedTuple):
    """The answer to a question: fine (✓), not (!), or unknown (?)."""

    question: str
    mark: Mark
    words: str


def verdicts(report: Report) -> list[Verdict]:
    """A report's verdicts; questions that nobody asked are left out."""
    mark, words = _close(report)
    found = [Verdict("close to real images", mark, words)]
    if report.told_apart is not None:
        told = report.told_apart
        mark = "!" if told.told else "✓" if told.detectable < BLIND else "?"
        found.append(Verdict("told apart from real images", mark, told.verdict.removeprefix("told apart: ")))
    if report.copies is not None:
        found.append(Verdict("copies", _copies(report.copies), report.copies.verdict.removeprefix("copying: ")))
    if report.repeats is not None:
        found.append(Verdict("repeats", "!" if report.repeats.found else "✓", report.repeats.verdict))
    if report.overfitting is not None:
        gap = report.overfitting
        mark = "!" if gap.overfitted else "?" if gap.interval[0] > 0 else "✓"
        found.append(Verdict("overfitting", mark, gap.verdict.removeprefix("overfitting: ")))
    if report.overlaps is not None:
        spoilt = report.overlaps.found
        shared = [each for each in report.overlaps.known if each in spoilt or each.near > each.n / 100]
        found += [Verdict("overlap", "!" if each in spoilt else "?", each.verdict) for each in shared]
        if not shared:
            found.append(
                Verdict(
                    "overlap",
                    "✓",
                    "the reference contains no generated images and, as far as they are known, no training images",
                )
            )
    return found


def interval(excess: Excess) -> str:
    """The excess with its error and its interval."""
    low, high = (f"{bound:.3f}".replace("-", "−") for bound in (excess.low, excess.high))
    value = f"{excess.value:.3f}".replace("-", "−")
    return f"{value} ± {excess.error:.3f}, 95 % interval {low} to {high}"


def _close(report: Report) -> tuple[Mark, str]:
    excess = report.excess
    if excess is None:
        return "?", "no floor to compare the FID with: give real images that the model never saw with --floor"
    over = f"excess FID over as many real images: {interval(excess)}"
    if excess.value > STRICT * excess.error:
        return "!", f"farther from the reference than real images are; {over}"
    if excess.value < -STRICT * excess.error:
        if excess.design == "random":
            how = "classes sampled in fixed shares (then give their labels) or reference images among them"
        else:
            how = "reference images among them"
        return "?", f"closer to the reference than real images are: check for {how}; {over}"
    no = f"no farther from the reference than real images, as far as {excess.n:,} images can tell"
    if behind := _behind(report):
        return "!", f"{no}, but worse in {', '.join(behind)}; {over}"
    if excess.low > 0:
        perhaps = "perhaps farther from the reference than real images are: one real set in 40 would look this far away"
        return "?", f"{perhaps}; {over}"
    if excess.n <= (numbers := report.protocol.features.dimension):
        return "?", f"{no}, which are too few for {numbers} features; {over}"
    groups = report.protocol.reference.groups
    if groups is not None and groups < FEW_GROUPS:
        return "?", f"{no}, but the reference is only {groups} groups of images; {over}"
    if groups is None and report.repeats is not None and report.repeats.real > ALIKE:
        share = f"{100 * report.repeats.real:.0f} % of the reference"
        return "?", f"{no}; {over}; {share} are near-duplicates of other images, which raises the floor"
    return "✓", f"{no}; {over}"


def _behind(report: Report) -> list[str]:
    """The shares that real images have more of: a t-test of a single set against the draws of the floor.

    A few draws that happen to agree would accuse real images, so the deviation counts as no less than a binomial
    share's.
    """
    found = []
    for name in SHARES:
        ours = report.metrics.get(name)
        floor = None if ours is None else ours.floor
        if ours is None or floor is None or not floor.deviation:
            continue
        deviation = max(floor.deviation, (max(floor.value * (1 - floor.value), 0) / floor.n) ** 0.5)
        t = (ours.value - floor.value) / (deviation * (1 + 1 / floor.draws) ** 0.5)
        if stats.t.cdf(t, floor.draws - 1) < BEHIND / len(SHARES):
            found.append(f"{METRICS[name].title} ({ours.value:.2f}, real images {floor.value:.2f})")
    return found


def _copies(found: Copies) -> Mark:
    if found.copying is not False:
        return "!" if found.copying else "?"
    least = None if found.bound is None else found.bound.least
    return "?" if least is None or least > NOTICED else "✓"
