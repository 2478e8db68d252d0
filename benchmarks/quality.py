"""How good after how many minutes? fromnoise and two peers, from the start of their process, on the packaged digits.

    make bench-quality                                             (hours: see --help for a part of it)
    python -m benchmarks.quality --contenders fromnoise --minutes 5 10 --seeds 0

The clock runs from the start of a process to the end of its training: importing, measuring and compiling included.
Each trains anew for every budget where its learning rate falls toward the end; where it is constant, one training
gives the models of all budgets. fromnoise trains as it plans to by itself. The peers train eager, in bf16 where the CPU
has it, with labels, and with the rate and guidance that `benchmarks.peer_rates` chose, which comes first. Every model
draws n images (fromnoise by its default; the peers by DDIM in --peer-calls calls), which `fromnoise evaluate` scores in
digit features against the reference, beside the copy test. The ratio is that FID over the floor: real images, as many
and with all real images' shares of the classes, that no model was trained on.

Cells that quality.json holds already are not made again. Nothing else should run beside it.
"""

import functools
import json
import statistics
import string
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.console import Console

from benchmarks import peer_rates, real, results
from benchmarks.peers import PEERS
from fromnoise.data import sources
from fromnoise.errors import UserError
from fromnoise.evaluation.design import disjoint
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.faces import style
from fromnoise.faces.cli import script
from fromnoise.faces.console import Bar
from fromnoise.files import check_writable, write_file, write_json
from fromnoise.training.run_folder import RunFolder

HERE = Path(__file__).parent
SIDE = (32, 32)
OURS = {"fromnoise": (), "fromnoise, no labels": ("--no-labels",)}
BEFORE = ("--channels", "64", "128", "128")
EARLIER = {  # as the preset was before
    "fromnoise before": (*BEFORE, "--guidance", "1.5"),
    "fromnoise before, no labels": (*BEFORE, "--guidance", "2", "--no-labels"),
}
WAYS = OURS | EARLIER
LABELLED = {f"{name}, labels": name for name in PEERS}
STARTING = 6.0  # seconds that our process takes beside its training: importing, and writing the model
DRAWS = 5  # of the floor
LETTERS = string.ascii_uppercase  # for CPUs


@dataclass(frozen=True)
class Settings:
    """Train, draw and score for every budget."""

    contenders: tuple[str, ...] = (*OURS, *LABELLED)
    """Who trains; "fromnoise before" is the preset as it was, with and without labels."""
    minutes: tuple[float, ...] = (2, 5, 10, 20)
    """Budgets from the start of the process."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of training."""
    n: int = 3000
    """Images drawn and scored."""
    reference: str = "mnist:test"
    """Real images to score against; digits:heldout, with --n 1000, where MNIST is not at hand."""
    peer_calls: int = 20
    """Network calls for each of the peers' images, by DDIM."""
    out: Path = HERE
    """The folder of quality.json, quality.png and RESULTS.md."""


@dataclass(frozen=True)
class Cell:
    """One model and its score; `seconds` from the start of its process, `p` of the copy test's comparisons."""

    contender: str
    minutes: float
    seed: int
    seconds: float
    steps: int
    n: int
    reference: str
    fid: float
    error: float
    floor: float
    copycat: float
    peer_calls: int
    verdict: str
    p: tuple[float, ...]
    system: str
    rate: float | None = None
    guidance: float | None = None

    @property
    def ratio(self) -> float:
        """The FID over the floor."""
        return self.fid / self.floor


def ours(contender: str, minutes: float, seed: int, settings: Settings, place: Path) -> Cell:
    """Train, draw and score by the command line alone."""
    run, images = place / "run", place / "images.npz"
    start = time.perf_counter()
    budget = f"{minutes - STARTING / 60:.4f}"
    words = ("--data", "digits", "--minutes", budget, "--seed", seed, *WAYS[contender], "--out", run)
    results.command("fromnoise", "train", *words)
    seconds = time.perf_counter() - start
    results.command("fromnoise", "sample", run, "--n", settings.n, "--out", images)
    steps = RunFolder(run).steps()[-1]
    return scored(
        images, settings, place, contender=contender, minutes=minutes, seed=seed, seconds=seconds, steps=steps
    )


