"""Runs side by side: whether their scores may be compared, how the runs differ, and a page of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fromnoise.config import flat
from fromnoise.errors import UserError
from fromnoise.evaluation.comparable import differences
from fromnoise.evaluation.metrics import METRICS
from fromnoise.evaluation.report import Report
from fromnoise.evaluation.verdicts import verdicts
from fromnoise.experiment.find import is_run
from fromnoise.faces import figures, html
from fromnoise.faces.report import thinned
from fromnoise.faces.tables import spread, value_and_error
from fromnoise.files import missing_hint
from fromnoise.say import duration
from fromnoise.training.run_folder import RunFolder

LABEL = 32  # letters of a run's name in a figure


@dataclass(frozen=True)
class Scored:
    """A report and, for a run, the folder it is in."""

    name: str
    report: Report
    folder: RunFolder | None = None

    @classmethod
    def of(cls, path: Path) -> "Scored":
        """The report of a run folder, or one that `evaluate --json` wrote; raises UserError for anything else."""
        folder = RunFolder(path) if is_run(path) else None
        file = path if folder is None else folder.report_file
        if not file.is_file() and folder is None:
            raise UserError(f"{path} is neither a run folder nor a report{missing_hint(path)}")
        if not file.is_file():
            raise UserError(f"{path} has no score yet: repeat its training's command with `run` for `train`")
        return cls(str(path), Report.read(file), folder)

    @property
    def cells(self) -> dict[str, str]:
        """The table's column for this run, by row; empty where a value is not known."""
        report, run = self.report, self.report.run
        bits, overfitting, told = report.likelihood, report.overfitting, report.told_apart
        beside = {metric.title: report.metrics.get(name) for name, metric in METRICS.items()}
        cells = {
            "excess": report.excess and value_and_error(report.excess),
            "FID": value_and_error(report.fid),
            "floor": report.fid.floor and value_and_error(report.fid.floor),
            **{name: entry and value_and_error(entry) for name, entry in beside.items()},
            "told apart (AUC)": told and spread(told.auc, told.error),
            "strange images": told and f"{100 * told.strange:.1f} %, p = {told.strange_p:.2g}",
            "copies": report.copies and report.copies.verdict.partition(": ")[0],
            "bits, held out": bits and spread(bits.bits, bits.standard_error),
            "overfitting gap": overfitting and f"{100 * overfitting.gap:.1f} %",
            "parameters": run and f"{run.training.parameters:,}",
            "steps": run and f"{run.training.steps:,}",
            "training": run and duration(run.training.seconds),
            "sampling": run and f"{run.sampling.n:,} in {duration(run.sampling.seconds)}",
        }
        return {name: cell or "" for name, cell in cells.items()}


def table(scored: Sequence[Scored]) -> list[tuple[str, list[str]]]:
    """The scores side by side: a row's name, and each run's cell."""
    cells = [of.cells for of in scored]
    return [(name, [of[name] for of in cells]) for name in cells[0]]


def warnings(scored: Sequence[Scored]) -> list[str]:
    """Why scores must not be compared, and whose settings are not known, in sentences; empty if all is well."""
    first, *others = scored
    found = [
        f"{of.name} and {first.name} were not scored alike ({', '.join(different)}): do not compare"
        for of in others
        if (different := differences(first.report, of.report))
    ]
    unknown = [of.name for of in scored if of.report.run is None]
    if len(unknown) < len(scored):
        found += [f"the settings of {name} are not known" for name in unknown]
    return found


def settings(scored: Sequence[Scored]) -> list[tuple[str, list[str]]]:
    """The settings, and hardware, in which the runs differ: name, and each one's, empty where they are not known."""
    runs = [of.report.run for of in scored]
    configs = [run and flat(run.config) | {"hardware": run.system.get("hardware", "unknown")} for run in runs]
    known = [config for config in configs if config]
    names = dict.fromkeys(name for config in known for name in config)
    differ = [name for name in names if len({str(config.get(name, "")) for config in known}) > 1]
    return [(name, [str(config.get(name, "")) if config else "" for config in configs]) for name in differ]


def page(scored: Sequence[Scored], command: str) -> str:
    """Everything on one page, which needs no network."""
    names = [of.name for of in scored]
    labels = _labels(names)
    curves, grids = {}, []
    for label, of in zip(labels, scored, strict=True):
        if of.folder is not None:
            records = thinned([line for line in of.folder.log.records() if line["loss"] > 0])
            if len(records) > 1:
                curves[label] = ([line["seconds"] / 60 for line in records], [line["loss"] for line in records])
            grid = of.folder.samples / "grid.png"
            if html.is_png(grid):
                grids.append((of.name, html.uri(grid.read_bytes(), "image/png")))
    over = [(label, of.report.excess) for label, of in zip(labels, scored, strict=True)]
    rows = [(label, excess.value, excess.low, excess.high) for label, excess in over if excess is not None]
    return html.render(
        "compare.html",
        names=names,
        scores=html.svg(figures.excesses(rows)) if rows else None,
        rows=[(name, row) for name, row in table(scored) if any(row)],
        warnings=warnings(scored),
        verdicts=[(of.name, verdicts(of.report)) for of in scored],
        settings=settings(scored),
        grids=grids,
        losses=html.svg(figures.losses(curves)) if curves else None,
        command=command,
    )


def _labels(names: Sequence[str]) -> list[str]:
    """Names short enough to leave room for a figure: their ends, because that is where paths differ."""
    short = [name if len(name) <= LABEL else f"…{name[1 - LABEL :]}" for name in names]
    apart = short if len(set(short)) == len(short) else names
    return [name.replace("$", r"\$") for name in apart]  # Matplotlib reads $ as mathematics
