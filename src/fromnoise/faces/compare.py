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
from fromnoise.faces import figures, html, report
from fromnoise.faces.tables import NAMES, spread
from fromnoise.files import lost, reading
from fromnoise.training.run_folder import RunFolder

METRICS = ("fid_matched", "fid_infinity", "kid", "precision", "recall", "density", "coverage")
COLUMNS = (
    "FID",
    "floor",
    "ratio",
    *(NAMES[name] for name in METRICS),
    "copies",
    "bits, held out",
    "overfitting gap",
    "parameters",
    "steps",
    "training",
    "sampling",
)

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
        if not file.is_file():
            hint = (
                f"is neither a run folder nor a report{lost(path)}"
                if folder is None
                else "has no score yet: fromnoise run"
            )
            raise UserError(f"{path} {hint}")
        found = read_report(file)
        if found.get("schema") != SCHEMA:
            version = f"schema {found.get('schema')}, not {SCHEMA}"
            again = "with the run's own command" if folder else "with fromnoise evaluate"
            raise UserError(f"{file} was written by another version ({version}): score it again {again}")
        scored = cls(str(path), found, folder)
        with reading(file, KIND):
            scored.row, warnings([scored, scored]), settings([scored])
        return scored

    @property
    def row(self) -> list[str]:
        """What stands in `COLUMNS`; empty where it is not known."""
        metrics, run = self.report["metrics"], self.report.get("run")
        fid, gap = metrics["fid"], self.report.get("likelihood")
        floor = fid["floor"]
        cells = [
            spread(fid["value"], fid["error"]),
            "" if floor is None else spread(floor["value"], floor["deviation"]),
            "" if fid["ratio"] is None else f"{fid['ratio']:.1f}",
        ]
        for name in METRICS:
            entry = metrics.get(name)  # reports of before have no fid_matched
            cells.append("" if entry is None else spread(entry["value"], entry.get("error")))
        cells.append("" if self.report["copies"] is None else self.report["copies"]["verdict"].partition(": ")[0])
        cells.append("" if gap is None else spread(gap["held_out"]["bits"], gap["held_out"]["standard_error"]))
        cells.append("" if gap is None else spread(gap["gap"]["value"], gap["gap"]["standard_error"]))
        if run is None:
            return cells + 4 * [""]
        training = run["training"]
        return [
            *cells,
            f"{training['parameters']:,}",
            f"{training['steps']:,}",
            duration(training["seconds"]),
            f"{run['sampling']['n']:,} in {duration(run['sampling']['seconds'])}",
        ]


def warnings(scored: Sequence[Scored]) -> list[str]:
    """In what the scores were not taken alike, so that they must not be compared; empty where all is alike."""
    first, found = scored[0], []
    for other in scored[1:]:
        ours, theirs = first.report["protocol"], other.report["protocol"]
        alike: dict[str, tuple[Any, ...]] = {
            "reference": (ours["reference"]["sha256"], theirs["reference"]["sha256"]),
            "features": (
                (ours["features"]["name"], ours["features"]["sha256"]),
                (theirs["features"]["name"], theirs["features"]["sha256"]),
            ),
            "number of images": (ours["generated"]["n"], theirs["generated"]["n"]),
            "size": (ours["generated"]["shape"], theirs["generated"]["shape"]),
            "floor": tuple(None if of["floor"] is None else of["floor"]["sha256"] for of in (ours, theirs)),
        }
        if alike["floor"][0] == alike["floor"][1]:
            alike["floor by class or not"] = (_floor_by_class(first.report), _floor_by_class(other.report))
        different = [name for name, (one, two) in alike.items() if one != two]
        if different:
            found.append(
                f"{other.name} and {first.name} were not scored alike ({', '.join(different)}): do not compare"
            )
    return found


def _floor_by_class(report: dict[str, Any]) -> bool | None:
    """Whether every draw of the floor had the same shares of the classes; None for all there are, or no floor."""
    floor, source = report["metrics"]["fid"]["floor"], report["protocol"]["floor"]
    if floor is None or floor["n"] == source["n"]:
        return None
    return report["metrics"]["classes"] is not None


def settings(scored: Sequence[Scored]) -> list[tuple[str, list[str]]]:
    """The settings, and hardware, in which the runs differ: name, and each one's."""
    runs = [of.report.get("run") for of in scored]
    configs = [{} if run is None else flat(run["config"]) | {"hardware": run["system"]["hardware"]} for run in runs]
    names = list(dict.fromkeys(name for config in configs for name in config))
    values = {name: [str(config.get(name, "")) for config in configs] for name in names}
    return [(name, row) for name, row in values.items() if len(set(row)) > 1]


def page(scored: Sequence[Scored], command: str) -> str:
    """Everything on one page, which needs no network."""
    labels = _labels([of.name for of in scored])
    curves = {}
    for of in scored:
        records = [] if of.folder is None else [line for line in of.folder.log.records() if line["loss"] > 0]
        if len(records) > 1:
            shown = report.thinned(records)
            curves[labels[of.name]] = ([line["seconds"] / 60 for line in shown], [line["loss"] for line in shown])
    grids = []
    for of in scored:
        grid = None if of.folder is None else of.folder.samples / "grid.png"
        if grid is not None and grid.is_file():
            grids.append((of.name, report.uri(grid.read_bytes(), "image/png")))
    fids = [of.report["metrics"]["fid"] for of in scored]
    rows = [(labels[of.name], fid["value"], fid["error"]) for of, fid in zip(scored, fids, strict=True)]
    known = [fid["floor"] for fid in fids if fid["floor"] is not None]
    if known:
        lowest = min(known, key=lambda floor: floor["value"])
        rows.append(("floor", lowest["value"], lowest["deviation"]))
    return html.render(
        "compare.html",
        names=[of.name for of in scored],
        scores=report.drawing(figures.scores(rows)) if all(value > 0 for _, value, _ in rows) else None,
        columns=COLUMNS,
        rows=[(of.name, of.row) for of in scored],
        warnings=warnings(scored),
        verdicts=[(of.name, of.report["copies"]["verdict"]) for of in scored if of.report["copies"] is not None],
        settings=settings(scored),
        grids=grids,
        losses=report.drawing(figures.losses(curves)) if curves else None,
        command=command,
    )


def _labels(names: Sequence[str]) -> dict[str, str]:
    """For each name one that leaves room for a figure beside it: its end, which is where paths differ."""
    short = {name: name if len(name) <= LABEL else f"…{name[1 - LABEL :]}" for name in names}
    return short if len(set(short.values())) == len(short) else {name: name for name in names}
