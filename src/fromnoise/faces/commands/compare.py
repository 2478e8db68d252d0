"""`fromnoise compare`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.errors import UserError
from fromnoise.faces.arguments import parse, refuse_existing


@dataclass(frozen=True)
class CompareArguments:
    """Scored runs side by side: their scores, and the settings in which they differ.

    fromnoise compare runs/digits runs/no-labels
    fromnoise compare runs/* --out compare.html
    fromnoise compare runs/digits theirs.json        # a report of fromnoise evaluate --json
    """

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Run folders, or reports that `fromnoise evaluate --json` wrote."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write one page with images and curves as well; it needs no network."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Write the table as JSON instead."""
    overwrite: bool = False
    """Replace FILE if it is there."""


def main(words: Sequence[str]) -> int:
    """Compare; returns the exit code."""
    arguments = parse(CompareArguments, words, "compare")
    if len(arguments.runs) < 2:
        raise UserError("name at least two runs to compare")
    if len(set(arguments.runs)) < len(arguments.runs):
        raise UserError("a run is named twice: name each once")
    if arguments.out is not None:
        refuse_existing(arguments.out, arguments.overwrite)

    from fromnoise.experiment import system
    from fromnoise.faces import compare, report
    from fromnoise.faces.console import results, say
    from fromnoise.faces.tables import side_by_side

    scored = [compare.Scored.of(path) for path in arguments.runs]
    warnings, settings = compare.warnings(scored), compare.settings(scored)
    if arguments.out is not None:
        report.save(arguments.out, compare.page(scored, system.command()))
    names = [of.name for of in scored]
    if arguments.json:
        table = {of.name: dict(zip(compare.COLUMNS, of.row, strict=True)) for of in scored}
        differ = {name: dict(zip(names, row, strict=True)) for name, row in settings}
        json.dump({"runs": table, "settings": differ, "warnings": warnings}, sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        rows = list(zip(compare.COLUMNS, zip(*(of.row for of in scored), strict=True), strict=True))
        results.print(side_by_side("Scores", names, rows))
        if settings:
            results.print(side_by_side("Settings that differ", names, settings))
    for warning in warnings:
        say(f"warning: {warning}")
    if arguments.out is not None and not arguments.json:
        print(arguments.out)
    return 0
