"""Tables of results for the terminal."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

NAMES = {
    "fid_infinity": "FID∞",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "two_sample": "told from real",
}
MEANINGS = {
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
    fid, protocol = report["metrics"]["fid"], report["protocol"]
    reference = protocol["reference"]
    against = f"{reference['n']:,} of {escape(reference['name'])}"
    table = Table(
        title=f"FID in {escape(protocol['features']['name'])} features against {against}", title_justify="left"
    )
    table.add_column("")
    table.add_column("FID", justify="right")
    table.add_column("images", justify="right")
    table.add_column("what it is")
    rows = [
        ("generated", fid, "this model's images"),
        ("floor", fid["floor"], "real images that nobody trained on"),
        ("copycat", fid["copycat"], "the training images: a model that only memorised"),
    ]
    if "noise" in fid:
        rows.append(("noise", fid["noise"], "random bytes"))
    for name, row, meaning in rows:
        if row is None:
            table.add_row(name, "unknown", "", meaning)
        else:
            table.add_row(name, _spread(row["value"], row.get("deviation")), f"{row['n']:,}", meaning)
    if fid["ratio"] is not None:
        table.add_row("ratio", f"{fid['ratio']:.1f}", "", "generated over floor")
    return table


def metrics_table(report: dict[str, Any]) -> Table | None:
    """The other metrics, a line each: of the generated images, the floor and the copycat; None if there are none."""
    table = Table(title="Other metrics, same features and reference", title_justify="left")
    table.add_column("")
    for column in ("generated", "floor", "copycat"):
        table.add_column(column, justify="right")
    table.add_column("what it is")
    for name, meaning in MEANINGS.items():
        row = report["metrics"].get(name)
        if row is None:
            continue
        ours = _spread(row["accuracy" if name == "two_sample" else "value"], row.get("error"))
        others = (row[kind] for kind in ("floor", "copycat"))
        told = ["unknown" if other is None else _spread(other["value"], other["deviation"]) for other in others]
        table.add_row(NAMES[name], ours, *told, meaning)
    return table if table.rows else None


def _more(report: dict[str, Any]) -> Iterator[RenderableType]:
    table = metrics_table(report)
    if table is not None:
        yield table
    found = report["metrics"].get("classes")
    if found is not None:
        p = found["balance"]["p"]
        yield f"classes: as many of each as the reference has, p = {'undefined' if p is None else f'{p:.3g}'}"
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


def _spread(value: float, spread: float | None) -> str:
    return f"{value:.3f}" if spread is None else f"{value:.3f} ± {spread:.3f}"
