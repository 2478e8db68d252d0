"""What a report says in words: its verdicts, most important first, for readers who do not know the numbers yet.

`--fail-on copying,overlap` makes a command fail on those named.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from scipy import stats

from fromnoise.errors import Failed
from fromnoise.evaluation.copies import NOTICED
from fromnoise.evaluation.excess import STRICT
from fromnoise.evaluation.metrics import METRICS
from fromnoise.evaluation.overfitting import UNCLEAR
from fromnoise.evaluation.report import POWER, SIGNIFICANCE, Balance, Excess, Learned, Measured, Report
from fromnoise.lookup import lookup

Mark = Literal["✓", "!", "?"]
ALIKE = 0.1
"""Share of near-duplicates in the reference above which a floor of unknown groups may be too high."""
FEW_GROUPS = 30
"""With fewer groups in the reference, their spread, and so the interval, is mostly chance."""
BY_NEIGHBOURS = ("precision", "recall", "density", "coverage")
OF_THE_REFERENCE = ("recall", "coverage")
"""Metrics in which images must not be behind real ones."""
SEEN = 0.2
"""Features separate the classes if accuracy beats guessing by this much."""
SURE = float(stats.norm.isf(1 - POWER))
"""Standard errors beyond a test's limit of a difference that is noticed."""
RECOGNISED = 0.5
"""If near-duplicates are recognised more rarely, none being found says little."""
WRONG = 0.05
"""Share by which a classifier must disagree more with the labels than with those of real images."""
BLANK = 1e-7
"""If excess and error add up to no more than this share of noise's FID, the features see no difference at all."""
SUBSETS = 5
"""With fewer subsets of the floor, their deviation says little."""
SPREAD = 1.5
"""Deviation of coverage, the share that varies most, over a binomial share's: up to 1.4 among sets of
300 real images."""
BLIND = 0.65
"""If only an AUC this high would be noticed, a negative test says little: one third blobs can score this."""
FAR = 6
"""Standard errors of the generated images' KID from which a difference is not chance: for 60 sets of real images, no
draw of other real ones was farther than 3.4 from the reference."""


class Verdict(NamedTuple):
    """The answer to a question: fine (✓), not (!), or unknown (?)."""

    question: str
    mark: Mark
    words: str

    def __str__(self) -> str:
        return f"{self.mark} {self.question}: {self.words}"


class Test(NamedTuple):
    """A test behind a report's verdicts.

    ask          its verdicts; none if the test was not run
    untested     what to say if it was not run
    blind_fails  whether undecided means that it would have noticed little, which --fail-on treats as a failure
    question     for tests that every score of images should include; else empty
    """

    ask: Callable[[Report], list[Verdict]]
    untested: str
    blind_fails: bool = False
    question: str = ""


def verdicts(report: Report) -> list[Verdict]:
    """A report's verdicts. A test that every score of images should have is undecided if it was not run."""
    found = []
    for test in TESTS.values():
        answers = test.ask(report)
        if not answers and test.question and report.protocol.reference.n:  # statistics allow no tests
            answers = [Verdict(test.question, "?", test.untested)]
        found += answers
    return found


def named(text: str | None) -> tuple[str, ...]:
    """The names of tests in a comma list; raises UserError for one that is not known."""
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        lookup("verdict", name, dict(sorted(TESTS.items())))
    return tuple(names)


def check(report: Report, names: Iterable[str]) -> None:
    """Raise Failed, saying what is wrong, for a report that fails one of these tests.

    A test that was not run, could not judge or would have noticed little fails too (the last two not for overfitting
    and overlap): none of these counts as passed.
    """
    wrong = []
    for name in names:
        test = TESTS[name]
        found = test.ask(report)
        failed = [each.words for each in found if each.mark == "!" or (each.mark == "?" and test.blind_fails)]
        if failed or not found:
            untested = test.untested if report.protocol.reference.n else "not tested: the reference is statistics"
            wrong.append(f"{name}: {'; '.join(failed) or untested}")
    if wrong:
        raise Failed("; ".join(wrong))


