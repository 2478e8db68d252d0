"""What each choice of the recipe is worth: one change a row, trained at equal cost, over several seeds.

    python -m benchmarks.ablation               (27 rows of three seeds: some five hours on two CPU cores)
    python -m benchmarks.ablation --rows adamw "batch 32" --seeds 0

Every row trains the fast preset on the packaged digits with the flags it names, eager, for as many floating-point
operations as `--steps` of the preset itself take, so that smaller batches and networks take more steps. Its moving
average draws n images, the same starting noise for all, which are scored in digit features against one reference.
Guidance is 1.5 (2 for networks conditioned on clusters), as it was in the preset before it was chosen for each model,
unless the network is unconditional.
Trainings run beside each other, one thread each: nothing here is timed, and other work does no harm. ("λ about 1" is
the choice of Karras et al. 2022 for photographs, brought to data of unit scale.) The preset is that of the time,
`BASE`, whose cells were normalised in 8 groups; "channels 48 96 96" and "groups of 16 channels" are how it is today.

Cells that ablation.json holds already are not trained again; the table is written after each. FID at small n is
biased upwards, alike for all rows: compare within the table only.
"""

import hashlib
import json
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fromnoise.faces.cli import script

HERE = Path(__file__).parent
BATCH = 64  # of the preset
BASE = ("--channels", "64", "128", "128")  # the preset of the time
ROWS: Mapping[str, Sequence[str]] = {
    "the preset": (),
    "predict ε": ("--prediction", "eps"),
    "t uniform": ("--levels", "uniform"),
    "λ about 1": ("--lognormal", "1", "2.4"),
    "λ about −2": ("--lognormal", "-2", "2.4"),
    "λ narrower": ("--lognormal", "-1", "1.8"),
    "λ wider": ("--lognormal", "-1", "3.0"),
    "adamw": ("--optimizer", "adamw"),
    "adamw, rate 1e-3": ("--optimizer", "adamw", "--lr", "1e-3"),
    "rate 1e-3": ("--lr", "1e-3"),
    "rate 4e-3": ("--lr", "4e-3"),
    "rate constant": ("--decay", "0"),
    "rate falls from the start": ("--decay", "1"),
    "batch 32": ("--batch", "32"),
    "batch 128": ("--batch", "128"),
    "ema 0.99": ("--ema", "0.99"),
    "no ema": ("--ema", "0"),
    "no labels": ("--no-labels", "--clusters", "0"),
    "40 clusters for labels": ("--no-labels",),
    "10 clusters for labels": ("--no-labels", "--clusters", "10"),
    "dropout 0.1": ("--dropout", "0.1"),
    "channels 48 96 96": ("--channels", "48", "96", "96"),
    "channels 96 128 128": ("--channels", "96", "128", "128"),
    "two blocks a level": ("--blocks", "2", "--channels", "48", "96", "96"),
    "stem 1": ("--stem", "1", "--channels", "32", "64", "128", "128"),
    "stem 4": ("--stem", "4", "--channels", "128", "192"),
    "augment 0.3": ("--augment", "0.3"),
}
TAKEN_OUT = (
    "labels never dropped",
    "groups of 16 channels",
    "predict x0, loss on v",
    "scaled by deviation",
    "data as it is",
    "transformer",
)
"""Rows that were measured while fromnoise had these settings: their cells stay in the table."""


@dataclass(frozen=True)
class Settings:
    """Train and score the ablation's rows."""

    rows: tuple[str, ...] = tuple(ROWS)
    """Rows, by name."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of training: all rows of the first seed, then those of the next."""
    steps: int = 600
    """Steps of the preset; a row's own are those of equal cost."""
    n: int = 1000
    """Images scored."""
    jobs: int = os.cpu_count() or 1
    """Trainings beside each other, one thread each."""
    out: Path = HERE
    """The folder of ablation.json and ablation.md."""


@dataclass(frozen=True)
class Cell:
    """One training and its score."""

    row: str
    seed: int
    flags: tuple[str, ...]
    budget: int
    steps: int
    parameters: int
    n: int
    recipe: str
    """Digest of the row's whole configuration: cells of another day's defaults are not shown beside today's."""
    fid: float
    processor: str


@cache
def cost(flags: tuple[str, ...]) -> float:
    """Floating-point operations of one image's forward and backward pass with the preset's network so changed."""
    import torch

    from fromnoise.generation.data_info import DataInfo
    from fromnoise.generation.model import Model
    from fromnoise.training import probe

    config = _config(flags, 1, 0)
    info = DataInfo(1, 32, 32, 1.0, (0.0,), (0.1,) * 10 if config.network.labels else ())
    return probe.step_flops(Model.build(config, info), torch.device("cpu"))


def equal_steps(flags: Sequence[str], steps: int) -> int:
    """Steps that cost what `steps` of the preset do."""
    batch = int(flags[flags.index("--batch") + 1]) if "--batch" in flags else BATCH
    return round(steps * cost(()) / cost(tuple(flags)) * BATCH / batch)


def _config(flags: Sequence[str], steps: int, seed: int) -> Any:
    from fromnoise.faces.arguments import parse_training
    from fromnoise.faces.commands.train import TrainArguments

    return parse_training(TrainArguments, _words(flags, steps, seed), "train").config


def recipe(flags: Sequence[str]) -> str:
    """A digest of the configuration that the flags make of the preset, budget and seed left out."""
    from fromnoise.config import to_json

    return hashlib.sha256(json.dumps(to_json(_config(flags, 1, 0))).encode()).hexdigest()[:12]


