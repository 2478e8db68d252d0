"""Results as rows, which pages use too, and as tables on the terminal."""

import math
from collections.abc import Sequence

from rich import markup
from rich.table import Table

from fromnoise.evaluation.metrics import METRICS
from fromnoise.evaluation.report import Beside, Excess, Measured, Report
from fromnoise.evaluation.verdicts import verdicts
from fromnoise.faces.console import printable, results
from fromnoise.training.profile import Profile


def print_score(report: Report) -> None:
    """The whole score: verdicts, FID, the other metrics, classes, notes, and the protocol to cite."""
    protocol = report.protocol
    for verdict in verdicts(report):
        results.sentence(str(verdict))
    weights = f" (weights SHA-256 {protocol.features.sha256[:16]}…)" if protocol.features.name == "inception" else ""
    title = f"FID in {protocol.features.name} features{weights} against {described_reference(report)}"
    results.print(_table(title, ("", "FID", "images", "what it is"), score_rows(report)))
    if rows := [(name, *values, meaning) for name, values, meaning in metric_rows(report)]:
        columns = ("", "generated", "floor", "copycat", "what it is")
        results.print(_table("Other metrics, same features and reference", columns, rows))
    if report.classes is not None and report.classes.learned is not None:
        results.sentence(str(report.classes.learned))
    for note in report.notes:
        results.sentence(f"note: {note}")
    print(printable(f"protocol: {protocol.line}"))  # whole, to be copied


def score_rows(report: Report) -> list[tuple[str, str, str, str]]:
    """Name, FID, number of images, meaning: the excess, the generated images, floor, copycat, noise; other features."""
    fid = report.fid
    entries = [
        ("excess", report.excess, "generated minus floor: 0 means as close as real images"),
        ("generated", fid, "this model's images"),
        ("floor", fid.floor, described_floor(report)),
        ("copycat", fid.copycat, "the training images: a model that only memorised"),
        ("noise", report.noise, "random bytes"),
    ]
    for other in report.also:
        name = other.features.name
        if other.excess is not None:
            entries.append((f"excess in {name} features", other.excess, "the same in other features"))
        entries.append((f"generated in {name} features", other.fid, f"{other.features.dimension} numbers per image"))
    return [
        (name, value_and_error(of), "" if of is None else f"{of.n:,}", meaning)
        for name, of, meaning in entries
        if of is not None or name != "noise"
    ]


def described_reference(report: Report) -> str:
    """What the generated images are compared with."""
    reference = report.protocol.reference
    return f"{reference.n:,} of {reference.name}" if reference.n else f"the statistics in {reference.name}"


def described_floor(report: Report) -> str:
    """What images the floor is taken from."""
    source = report.protocol.floor
    grouped = source is not None and source.groups is not None
    return "real images outside the reference" if grouped else "real images that the model never saw"


def metric_rows(report: Report) -> list[tuple[str, list[str], str]]:
    """The metrics beside the FID: name; of the generated images, the floor and the copycat; meaning."""
    return [
        (metric.title, [value_and_error(of) for of in (found, found.floor, found.copycat)], metric.meaning)
        for name, metric in METRICS.items()
        if (found := report.metrics.get(name)) is not None
    ]


def value_and_error(entry: Measured | Beside | Excess | None) -> str:
    """A number of the report, with ± its error or deviation where it has one."""
    if entry is None:
        return "unknown"
    return spread(entry.value, entry.deviation if isinstance(entry, Beside) else entry.error)


def spread(value: float, error: float | None) -> str:
    """A number, with ± its error where there is one: three decimals, or as many as show two digits of the error."""
    shown = abs(error or value)
    places = min(max(3, 1 - math.floor(math.log10(shown))), 6) if 0 < shown < math.inf else 3
    return f"{value:.{places}f}" + (f" ± {error:.{places}f}" if error is not None else "")


def print_side_by_side(title: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """A table with a column for each name; rows that are empty in every column are left out."""
    results.print(_table(title, ("", *names), [(name, *values) for name, values in rows if any(values)]))


def print_profile(profile: Profile) -> None:
    """What a training step costs and where its time goes."""
    images, rate, reachable = profile.batch / profile.seconds, profile.flops / profile.seconds, profile.reachable
    results.sentence(f"plan: {profile.plan.reason}")
    print(f"{1000 * profile.seconds:.0f} ms per step of {profile.batch} images, {images:.0f} images/s")
    print(f"{rate / 1e12:.2f} TFLOP/s, {rate / reachable:.0%} of a matrix product's {reachable / 1e12:.2f}")
    print(f"the first steps took {profile.warm_up:.1f} s")
    for title, shares in (("Phases of a step", profile.phases), ("Most expensive operators", profile.operators)):
        spent = [f"{1000 * part.share * profile.seconds:.1f}" for part in shares]
        rows = [(of.name, f"{of.share:.1%}", ms, f"{of.calls:g}") for of, ms in zip(shares, spent, strict=True)]
        results.print(_table(title, ("", "share", "ms per step", "calls per step"), rows))


def _escaped(text: str) -> str:
    """`text` for a table that takes it as it is."""
    return markup.escape(printable(text))


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Words to the left, numbers to the right, folded where there is no room, and not cut."""
    table = Table(title=_escaped(title), title_justify="left")
    for column in columns:
        words = column in ("", "what it is")
        table.add_column(_escaped(column), justify="left" if words else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(_escaped, row))
    return table