def peers(contender: str, budgets: Sequence[float], seed: int, settings: Settings, place: Path) -> list[Cell]:
    """One training of a peer, its models at every budget drawn from and scored."""
    peer, (rate, guidance) = LABELLED[contender], peer_rates.best(LABELLED[contender], settings.out)
    told = peer_rates.train(
        peer, budgets, rate, (guidance,), seed=seed, n=settings.n, calls=settings.peer_calls, out=place
    )
    return [
        scored(place / each.pop("images"), settings, place, contender=contender, seed=seed, **each) for each in told
    ]


def scored(images: Path, settings: Settings, place: Path, **about: Any) -> Cell:
    """The cell of a model whose images are in a file."""
    report = place / "score.json"
    words = ("--generated", images, "--reference", settings.reference, "--train", "digits", "--json", report)
    results.command("fromnoise", "evaluate", *words, "--overwrite")
    score = json.loads(report.read_text())
    fid, copies = score["metrics"]["fid"], score["copies"]
    return Cell(
        n=settings.n,
        reference=settings.reference,
        fid=fid["value"],
        error=fid["error"],
        floor=floor(settings),
        copycat=fid["copycat"]["value"],
        peer_calls=settings.peer_calls,
        verdict=copies["verdict"],
        p=tuple(closer["p"] for closer in copies["closer"]),
        system=results.machine(),
        **about,
    )


@functools.cache
def floor(settings: Settings) -> float:
    """The mean FID of n real images, with all such images' shares of classes, that are not in the packaged digits."""
    source = sources.floor_for(settings.reference)
    assert source is not None
    images = sources.load(source, SIDE).without(sources.load("digits", SIDE))
    assert images.labels is not None
    extract = features("digits", torch.device("cpu"))
    reference = Moments.of(extract(sources.load(settings.reference, SIDE).images))
    if len(images) < settings.n:
        raise UserError(f"a floor of {settings.n} images cannot be drawn from {len(images)}: give a lower --n")
    draws = disjoint(len(images), settings.n, DRAWS, 0, images.labels.numpy())
    return statistics.mean(distance(Moments.of(extract(images.take(rows).images)), reference) for rows in draws)


def table(cells: Sequence[Cell]) -> str:
    """A line for each contender, budget and CPU: FID and ratio over seeds, and the copy test."""
    heads = ("trainer", "minutes", "CPU", "seeds", "seconds", "steps", "FID", "ratio", "copies", "least p")
    rows = []
    cpus = systems(cells)
    for contender in dict.fromkeys(cell.contender for cell in cells):
        mine = [cell for cell in cells if cell.contender == contender]
        for minutes, cpu in sorted({(cell.minutes, cpus.index(cell.system)) for cell in mine}):
            group = [cell for cell in mine if (cell.minutes, cell.system) == (minutes, cpus[cpu])]
            row = (
                contender,
                f"{minutes:g}",
                LETTERS[cpu],
                f"{len(group)}",
                f"{statistics.mean(cell.seconds for cell in group):,.0f}",
                f"{statistics.mean(cell.steps for cell in group):,.0f}",
                results.spread([cell.fid for cell in group], group[0].error, number),
                results.spread([cell.ratio for cell in group], shown=number),
                "; ".join(sorted({cell.verdict.partition(":")[0] for cell in group})),
                "; ".join(f"{min(cell.p):.2g}" for cell in group),
            )
            rows.append(row)
    return results.table(heads, rows)


def systems(cells: Sequence[Cell]) -> list[str]:
    """What the cells ran on, in the order of the letters that stand for them."""
    return sorted({cell.system for cell in cells})


