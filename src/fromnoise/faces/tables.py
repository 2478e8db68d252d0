"""Tables of results for the terminal."""

from typing import Any

from rich.markup import escape
from rich.table import Table


def score_table(report: dict[str, Any]) -> Table:
    """FID with floor and copycat beside it."""
    fid, protocol = report["metrics"]["fid"], report["protocol"]
    reference = protocol["reference"]
    against = f"{reference['n']:,} of {escape(reference['name'])}"
    table = Table(title=f"FID in {protocol['features']['name']} features against {against}", title_justify="left")
    table.add_column("")
    table.add_column("FID", justify="right")
    table.add_column("images", justify="right")
    table.add_column("what it is")
    rows = (
        ("generated", fid, "this model's images"),
        ("floor", fid["floor"], "real images that nobody trained on"),
        ("copycat", fid["copycat"], "the training images: a model that only memorised"),
    )
    for name, row, meaning in rows:
        if row is None:
            table.add_row(name, "unknown", "", meaning)
        else:
            deviation = row.get("deviation")
            spread = f" ± {deviation:.3f}" if deviation is not None else ""
            table.add_row(name, f"{row['value']:.3f}{spread}", f"{row['n']:,}", meaning)
    if fid["ratio"] is not None:
        table.add_row("ratio", f"{fid['ratio']:.1f}", "", "generated over floor")
    return table