def other_train(report: Report) -> str | None:
    """A warning if the model can hardly have learnt from the training images named; else None."""
    fid, kid = (report.metrics.get(name) for name in ("fid", "kid"))
    if fid is None or kid is None or kid.error is None or fid.copycat is None or kid.copycat is None:
        return None
    if fid.copycat.value < 2 * fid.value or kid.copycat.value < max(kid.value, 0.0) + FAR * kid.error:
        return None
    return "the training images are farther from the reference than the generated ones: was this model trained on them?"


def _other_floor(report: Report) -> str | None:
    """A warning if the floor's images are of another kind than the reference; else None."""
    kid = report.metrics.get("kid")
    if kid is None or kid.error is None or kid.floor is None or kid.floor.value < FAR * kid.error:
        return None
    kind = "the floor's real images are a different kind of image from the reference's"
    return f"{kind} (KID {kid.floor.value:.2g}; expected about 0)"


def _told_apart(report: Report) -> list[Verdict]:
    told = report.told_apart
    if told is None:
        return []
    mark: Mark = "!" if told.detected else "✓" if told.detectable < BLIND else "?"
    return [Verdict("told apart from real images", mark, told.verdict.removeprefix("told apart: "))]


def _copying(report: Report) -> list[Verdict]:
    found = report.copies
    if found is None:
        return []
    if found.copying:
        return [Verdict("copies", "!", found.verdict.removeprefix("copying: "))]
    least, doubt = None if found.bound is None else found.bound.least, other_train(report)
    sure = found.copying is False and least is not None and least <= NOTICED and doubt is None
    return [Verdict("copies", "✓" if sure else "?", "; ".join(filter(None, [found.verdict, doubt])))]


def _repeats(report: Report) -> list[Verdict]:
    found = report.repeats
    if found is None:
        return []
    if found.found or found.noticed:
        return [Verdict("repeats", "!" if found.found else "✓", found.verdict)]
    few = "too few images to tell: repeats might go unnoticed even if every image appeared twice"
    return [Verdict("repeats", "?", f"{found.verdict}; {few}")]


def _overfitting(report: Report) -> list[Verdict]:
    gap = report.overfitting
    if gap is None:
        return []
    low, high = gap.interval
    fine = low <= 0 and high < UNCLEAR  # not where they are NaN, for a single group
    mark: Mark = "!" if gap.overfitted else "✓" if fine else "?"
    return [Verdict("overfitting", mark, gap.verdict.removeprefix("overfitting: "))]


def _overlap(report: Report) -> list[Verdict]:
    if report.overlaps is None:
        return []
    spoilt = report.overlaps.found
    shared = [each for each in report.overlaps.known if each in spoilt or each.near > each.n / 100]
    if shared:
        return [Verdict("overlap", "!" if each in spoilt else "?", each.verdict) for each in shared]
    if few := [each.verdict for each in report.overlaps.known if each.near or each.turned]:
        found = f"hardly any: {'; '.join(few)}"
    else:
        found = "no generated image and no known training image is in the reference"
    share = report.overlaps.noticed
    how = "if made darker, shifted by a pixel and a little noisy"
    changed = f"{100 * share:.0f} % of the reference's images would have been recognised {how}"
    return [Verdict("overlap", "✓" if share >= RECOGNISED else "?", f"{found}; {changed}")]


def _classes(report: Report) -> list[Verdict]:
    if report.classes is None:
        return []
    balance, learned = report.classes.balance, report.classes.learned
    return [shares(balance, report.classes.names), *([] if learned is None else [labels(balance, learned)])]