def number(value: float) -> str:
    """Three digits, or whole from a hundred on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@style.styled
def curves(cells: Sequence[Cell]) -> Figure:
    """FID over minutes, the mean over seeds and a dot for each; the floor and the copycat as lines.

    A colour for each contender, dashes for each CPU.
    """
    figure, (axis,) = style.panels(size=(8.4, 4.4))
    cpus, names = systems(cells), list(dict.fromkeys(cell.contender for cell in cells))
    for contender, cpu in dict.fromkeys((cell.contender, cell.system) for cell in cells):
        group = [cell for cell in cells if (cell.contender, cell.system) == (contender, cpu)]
        budgets = sorted({cell.minutes for cell in group})
        means = [statistics.geometric_mean([cell.fid for cell in group if cell.minutes == each]) for each in budgets]
        label = contender if len(cpus) == 1 else f"{contender} ({LETTERS[cpus.index(cpu)]})"
        k = names.index(contender)
        colour, dashes = style.COLOURS[k % len(style.COLOURS)], style.DASHES[cpus.index(cpu) % len(style.DASHES)]
        axis.plot(budgets, means, color=colour, linestyle=dashes, marker="os^DvP"[k % 6], label=label)
        axis.plot([c.minutes for c in group], [c.fid for c in group], ".", color=colour, markersize=4)
    for name, value in (("copycat", cells[0].copycat), ("floor", cells[0].floor)):
        axis.axhline(value, color=style.QUIET, linewidth=1, linestyle="-")
        axis.annotate(name, (0.02, value), xycoords=("axes fraction", "data"), va="bottom", color=style.QUIET)
    axis.set_xscale("log")
    axis.set_yscale("log")
    style.counts(axis, sorted({round(cell.minutes) for cell in cells}))
    axis.set_xlabel("minutes from the start of the process")
    axis.set_ylabel("FID in digit features")
    figure.legend(loc="outside right center")
    return figure


def write(cells: Sequence[Cell], settings: Settings) -> None:
    """quality.json, quality.png, and the section of RESULTS.md."""
    write_json(settings.out / "quality.json", {"cells": [asdict(cell) for cell in cells]})
    shown = [cell for cell in cells if alike(cell, settings)]
    write_file(settings.out / "quality.png", style.png(curves(shown)))
    peers = ""
    if any(cell.contender in LABELLED for cell in shown):
        peers = f"""
Peers are told the classes; their networks take as many operations as that one. `python -m benchmarks.peer_rates` chose
their learning rate and guidance on {real.NAME}.
They warm up in proportion and sample by DDIM in {settings.peer_calls} network calls."""
    text = f"""`make bench-quality`, or parts of it. Minutes of wall clock from the start of a process on the 3,000
packaged digits, at 32×32.
FID of {settings.n:,} samples in digit features against {settings.reference}, mean and standard deviation
over seeds (for a single seed, its standard error in brackets). The ratio is to the floor, {shown[0].floor:.4f}, which
is the FID of as many real images that no model was trained on; training images score {shown[0].copycat:.3f}.
Seconds are those that the process took.
fromnoise samples with its default sampler. Without labels, it conditions on clusters of similar images.
"Before" is an earlier, wider and slower preset: `{" ".join(BEFORE)}` normalised in 8 groups (a setting since removed),
with a guidance of 1.5, or 2 without labels. "Least p" is the copy test's.{peers}

{table(shown)}

![FID over minutes](quality.png)

CPU {"; ".join(f"{letter}: {cpu}" for letter, cpu in zip(LETTERS, systems(shown), strict=False))}
"""
    results.put(settings.out / "RESULTS.md", "quality", text)


def alike(cell: Cell, settings: Settings) -> bool:
    """Whether a cell was scored as the settings say."""
    asked = settings.n, settings.reference, settings.peer_calls
    return (cell.n, cell.reference, cell.peer_calls) == asked


def main(settings: Settings) -> None:
    """Make the cells that are missing."""
    unknown = set(settings.contenders) - {*WAYS, *LABELLED}
    if unknown:
        raise UserError(f"no such contender: {', '.join(sorted(unknown))}; choose of {', '.join([*WAYS, *LABELLED])}")
    check_writable(settings.out / "quality.json")
    cells = results.known(settings.out / "quality.json", Cell)
    done = {(cell.contender, cell.minutes, cell.seed) for cell in cells if alike(cell, settings)}
    wanted: list[tuple[str, tuple[float, ...], int]] = []
    for seed in settings.seeds:
        for who in settings.contenders:
            missing = tuple(each for each in sorted(settings.minutes) if (who, each, seed) not in done)
            if who in WAYS or PEERS[LABELLED[who]].falls:
                wanted += [(who, (minutes,), seed) for minutes in missing]
            elif missing:
                wanted.append((who, missing, seed))
    if wanted:
        floor(settings)  # had, or refused, before anything is trained
    for who in {who for who, _, _ in wanted} & set(LABELLED):
        peer_rates.best(LABELLED[who], settings.out)
    with Bar("trainings") as bar:
        for k, (who, budgets, seed) in enumerate(wanted):
            with tempfile.TemporaryDirectory() as folder:
                if who in WAYS:
                    cells.append(ours(who, budgets[0], seed, settings, Path(folder)))
                else:
                    cells += peers(who, budgets, seed, settings, Path(folder))
            write(cells, settings)
            bar.show(k + 1, len(wanted))
    write(cells, settings)
    Console().print((settings.out / "RESULTS.md").read_text(), markup=False, highlight=False)


if __name__ == "__main__":
    script(main, Settings, __doc__)