def _words(flags: Sequence[str], steps: int, seed: int) -> list[str]:
    import torch

    from fromnoise.hardware import precisions

    precision = precisions(torch.device("cpu"))[-1]  # not measured beside another training
    common = ["--data", "digits", "--compile", "off", "--device", "cpu", "--precision", precision]
    return [*common, *BASE, "--steps", str(steps), "--seed", str(seed), *flags]


def trained_and_scored(row: str, seed: int, settings: Settings) -> Cell:
    """One cell, in a process of its own."""
    import torch

    torch.set_num_threads(1)
    from benchmarks import real, results
    from fromnoise.evaluation.features import features
    from fromnoise.evaluation.frechet import Moments, distance
    from fromnoise.experiment.find import find_model
    from fromnoise.faces import cli
    from fromnoise.generation.model import Model
    from fromnoise.generation.sampling import SampleRequest, own_precision, sample

    flags = tuple(ROWS[row])
    steps = equal_steps(flags, settings.steps)
    with tempfile.TemporaryDirectory() as folder:
        run, log = Path(folder) / "run", Path(folder) / "log"
        with log.open("w") as file, redirect_stdout(file), redirect_stderr(file):
            code = cli.main(["train", *_words(flags, steps, seed), "--out", str(run)])
        if code:
            raise RuntimeError(f"{row}, seed {seed}: {log.read_text()}")
        model = replace(Model.load(find_model(run)), guidance=None)
    images = sample(model, SampleRequest(settings.n, precision=own_precision(model)))
    extract = features("digits")
    size = model.info.image[1:]
    fid = distance(Moments.of(extract(images)), Moments.of(extract(real.validation(size)[0].images)))
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    kind = (settings.n, recipe(flags))
    return Cell(row, seed, flags, settings.steps, steps, parameters, *kind, fid, results.machine())


def table(cells: Sequence[Cell], settings: Settings) -> str:
    """A row each: its flags, steps, and FID over seeds beside the preset's on the same seeds."""
    from benchmarks import results

    of = {(cell.row, cell.seed): cell for cell in cells}
    base = {cell.seed: cell.fid for cell in cells if not cell.flags}
    rows = []
    for row in (*ROWS, *TAKEN_OUT):
        mine = [of[row, seed] for seed in sorted({cell.seed for cell in cells}) if (row, seed) in of]
        if not mine:
            continue
        flags = mine[0].flags
        fids = [cell.fid for cell in mine]
        spread = f" ± {statistics.stdev(fids):.2f}" if len(fids) > 1 else ""
        ratios = [cell.fid / base[cell.seed] for cell in mine if cell.seed in base]
        against = f"{statistics.geometric_mean(ratios):.2f}×" if flags and ratios else ""
        told = f"`{' '.join(flags)}`{', taken out since' if row in TAKEN_OUT else ''}" if flags else ""
        size = f"{mine[0].parameters / 1e6:.1f} M"
        fid = f"{statistics.mean(fids):.2f}{spread}"
        rows.append([row, told, f"{mine[0].steps:,}", size, fid, str(len(fids)), against])
    head = ("change", "flags", "steps", "parameters", "FID", "seeds", "against the preset")
    return results.table(head, rows)


def write(cells: Sequence[Cell], settings: Settings) -> None:
    """ablation.json and ablation.md."""
    from benchmarks.real import NAME
    from fromnoise.files import write_file, write_json

    write_json(settings.out / "ablation.json", {"cells": [asdict(cell) for cell in cells]})
    shown = [cell for cell in cells if current(cell, settings)]
    text = f"""# What each choice of the recipe is worth

`python -m benchmarks.ablation` (its docstring says what it does). The fast preset, with
`{" ".join(BASE)}` normalised in 8 groups (a setting taken out since), on the packaged digits, one change a row,
each at the operations of {settings.steps:,} steps of {BATCH} images. FID of
{settings.n:,} samples in digit features against {NAME}:
mean and standard deviation over training seeds. Images are drawn with a guidance of 1.5 (2 for clusters) where the
network was shown images with and without their classes: so "no labels" and "labels never dropped" lack it. The last
column compares the same seeds: below 1 the change is better.

{table(shown, settings)}

on {"; ".join(sorted({cell.processor for cell in shown}))}
"""
    write_file(settings.out / "ablation.md", text)


def current(cell: Cell, settings: Settings) -> bool:
    """Whether a cell was made as it would be made now."""
    same = (cell.budget, cell.n) == (settings.steps, settings.n)
    if cell.row in TAKEN_OUT:
        return same
    return same and cell.flags == ROWS.get(cell.row) and cell.recipe == recipe(cell.flags)


def main(settings: Settings) -> None:
    """Train and score what is missing."""
    from benchmarks import real, results
    from fromnoise.faces.console import Bar, say
    from fromnoise.files import check_writable
    from fromnoise.lookup import lookup

    for row in settings.rows:
        lookup("row", row, ROWS)
    file = settings.out / "ablation.json"
    check_writable(file)
    cells = results.known(file, Cell)
    done = {(cell.row, cell.seed) for cell in cells if current(cell, settings)}
    wanted = [(row, seed) for seed in settings.seeds for row in settings.rows if (row, seed) not in done]
    if wanted:
        real.validation((32, 32))  # had, or refused, before anything is trained
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes to come, which PyTorch reads when it is imported
    spawn = multiprocessing.get_context("spawn")
    with Bar("cells") as bar, ProcessPoolExecutor(settings.jobs, spawn, max_tasks_per_child=1) as pool:
        for k, cell in enumerate(as_completed([pool.submit(trained_and_scored, *each, settings) for each in wanted])):
            if error := cell.exception():
                say(str(error))  # a diverged row ends no other
            else:
                cells.append(cell.result())
                write(cells, settings)
            bar.show(k + 1, len(wanted))
    write(cells, settings)


if __name__ == "__main__":
    script(main, Settings, __doc__)
