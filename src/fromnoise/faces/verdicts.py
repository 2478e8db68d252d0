"""What a report says in words: its verdicts, most important first, for readers who do not know the numbers yet."""

from typing import Literal, NamedTuple

from fromnoise.evaluation.report import Excess, Report

Mark = Literal["✓", "!", "?"]
BLIND = 0.65
"""AUC from which on a two-sample test that finds nothing says little: what a third of blobs may have."""
ALIKE = 0.1
"""Share of near-duplicates in the reference above which the floor is too high, as its images come in groups."""


class Verdict(NamedTuple):
    """The answer to a question: fine (✓), not (!), or unknown (?)."""

    question: str
    mark: Mark
    words: str


def verdicts(report: Report) -> list[Verdict]:
    """A report's verdicts; questions that nobody asked are left out."""
    mark, words = _close(report.excess)
    if mark == "✓" and report.repeats is not None and report.repeats.real > ALIKE:
        mark = "?"
        share = f"{100 * report.repeats.real:.0f} %"
        words += f"; {share} of the reference are near-duplicates of others, which raises the floor"
    found = [Verdict("close to real images", mark, words)]
    if report.told_apart is not None:
        told = report.told_apart
        mark = "!" if told.told else "✓" if told.detectable < BLIND else "?"
        found.append(Verdict("told from real ones", mark, told.verdict))
    if report.copies is not None:
        said = report.copies.verdict
        found.append(Verdict("copies", _mark(said, "no sign", "copying:"), said))
    if report.repeats is not None:
        found.append(Verdict("repeats", "!" if report.repeats.found else "✓", report.repeats.verdict))
    if report.overfitting is not None:
        said = report.overfitting.verdict
        found.append(Verdict("overfitting", _mark(said, "no sign", "overfitting"), said))
    if report.overlaps is not None:
        spoilt = report.overlaps.found
        shared = [each for each in report.overlaps.known if each in spoilt or each.near > each.n / 100]
        found += [Verdict("overlap", "!" if each in spoilt else "?", each.verdict) for each in shared]
        if not shared:
            found.append(
                Verdict(
                    "overlap",
                    "✓",
                    "the reference holds no generated image and, as far as they are known, no training image",
                )
            )
    return found


def interval(excess: Excess) -> str:
    """The excess with its error and its interval."""
    low, high = (f"{bound:.3f}".replace("-", "−") for bound in (excess.low, excess.high))
    value = f"{excess.value:.3f}".replace("-", "−")
    return f"{value} ± {excess.error:.3f}, 95 % interval {low} to {high}"


def _close(excess: Excess | None) -> tuple[Mark, str]:
    if excess is None:
        return "?", "real images that the model never saw are not known (--floor): the FID has nothing to stand beside"
    over = f"FID over that of as many real images: {interval(excess)}"
    if excess.low > 0:
        return "!", f"farther from the reference than real images are; {over}"
    if excess.high < 0:
        if excess.design == "random":
            how = "so many images of each class (then give their labels), or images of the reference among them"
        else:
            how = "images of the reference among them"
        return "?", f"closer to the reference than real images are: look for {how}; {over}"
    return "✓", f"no farther from the reference than real images, as far as {excess.n:,} images can tell; {over}"


def _mark(said: str, fine: str, bad: str) -> Mark:
    return "✓" if said.startswith(fine) else "!" if said.startswith(bad) else "?"
