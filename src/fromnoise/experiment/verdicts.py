"""Verdicts of a report that a program may fail on: `--fail-on copying,overlap`.

What could not be judged fails too: a check that was not made must not pass for one.
"""

from collections.abc import Callable, Iterable, Mapping

from fromnoise.errors import Failed
from fromnoise.evaluation.report import Report
from fromnoise.lookup import lookup


def _copying(report: Report) -> str | None:
    if report.copies is None:
        return "not tested, because the training images are not known (--train)"
    return None if report.copies.copying is False else report.copies.verdict


def _overfitting(report: Report) -> str | None:
    found = report.overfitting
    if found is None:
        return "not tested: `fromnoise run` tests the model, `fromnoise evaluate` sees only images"
    return found.verdict if found.overfitted else None


def _told_apart(report: Report) -> str | None:
    if report.told_apart is None:
        return "not tested: the report's notes say why"
    return report.told_apart.verdict if report.told_apart.told else None


def _overlap(report: Report) -> str | None:
    if report.overlaps is None:
        return "not tested: the reference is statistics, not images"
    return "; ".join(each.verdict for each in report.overlaps.found) or None


def _repeats(report: Report) -> str | None:
    if report.repeats is None:
        return "not tested: the reference is statistics, or the report is older than the test"
    return report.repeats.verdict if report.repeats.found else None


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