def shares(balance: Balance, names: Sequence[str] = ()) -> Verdict:
    """A verdict on the shares of the classes, which may have names, against the reference's."""
    m, n, expected = balance.independent, sum(balance.counts), [each for each in balance.expected if each]
    p = min(2 * min(balance.p, balance.single_p), 1.0)
    if p < SIGNIFICANCE:
        pairs = list(zip(balance.counts, balance.expected, strict=True))
        worst = max(range(len(pairs)), key=lambda k: _unlike(*pairs[k]))
        name = f'"{names[worst]}"' if worst < len(names) else str(worst)
        there, wanted = (f"{100 * count / n:.1f} %" for count in pairs[worst])
        words = (
            f"the class shares differ from the reference's: class {name} makes up {there} instead of {wanted}. That "
            "alone raises the FID and its excess, because the floor has the class shares of real images"
        )
        return Verdict("classes", "!", words)
    same = f"the class shares match the reference's, as far as {n:,} images can tell (p = {p:.2g})"
    least, tests = min(expected) / n, 2 * len(expected)  # of single classes, and as many for χ²
    independent = n if balance.exact else n * m / (n + m)
    off = (float(stats.norm.isf(SIGNIFICANCE / tests / 2)) + SURE) * ((1 - least) / (independent * least)) ** 0.5
    if off < 1:
        return Verdict("classes", "✓", f"{same}; any class {100 * off:.0f} % too large or too small would be noticed")
    none = stats.binom(n, least) if balance.exact else stats.hypergeom(n + m, round(least * m), n)
    if 2 * tests * none.pmf(0) < SIGNIFICANCE:
        return Verdict("classes", "✓", f"{same}; a missing class would be noticed")
    return Verdict("classes", "?", f"{same}; even a missing class might go unnoticed")


def _unlike(there: int, wanted: float) -> float:
    return (there - wanted) ** 2 / wanted if wanted else math.inf if there else 0.0


def labels(balance: Balance, learned: Learned) -> Verdict:
    """Whether labels fit their images, by a classifier that real images have taught and reference images judge."""
    guessed, real, ours = max(balance.expected) / sum(balance.expected), learned.real_accuracy, learned.agreement
    if real is None or ours is None:
        return Verdict(
            "classes", "?", "whether labels fit their images was not tested: name labelled real images with --train"
        )
    if real < guessed + SEEN:
        right = f"gets only {100 * real:.0f} % right (guessing gets {100 * guessed:.0f} %)"
        words = f"whether labels fit their images is unknown, because a classifier in these features {right}"
        return Verdict("classes", "?", words)
    error = (ours * (1 - ours) / learned.n + real * (1 - real) / balance.independent) ** 0.5
    agrees = f"a classifier trained on real images agrees with {100 * ours:.0f} % of the labels"
    both = f"{agrees}, and with {100 * real:.0f} % of those of real images"
    if real - ours > max(WRONG, STRICT * error):
        return Verdict("classes", "!", f"labels or images are wrong: {both}")
    return Verdict("classes", "✓", f"labels fit their images: {both}")


def interval(excess: Excess) -> str:
    """The excess with its error and its interval."""
    value, low, high = (f"{each:.3f}".replace("-", "−") for each in (excess.value, excess.low, excess.high))
    return f"{value} ± {excess.error:.3f}, 95 % interval {low} to {high}"


def _close(report: Report) -> list[Verdict]:
    mark, words = _distance(report)
    if report.hidden:
        return [Verdict("close to real images", "!", "; ".join([*report.hidden, words]))]
    return [Verdict("close to real images", mark, words)]


