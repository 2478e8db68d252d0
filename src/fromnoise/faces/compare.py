"""Runs side by side: what of their scores may be compared, how they differ, and one page of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fromnoise.config import flat
from fromnoise.errors import UserError
from fromnoise.evaluation.score import KIND, SCHEMA, read_report
from fromnoise.experiment.find import is_run
from fromnoise.experiment.progress import duration
from fromnoise.faces import figures, html
from fromnoise.faces.report import thinned
from fromnoise.faces.tables import METRICS, spread, value_and_error
from fromnoise.files import lost, reading
from fromnoise.training.run_folder import RunFolder

LABEL = 32  # letters of a run's name in a figure


@dataclass(frozen=True)
class Scored:
    """A report and, for a run, the folder it is in."""

    name: str
    report: dict[str, Any]
    folder: RunFolder | None = None

    @classmethod
    def of(cls, path: Path) -> "Scored":
        """The report of a run folder, or one that `evaluate --json` wrote; raises UserError for anything else."""
        folder = RunFolder(path) if is_run(path) else None
        file = path if folder is None else folder.report_file
        if not file.is_file() and folder is None:
            raise UserError(f"{path} is neither a run folder nor a report{lost(path)}")
        if not file.is_file():
            raise UserError(f"{path} has no score yet: fromnoise run")
        found = read_report(file)
        if found.get("schema") != SCHEMA:
            version = f"schema {found.get('schema')}, not {SCHEMA}"
            again = "with the run's own command" if folder else "with fromnoise evaluate"
            raise UserError(f"{file} was written by another version ({version}): score it again {again}")
        scored = cls(str(path), found, folder)
        with reading(file, KIND):
            scored.cells, warnings([scored, scored]), settings([scored])
        return scored

    @property
    def cells(self) -> dict[str, str]:
        """What of the score and the run stands in the table, by row; empty where it is not known."""
        metrics, copies, gap = self.report["metrics"], self.report["copies"], self.report.get("likelihood")
        fid, run = metrics["fid"], self.report.get("run")
        beside = {name: metrics[metric] for metric, (name, _) in METRICS.items() if metric != "two_sample"}
        cells = {
            "FID": value_and_error(fid),
            "floor": fid["floor"] and value_and_error(fid["floor"]),
            "ratio": fid["ratio"] and f"{fid['ratio']:.1f}",
            **{name: entry and value_and_error(entry) for name, entry in beside.items()},
            "copies": copies and copies["verdict"].partition(": ")[0],
            "bits, held out": gap and spread(gap["held_out"]["bits"], gap["held_out"]["standard_error"]),
            "overfitting gap": gap and spread(gap["gap"]["value"], gap["gap"]["standard_error"]),
            "parameters": run and f"{run['training']['parameters']:,}",
            "steps": run and f"{run['training']['steps']:,}",
            "training": run and duration(run["training"]["seconds"]),
            "sampling": run and f"{run['sampling']['n']:,} in {duration(run['sampling']['seconds'])}",
        }
        return {name: cell or "" for name, cell in cells.items()}


def table(scored: Sequence[Scored]) -> list[tuple[str, list[str]]]:
    """The scores side by side: a row's name, and what each has there."""
    cells = [of.cells for of in scored]
    return [(name, [of[name] for of in cells]) for name in cells[0]]


def warnings(scored: Sequence[Scored]) -> list[str]:
    """In what the scores were not taken alike, so that they must not be compared; empty where all is alike."""
    first, *others = [(of.name, _conditions(of.report)) for of in scored]
    found = []
    for name, conditions in others:
        different = [what for what, value in conditions.items() if value != first[1][what]]
        if different:
            found.append(f"{name} and {first[0]} were not scored alike ({', '.join(different)}): do not compare")
    return found


def _conditions(report: dict[str, Any]) -> dict[str, Any]:
    """What has to be equal for two scores to compare."""
    protocol, floor = report["protocol"], report["metrics"]["fid"]["floor"]
    source = protocol["floor"]
    # A subset of the floor's images is taken by class where there are classes.
    by_class = floor and source and floor["n"] < source["n"] and report["metrics"]["classes"] is not None
    return {
        "reference": protocol["reference"]["sha256"],
        "features": (protocol["features"]["name"], protocol["features"]["sha256"]),
        "number of images": protocol["generated"]["n"],
        "size": protocol["generated"]["shape"],
        "floor": (source and source["sha256"], by_class),
    }


def settings(scored: Sequence[Scored]) -> list[tuple[str, list[str]]]:
    """The settings, and hardware, in which the runs differ: name, and each one's."""
    runs = [of.report.get("run") for of in scored]
    configs = [{} if run is None else flat(run["config"]) | {"hardware": run["system"]["hardware"]} for run in runs]
    names = list(dict.fromkeys(name for config in configs for name in config))
    values = {name: [str(config.get(name, "")) for config in configs] for name in names}
    return [(name, row) for name, row in values.items() if len(set(row)) > 1]


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
            if grid.is_file():
                grids.append((of.name, html.uri(grid.read_bytes(), "image/png")))
    fids = [of.report["metrics"]["fid"] for of in scored]
    rows = [(label, fid["value"], fid["error"]) for label, fid in zip(labels, fids, strict=True)]
    floors = [(fid["floor"]["value"], fid["floor"]["deviation"]) for fid in fids if fid["floor"] is not None]
    if floors:
        rows.append(("floor", *min(floors, key=lambda floor: floor[0])))
    return html.render(
        "compare.html",
        names=names,
        scores=html.svg(figures.scores(rows)) if all(value > 0 for _, value, _ in rows) else None,
        rows=[(name, row) for name, row in table(scored) if any(row)],
        warnings=warnings(scored),
        verdicts=[(of.name, of.report["copies"]["verdict"]) for of in scored if of.report["copies"] is not None],
        settings=settings(scored),
        grids=grids,
        losses=html.svg(figures.losses(curves)) if curves else None,
        command=command,
    )


def _labels(names: Sequence[str]) -> list[str]:
    """Names that leave room for a figure beside them: their ends, which is where paths differ."""
    short = [name if len(name) <= LABEL else f"…{name[1 - LABEL :]}" for name in names]
    return short if len(set(short)) == len(short) else list(names)
