"""Tables of results for the terminal."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from fromnoise.training.profile import Profile

NAMES = {
    "fid_matched": "matched FID",
    "fid_infinity": "FID∞",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "two_sample": "told from real",
}
MEANINGS = {
    "fid_matched": "the FID at the images' own shares of classes",
    "fid_infinity": "the FID without its bias by the number of images",
    "kid": "kernel distance, unbiased",
    "precision": "share of images that look real",
    "recall": "share of real images that are reached",
    "density": "precision that outliers cannot raise",
    "coverage": "recall that outliers cannot raise",
    "two_sample": "accuracy of a classifier that tries; 0.5: it cannot",
}


def print_score(report: dict[str, Any], console: Console) -> None:
    """The whole score: FID, the other metrics, classes, the verdict on copies, notes. Older reports have only FID."""
    console.print(score_table(report))
    for part in _more(report):
        console.print(part, markup=False, soft_wrap=True) if isinstance(part, str) else console.print(part)
    for note in report["notes"]:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def score_table(report: dict[str, Any]) -> Table:
    """FID with floor, copycat and noise beside it."""
    protocol = report["protocol"]
    reference, features = protocol["reference"], protocol["features"]
    weights = f" (weights SHA-256 {features['sha256'][:16]}…)" if features["name"] == "inception" else ""
    against = f"{reference['n']:,} of {escape(reference['name'])}"
    title = f"FID in {escape(features['name'])} features{weights} against {against}"
    table = _table(title, ("", "FID", "images", "what it is"))
    for row in score_rows(report):
        table.add_row(*row)
    return table


def score_rows(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Name, FID, number of images and meaning of the generated images, floor, copycat and noise; then the ratio."""
    fid = report["metrics"]["fid"]
    entries = [
        ("generated", fid, "this model's images"),
        ("floor", fid["floor"], "real images that the model never saw"),
        ("copycat", fid["copycat"], "the training images: a model that only memorised"),
    ]
    if "noise" in fid:
        entries.append(("noise", fid["noise"], "random bytes"))
    rows = []
    for name, entry, meaning in entries:
        value = "unknown" if entry is None else spread(entry["value"], entry.get("deviation", entry.get("error")))
        rows.append((name, value, "" if entry is None else f"{entry['n']:,}", meaning))
    if fid["ratio"] is not None:
        rows.append(("ratio", f"{fid['ratio']:.1f}", "", "generated over floor"))
    return rows


def metrics_table(report: dict[str, Any]) -> Table | None:
    """The other metrics, a line each: of the generated images, the floor and the copycat; None if there are none."""
    title = "Other metrics, same features and reference"
    table = _table(title, ("", "generated", "floor", "copycat", "what it is"))
    for name, values, meaning in metric_rows(report):
        table.add_row(name, *values, meaning)
    return table if table.rows else None


def metric_rows(report: dict[str, Any]) -> list[tuple[str, list[str], str]]:
    """The metrics beside the FID: name; of the generated images, the floor and the copycat; meaning."""
    rows = []
    for name, meaning in MEANINGS.items():
        row = report["metrics"].get(name)
        if row is not None:
            ours = spread(row["accuracy" if name == "two_sample" else "value"], row.get("error"))
            beside = [row[kind] for kind in ("floor", "copycat")]
            told = ["unknown" if other is None else spread(other["value"], other["deviation"]) for other in beside]
            rows.append((NAMES[name], [ours, *told], meaning))
    return rows


def side_by_side(title: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> Table:
    """A column for each name; rows that are empty in every column are left out."""
    table = _table(title, ("", *names))
    for name, values in rows:
        if any(values):
            table.add_row(name, *map(escape, values))
    return table


def print_profile(profile: Profile, console: Console) -> None:
    """What a training step costs and where its time goes."""
    images, rate, reachable = profile.batch / profile.seconds, profile.flops / profile.seconds, profile.reachable
    lines = (
        f"plan: {profile.plan.reason}",
        f"{1000 * profile.seconds:.0f} ms a step of {profile.batch} images, {images:.0f} images/s",
        f"{rate / 1e12:.2f} TFLOP/s, {rate / reachable:.0%} of a matrix product's {reachable / 1e12:.2f}",
        f"the first steps took {profile.warm_up:.1f} s",
    )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    for title, shares in (("Phases of a step", profile.phases), ("Operators that take most", profile.operators)):
        table = _table(title, ("", "share", "ms a step", "calls a step"))
        for part in shares:
            spent = f"{1000 * part.share * profile.seconds:.1f}"
            table.add_row(escape(part.name), f"{part.share:.1%}", spent, f"{part.calls:g}")
        console.print(table)


def _table(title: str, columns: Sequence[str]) -> Table:
    """An empty table: words to the left, numbers to the right, folded where there is no room, and not cut."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        justify: Literal["left", "right"] = "left" if column in ("", "what it is") else "right"
        table.add_column(escape(column), justify=justify, overflow="fold")
    return table


def _more(report: dict[str, Any]) -> Iterator[RenderableType]:
    table = metrics_table(report)
    if table is not None:
        yield table
    found = report["metrics"].get("classes")
    if found is not None:
        p = found["balance"]["p"]
        yield f"classes: χ² of their shares against the reference's, p = {'undefined' if p is None else f'{p:.3g}'}"
        learned = found["learned"]
        if learned is not None:
            real = learned["real_accuracy"]
            beside = "" if real is None else f" ({real:.3f} after {learned['real_n']:,} training images)"
            yield (
                f"a classifier that learns from {learned['n']:,} generated images is right on "
                f"{learned['accuracy']:.3f} of the reference{beside}"
            )
    if report.get("copies") is not None:
        yield f"copies: {report['copies']['verdict']}"
    if report.get("likelihood") is not None:
        yield f"likelihood: {report['likelihood']['verdict']}"


def spread(value: float, deviation: float | None) -> str:
    """A number, with ± its deviation or error where there is one."""
    return f"{value:.3f}" if deviation is None else f"{value:.3f} ± {deviation:.3f}"