def _distance(report: Report) -> tuple[Mark, str]:
    excess = report.excess
    if not report.protocol.reference.n:
        return "?", "the reference is statistics, which have no floor to compare the FID with"
    if excess is None:
        return "?", "no floor to compare the FID with: use --floor to name real images that the model never saw"
    over = f"excess over the FID of as many real images: {interval(excess)}"
    least = BLANK * report.noise.value if report.noise is not None else 0.0
    if not abs(excess.value) + excess.error > least:  # and if one is not a number
        return "?", f"these features see no difference between any of the images: choose others (--features); {over}"
    others = _other_floor(report)
    if excess.value > STRICT * excess.error * (2**0.5 if others else 1):  # the error knows of no such floor
        return "!", f"farther from the reference than real images are; {over}"
    if others:
        return "?", f"{others}; {over}"
    for other in report.also:
        if other.excess is not None and other.excess.value > STRICT * other.excess.error:
            where = f'in the features "{other.features.name}", though not in "{report.protocol.features.name}"'
            in_those = f"excess in those: {interval(other.excess)}"
            return "!", f"farther from the reference than real images are {where}; {in_those}"
    if excess.value < -STRICT * excess.error:
        if excess.design == "random":
            how = "classes sampled in fixed shares (then give the labels), or reference images among the generated ones"
        else:
            how = "reference images among the generated ones"
        return "?", f"closer to the reference than real images are: check for {how}; {over}"
    many, seen = f"{excess.n:,} images", f'the features "{report.protocol.features.name}"'
    no = f"no farther from the reference than real images in {seen}, as far as {many} can tell"
    perhaps = "perhaps farther from the reference than real images are"
    if worse := behind(report.metrics, report.protocol.reference.n):
        so_far = f"{perhaps}, and" if excess.low > 0 else f"{no}, but"
        return "!", f"{so_far} worse in {', '.join(worse)}; {over}"
    if excess.low > 0:
        return "?", f"{perhaps}: by chance, 1 in 40 real sets scores this far away; {over}"
    if excess.n <= (numbers := report.protocol.features.dimension):
        return "?", f"{no}, which are too few for {numbers} features; {over}"
    groups = report.protocol.reference.groups
    if groups is not None and groups < FEW_GROUPS:
        return "?", f"{no}, but the reference is only {groups} groups of images; {over}"
    if groups is None and report.repeats is not None and report.repeats.real > ALIKE:
        share = f"{100 * report.repeats.real:.0f} % of the reference"
        return "?", f"{no}; {over}; {share} are near-duplicates of other images, which raises the floor"
    return "✓", f"{no}; {over}"


def behind(metrics: Mapping[str, Measured], real: int) -> list[str]:
    """The metrics in which real images are better, with both values: a t-test of one set against the floor's subsets.

    A few subsets that happen to agree would accuse real images. So the deviation is taken as at least a binomial
    share's, or for density, which is not a share, as at least its error. With fewer than `SUBSETS`, it is treated as
    known, and as at least `SPREAD` times a binomial share's, since coverage varies more. `real` counts the reference's
    images, of which recall and coverage are shares.
    """
    found = []
    for name in BY_NEIGHBOURS:
        ours = metrics.get(name)
        floor = None if ours is None else ours.floor
        if ours is None or floor is None:
            continue
        few, share = floor.subsets < SUBSETS, (ours.value + floor.subsets * floor.value) / (1 + floor.subsets)
        n = min(floor.n, real) if name in OF_THE_REFERENCE else floor.n
        binomial = (max(share * (1 - share), 0) / n) ** 0.5
        known = ours.error if name == "density" else SPREAD * binomial if few else binomial
        deviation = max(floor.deviation or 0.0, known or 0.0)
        if not deviation or (few and not known):
            continue
        t = (ours.value - floor.value) / (deviation * (1 + 1 / floor.subsets) ** 0.5)
        if stats.t.cdf(t, math.inf if few else floor.subsets - 1) < SIGNIFICANCE / len(BY_NEIGHBOURS):
            found.append(f"{METRICS[name].title} ({ours.value:.2f}, real images {floor.value:.2f})")
    return found


TESTS: Mapping[str, Test] = {
    "close": Test(_close, "", True),
    "told-apart": Test(_told_apart, "not tested: the report's notes say why", True, "told apart from real images"),
    "copying": Test(_copying, "not tested, because the training images are not known (--train)", True, "copies"),
    "repeats": Test(_repeats, "not tested: the reference is statistics", True),
    "overfitting": Test(
        _overfitting, "not tested: `fromnoise run` tests the model, `fromnoise evaluate` sees only images"
    ),
    "overlap": Test(_overlap, "not tested: the reference is statistics, not images"),
    "classes": Test(_classes, "not tested: the report's notes say why", True),
}
"""By the names of --fail-on, in the order of a report."""
