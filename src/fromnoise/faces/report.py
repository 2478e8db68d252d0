"""report.html: a report as one page that opens offline, for light and dark screens, phones and paper."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from fromnoise.config import from_json
from fromnoise.data import pictures, saving
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.report import Report
from fromnoise.evaluation.verdicts import interval, verdicts
from fromnoise.faces import figures, html
from fromnoise.faces.tables import described_floor, described_reference, metric_rows, score_rows
from fromnoise.files import check_writable, quoted, write_file
from fromnoise.say import duration
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget

GRID = 64
PAIRS = 16
LETTERS = 20  # of a class's name, in a figure
POINTS = 200  # of a curve: more than a screen can show only make the page heavy
QUARTILES = ("least noise", "less", "more", "most noise")
Line = dict[str, Any]


class Drawing(NamedTuple):
    """A figure as a `data:` address, and the class of its width: panels are of one size on the whole page."""

    uri: str
    width: str


def write(folder: RunFolder, report: Report, generated: ImageSet, train: ImageSet) -> None:
    """Write a run's report.html: its report, the images that were scored, its training images, its film and logs."""
    check_writable(folder.page_file)
    film = folder.samples / "film.png"
    logs = {"log": folder.log.records(), "evaluations": folder.evaluations.records()}
    shown = film if html.is_png(film) else None
    write_file(folder.page_file, page(report, folder.path.resolve().name, generated, train, film=shown, **logs))


def page(
    report: Report,
    title: str,
    generated: ImageSet,
    train: ImageSet | None = None,
    *,
    film: Path | None = None,
    log: Sequence[Line] = (),
    evaluations: Sequence[Line] = (),
) -> str:
    """The page of a report (docs/report.md).

    generated    the images that were scored, in the report's order
    train        the training images, for the closest pairs
    film         from noise to images: a picture file
    log          lines of log.jsonl
    evaluations  lines of evaluations.jsonl
    """
    return html.render(
        "report.html",
        title=title,
        report=report,
        run=report.run,
        excess=report.excess and interval(report.excess),
        verdicts=verdicts(report),
        scores=_scores(report),
        rows=score_rows(report),
        floor=described_floor(report),
        reference=described_reference(report),
        metrics=metric_rows(report),
        grid=html.picture(pictures.captioned(generated.images[:GRID], saving.captions(generated)[:GRID])),
        surest=_surest(report, generated),
        film=film and html.uri(film.read_bytes(), "image/png"),
        losses=_losses(log),
        time=_over_time(evaluations),
        validation_seconds=sum(line["cost_seconds"] for line in evaluations),
        pairs=PAIRS if train is not None else 0,
        generated=generated,
        train=train,
        small=lambda image: html.picture(pictures.grid(image[None], columns=1, gap=0, zoom=1)),
        classes=_classes(report),
        commands=_commands(report),
        duration=duration,
    )


def thinned(records: Sequence[Line]) -> Sequence[Line]:
    """At most `POINTS` of the records, evenly, the last among them."""
    every = max(1, math.ceil(len(records) / POINTS))
    return records[::-1][::every][::-1]


def _scores(report: Report) -> str | None:
    """The FID of the images, the floor, the copycat and noise on one axis."""
    fid = report.fid
    beside = {"floor": fid.floor, "copycat": fid.copycat, "noise": report.noise}
    rows = [("generated", fid.value, fid.error)]
    rows += [(name, entry.value, entry.deviation) for name, entry in beside.items() if entry is not None]
    positive = [row for row in rows if row[1] > 0]
    return html.svg(figures.scores(positive)) if positive else None


def _surest(report: Report, generated: ImageSet) -> str | None:
    told = report.told_apart
    if told is None or not told.detected or not told.surest:
        return None
    return html.picture(pictures.grid(generated.images[list(told.surest)]))


def _losses(log: Sequence[Line]) -> Drawing | None:
    records = thinned([record for record in log if record["loss"] > 0])
    if len(records) < 2:
        return None
    epochs, losses = ([record[name] for record in records] for name in ("epoch", "loss"))
    by_level = {name: [record.get(f"loss_q{k + 1}") for record in records] for k, name in enumerate(QUARTILES)}
    return _drawing(figures.training_loss(epochs, losses, by_level))


def _over_time(lines: Sequence[Line]) -> Drawing | None:
    lines = [line for line in lines if "kid" in line]
    if len(lines) < 2:
        return None
    steps, kids, copies = ([line[name] for line in lines] for name in ("step", "kid", "copies"))
    values, errors = ([kid[name] for kid in kids] for name in ("value", "error"))
    return _drawing(figures.score_over_time(steps, values, errors, [found["share"] for found in copies]))


def _classes(report: Report) -> Drawing | None:
    """Images of each class, unless their numbers were chosen, and the FID of each, where one is known."""
    found = report.classes
    if found is None:
        return None
    balance, named, fids = found.balance, found.names, {row.class_: row.value for row in found.fid}
    shown = [
        named[k] if k < len(named) and pictures.has_letters(named[k]) else str(k) for k in range(len(balance.counts))
    ]
    names = [name.replace("$", r"\$")[:LETTERS] for name in shown]
    shares = None if report.protocol.design == "stratified" else (balance.counts, balance.expected)
    known = [fids.get(k) for k in range(len(names))] if any(value is not None for value in fids.values()) else None
    return _drawing(figures.class_balance(shares, known, names)) if shares or known else None


def _drawing(figure: Figure) -> Drawing:
    return Drawing(html.svg(figure), "wide" if len(figure.axes) > 1 else "single")


def _commands(report: Report) -> list[str]:
    """The commands that make the numbers again."""
    run = report.run
    if run is None:
        return [report.command] if report.command else []
    *before, _ = (str(from_json(Budget, budget)) for budget in run.training.budgets)
    again = run.command + (f"  # goes on from a run of {' and '.join(before)}" if before else "")
    return [again, quoted(["fromnoise", "evaluate", "--again", f"{report.protocol.generated.name}/report.json"])]
