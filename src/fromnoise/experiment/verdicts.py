"""Verdicts of a report that a program may fail on: `--fail-on copying,overlap`.

What could not be judged fails too, and what is undecided because little would have been noticed: a check that was not
run must not count as passed.
"""

from collections.abc import Callable, Iterable, Mapping

from fromnoise.errors import Failed
from fromnoise.evaluation.copies import NOTICED
from fromnoise.evaluation.report import Copies, Report, ToldApart
from fromnoise.lookup import lookup

BLIND = 0.65
"""AUC from which on a two-sample test that finds nothing says little: what a third of blobs may have."""
TWICE = 10
"""Repeats to expect, where each image is there twice, without which none would be noticed."""
FAR = 6
"""Standard errors of the generated images' KID that count as more than chance: in 60 sets of real images, one draw of
others was never farther than 3.4 from the reference."""


def clean(found: Copies) -> bool:
    """Whether a copy test that would have noticed `NOTICED` of copies found no sign of them."""
    if found.copying is not False or found.bound is None:
        return False
    return found.bound.least is not None and found.bound.least <= NOTICED


def other_train(report: Report) -> str | None:
    """What to say where a model can hardly have learnt from the training images that were named."""
    fid, kid = (report.metrics.get(name) for name in ("fid", "kid"))
    if fid is None or kid is None or kid.error is None or fid.copycat is None or kid.copycat is None:
        return None
    if fid.copycat.value < 2 * fid.value or kid.copycat.value < max(kid.value, 0.0) + FAR * kid.error:
        return None
    return "the training images are farther from the reference than the generated ones: are they those of this model?"


def other_floor(report: Report) -> str | None:
    """What to say where the floor's images are not of the reference's kind."""
    kid = report.metrics.get("kid")
    if kid is None or kid.error is None or kid.floor is None or kid.floor.value < FAR * kid.error:
        return None
    return f"the floor's real images are not of the reference's kind: their KID is {kid.floor.value:.2g}, not about 0"


def alike(found: ToldApart) -> bool:
    """Whether a two-sample test that would have seen a difference found none."""
    return not found.told and found.detectable < BLIND


def _copying(report: Report) -> str | None:
    if report.copies is None:
        return "not tested, because the training images are not known (--train)"
    return other_train(report) if clean(report.copies) else report.copies.verdict


def _overfitting(report: Report) -> str | None:
    found = report.overfitting
    if found is None:
        return "not tested: `fromnoise run` tests the model, `fromnoise evaluate` sees only images"
    return found.verdict if found.overfitted else None


def _told_apart(report: Report) -> str | None:
    if report.told_apart is None:
        return "not tested: the report's notes say why"
    return None if alike(report.told_apart) else report.told_apart.verdict


def _overlap(report: Report) -> str | None:
    if report.overlaps is None:
        return "not tested: the reference is statistics, not images"
    return "; ".join(each.verdict for each in report.overlaps.found) or None


def _repeats(report: Report) -> str | None:
    if report.repeats is None:
        return "not tested: the reference is statistics, or the report is older than the test"
    if report.repeats.found or report.repeats.n**2 >= 2 * TWICE * report.protocol.generated.n:
        return report.repeats.verdict if report.repeats.found else None
    return f"{report.repeats.verdict}; with so few of either, not even each image twice would have been noticed"


VERDICTS: Mapping[str, Callable[[Report], str | None]] = {
    "copying": _copying,
    "overlap": _overlap,
    "overfitting": _overfitting,
    "repeats": _repeats,
    "told-apart": _told_apart,
}
"""By name: what is wrong with a report, in words; None where nothing is."""


def named(text: str | None) -> tuple[str, ...]:
    """The names in a comma list; raises UserError for one that is not known."""
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        lookup("verdict", name, VERDICTS)
    return tuple(names)


def check(report: Report, names: Iterable[str]) -> None:
    """Raise Failed, saying what is wrong, for a report that fails one of the verdicts."""
    wrong = {name: VERDICTS[name](report) for name in names}
    if any(wrong.values()):
        raise Failed("; ".join(_once(name, said) for name, said in wrong.items() if said))


def _once(name: str, said: str) -> str:
    head = f"{name.replace('-', ' ')}: "  # with which some verdicts begin
    return f"{name}: {said.removeprefix(head)}"
