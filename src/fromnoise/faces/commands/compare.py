"""`fromnoise compare`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.errors import UserError
from fromnoise.faces.arguments import File, Overwrite, refuse_existing
from fromnoise.files import expanded
from fromnoise.say import say


@dataclass(frozen=True)
class CompareArguments:
    """Compare scored runs side by side: their scores, and the settings in which they differ.

    fromnoise compare runs/digits runs/no-labels
    fromnoise compare runs/* --out compare.html
    fromnoise compare runs/digits theirs.json
    """

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RUN", help_behavior_hint="(two or more)"),
    ]
    """Run folders, or reports that `fromnoise evaluate --json` wrote."""
    out: File = None
    """Also write an HTML page with images and curves; it opens offline."""
    json: bool = False
    """Print JSON instead of a table: all fields of the reports, the settings that differ, and warnings."""
    overwrite: Overwrite = False


def main(arguments: CompareArguments) -> None:
    """Compare."""
    runs = [path for named in arguments.runs for path in expanded(named)]
    if len(runs) < 2:
        raise UserError("name at least two runs to compare")
    if len(set(runs)) < len(runs):
        raise UserError("a run is named twice: name each run once")
    if arguments.out == Path("-"):
        raise UserError("--out -: name a file for the page")
    refuse_existing(arguments.overwrite, arguments.out)

    from fromnoise.experiment import system
    from fromnoise.faces import compare
    from fromnoise.faces.tables import print_side_by_side
    from fromnoise.files import write_file

    scored = [compare.Scored.of(path) for path in runs]
    names = [of.name for of in scored]
    warnings, settings = compare.warnings(scored), compare.settings(scored)
    if arguments.out is not None:
        write_file(arguments.out, compare.page(scored, system.command()))
    if arguments.json:
        reports = {of.name: of.report.plain() for of in scored}
        differ = {name: dict(zip(names, row, strict=True)) for name, row in settings}
        whole = {"runs": reports, "settings": differ, "warnings": warnings}
        print(json.dumps(whole, indent=2))
    else:
        print_side_by_side("Scores", names, compare.table(scored))
        if settings:
            print_side_by_side("Settings that differ", names, settings)
        if arguments.out is not None:
            print(arguments.out)
    for warning in warnings:
        say(f"warning: {warning}")
