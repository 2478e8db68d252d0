"""What a report says in words: its verdicts, most important first, for readers who do not know the numbers yet."""

import math
from typing import Literal, NamedTuple

from scipy import stats

from fromnoise.evaluation.excess import STRICT
from fromnoise.evaluation.metrics import METRICS
from fromnoise.evaluation.report import Balance, Copies, Excess, Learned, Report
from fromnoise.experiment.verdicts import VERDICTS, alike, clean, other_floor, other_train

Mark = Literal["✓", "!", "?"]
ALIKE = 0.1
"""Share of near-duplicates in the reference above which a floor of unknown groups may be too high."""
FEW_GROUPS = 30
"""Groups in the reference below which chance rules their spread, and with it the interval."""
SHARES = ("precision", "recall", "density", "coverage")
SEEN = 0.2
"""Accuracy above guessing from which on features see the classes."""
BLANK = 1e-7
"""Error of the excess, in shares of the FID of noise, below which features see no difference between any images."""
BEHIND = 0.001
"""Chance that real images have one of these so far below what other real images have."""
DRAWS = 5
"""Of the floor, below which their deviation says little."""


class Verdict(NamedTuple):
    """The answer to a question: fine (✓), not (!), or unknown (?)."""

    question: str
    mark: Mark
    words: str


def verdicts(report: Report) -> list[Verdict]:
    """A report's verdicts. A test that every score of images should have is undecided if it was not run."""
    mark, words = _close(report)
    found = [Verdict("close to real images", mark, words)]
    untested = report.protocol.reference.n > 0  # statistics allow no tests
    if report.told_apart is not None:
        told = report.told_apart
        mark = "!" if told.told else "✓" if alike(told) else "?"
        found.append(Verdict("told apart from real images", mark, told.verdict.removeprefix("told apart: ")))
    elif untested:
        found.append(Verdict("told apart from real images", "?", str(VERDICTS["told-apart"](report))))
    if report.copies is not None:
        found.append(_copies(report, report.copies))
    elif untested:
        found.append(Verdict("copies", "?", str(VERDICTS["copying"](report))))
    if report.repeats is not None:
        wrong = VERDICTS["repeats"](report)
        mark = "!" if report.repeats.found else "?" if wrong else "✓"
        found.append(Verdict("repeats", mark, wrong or report.repeats.verdict))
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
    if report.classes is not None and report.classes.learned is not None:
        found += _classes(report.classes.balance, report.classes.learned)
    return found


def _classes(balance: Balance, learned: Learned) -> list[Verdict]:
    """A verdict on labels that are not those of their images; none where they may be, or a class is missing."""
    guessed, ours, real = max(balance.expected) / sum(balance.expected), learned.accuracy, learned.real_accuracy
    missing = any(wanted and not there for there, wanted in zip(balance.counts, balance.expected, strict=True))
    if missing or real is None or real < guessed + SEEN or ours > (guessed + real) / 2:
        return []
    taught = f"a classifier taught by the images and their labels gets {100 * ours:.0f} % of real ones right"
    return [Verdict("classes", "!", f"{taught}; taught by training images, {100 * real:.0f} %")]


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
    least = BLANK * report.noise.value if report.noise is not None else 0.0
    if not abs(excess.value) + excess.error > least:  # and if one is not a number
        return "?", f"these features see no difference between any of the images: choose others (--features); {over}"
    if excess.value > STRICT * excess.error:
        return "!", f"farther from the reference than real images are; {over}"
    if others := other_floor(report):
        return "?", f"{others}; {over}"
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
    share's. Fewer than `DRAWS` say too little of it: there it counts as known, and as no less than twice that.
    """
    found = []
    for name in SHARES:
        ours = report.metrics.get(name)
        floor = None if ours is None else ours.floor
        if ours is None or floor is None:
            continue
        binomial, few = (max(floor.value * (1 - floor.value), 0) / floor.n) ** 0.5, floor.draws < DRAWS
        deviation = max(floor.deviation or 0.0, 2 * binomial if few else binomial)
        if not deviation or (few and not binomial):
            continue
        t = (ours.value - floor.value) / (deviation * (1 + 1 / floor.draws) ** 0.5)
        if stats.t.cdf(t, math.inf if few else floor.draws - 1) < BEHIND / len(SHARES):
            found.append(f"{METRICS[name].title} ({ours.value:.2f}, real images {floor.value:.2f})")
    return found


def _copies(report: Report, found: Copies) -> Verdict:
    doubt = None if found.copying else other_train(report)
    words = "; ".join(filter(None, [found.verdict.removeprefix("copying: "), doubt]))
    return Verdict("copies", "!" if found.copying else "✓" if clean(found) and doubt is None else "?", words)
