"""Tables of results for the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from fromnoise.faces.console import results
from fromnoise.training.profile import Profile

# Of the metrics beside the FID: name and meaning.
METRICS = {
    "fid_matched": ("matched FID", "FID against the reference reweighted to the images' class shares"),
    "fid_infinity": ("FID∞", "FID without its bias from the number of images"),
    "kid": ("KID", "kernel distance, unbiased"),
    "precision": ("precision", "share of images that look real"),
    "recall": ("recall", "share of real images that the model reaches"),
    "density": ("density", "precision that outliers cannot raise"),
    "coverage": ("coverage", "recall that outliers cannot raise"),
    "two_sample": ("two-sample test", "accuracy of a classifier, generated or real; 0.5: indistinguishable"),
}


def print_score(report: dict[str, Any]) -> None:
    """The whole score: FID, the other metrics, classes, the verdict on copies, notes."""
    reference, features = report["protocol"]["reference"], report["protocol"]["features"]
    weights = f" (weights SHA-256 {features['sha256'][:16]}…)" if features["name"] == "inception" else ""
    title = f"FID in {features['name']} features{weights} against {reference['n']:,} of {reference['name']}"
    results.print(_table(title, ("", "FID", "images", "what it is"), score_rows(report)))
    rows = [(name, *values, meaning) for name, values, meaning in metric_rows(report)]
    columns = ("", "generated", "floor", "copycat", "what it is")
    results.print(_table("Other metrics, same features and reference", columns, rows))
    classes = report["metrics"]["classes"]
    if classes is not None:
        p, learned = classes["balance"]["p"], classes["learned"]
        chance = "undefined" if p is None else f"{p:.3g}"
        print(f"classes: χ² test of their shares against the reference's, p = {chance}")
        if learned is not None:
            real = learned["real_accuracy"]
            beside = "" if real is None else f" ({real:.3f} when trained on {learned['real_n']:,} training images)"
            learner = f"a classifier trained on {learned['n']:,} generated images"
            print(f"{learner} is right on {learned['accuracy']:.3f} of the reference{beside}")
    for name in ("copies", "likelihood"):
        if report.get(name) is not None:
            print(f"{name}: {report[name]['verdict']}")
    for note in report["notes"]:
        print(f"note: {note}")


def score_rows(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Name, FID, number of images and meaning of the generated images, floor, copycat and noise; then the ratio."""
    fid = report["metrics"]["fid"]
    entries = [
        ("generated", fid, "this model's images"),
        ("floor", fid["floor"], "real images that the model never saw"),
        ("copycat", fid["copycat"], "the training images: a model that only memorised"),
        ("noise", fid["noise"], "random bytes"),
    ]
    rows = [(name, value_and_error(of), "" if of is None else f"{of['n']:,}", meaning) for name, of, meaning in entries]
    if fid["ratio"] is not None:
        rows.append(("ratio", f"{fid['ratio']:.1f}", "", "generated over floor"))
    return rows


def metric_rows(report: dict[str, Any]) -> list[tuple[str, list[str], str]]:
    """The metrics beside the FID: name; of the generated images, the floor and the copycat; meaning."""
    found = {name: report["metrics"][name] for name in METRICS if report["metrics"][name] is not None}
    return [
        (
            METRICS[name][0],
            [value_and_error(of), value_and_error(of["floor"]), value_and_error(of["copycat"])],
            METRICS[name][1],
        )
        for name, of in found.items()
    ]


def value_and_error(entry: dict[str, Any] | None) -> str:
    """A number of the report, with ± its error or deviation where it has one."""
    if entry is None:
        return "unknown"
    error = entry.get("error", entry.get("deviation"))
    return spread(entry["accuracy" if "accuracy" in entry else "value"], error)


def spread(value: float, error: float | None) -> str:
    """A number, with ± its error where there is one."""
    return f"{value:.3f}" if error is None else f"{value:.3f} ± {error:.3f}"


def print_side_by_side(title: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """A table with a column for each name; rows that are empty in every column are left out."""
    results.print(_table(title, ("", *names), [(name, *values) for name, values in rows if any(values)]))


def print_profile(profile: Profile) -> None:
    """What a training step costs and where its time goes."""
    images, rate, reachable = profile.batch / profile.seconds, profile.flops / profile.seconds, profile.reachable
    print(f"plan: {profile.plan.reason}")
    print(f"{1000 * profile.seconds:.0f} ms a step of {profile.batch} images, {images:.0f} images/s")
    print(f"{rate / 1e12:.2f} TFLOP/s, {rate / reachable:.0%} of a matrix product's {reachable / 1e12:.2f}")
    print(f"the first steps took {profile.warm_up:.1f} s")
    for title, shares in (("Phases of a step", profile.phases), ("Operators that take most", profile.operators)):
        spent = [f"{1000 * part.share * profile.seconds:.1f}" for part in shares]
        rows = [(of.name, f"{of.share:.1%}", ms, f"{of.calls:g}") for of, ms in zip(shares, spent, strict=True)]
        results.print(_table(title, ("", "share", "ms a step", "calls a step"), rows))


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Words to the left, numbers to the right, folded where there is no room, and not cut."""
    table = Table(title=escape(title), title_justify="left")
    for column in columns:
        words = column in ("", "what it is")
        table.add_column(escape(column), justify="left" if words else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table
