"""What each choice of the recipe is worth on pictures that are no digits: emoji at 32×32, one change a row.

    python -m benchmarks.ablation_own               (20 rows: some three hours on one CPU core)
    python -m benchmarks.ablation_own --rows "stem 1" "no clusters"

Every row trains from nothing on what a run trains on, as widths and stems allow no other start, for as many
floating-point operations as `--steps` of the preset take. It is judged by validation images alone: the denoising error
(`evaluation.overfitting`), and by as many sampled images how well a network that learnt from the training images too
tells them from those (AUC), their FID in general features, and their recall. Rows that only sample otherwise use the
preset's own model. Nothing here is timed. ablation_own.json keeps what was found; rows in it are not made again.
"""

import dataclasses
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import fromnoise
from benchmarks import own, results
from benchmarks.guidance import SEED, against_validation
from fromnoise.api import Run
from fromnoise.config import Config
from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.data.parts import Parts
from fromnoise.evaluation import overfitting
from fromnoise.faces import cli
from fromnoise.faces.arguments import parse_training
from fromnoise.faces.commands.train import TrainArguments
from fromnoise.faces.console import Bar
from fromnoise.files import check_writable, write_json
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.denoising import denoising_errors
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import SampleRequest, own_precision
from fromnoise.lookup import lookup
from fromnoise.training import probe

HERE = Path(__file__).parent
CLUSTERS = 40  # of the preset


@dataclass(frozen=True)
class Row:
    """A change: flags of the training and of the sampling, and what pixels in [−1, 1] are divided by."""

    train: tuple[str, ...] = ()
    sample: Mapping[str, Any] = field(default_factory=dict)
    scale: Callable[[DataInfo], float] = lambda info: info.scale


def deviation(info: DataInfo) -> float:
    """The standard deviation of all pixels about their mean."""
    return float(info.scale**2 - (sum(info.mean) / info.channels) ** 2) ** 0.5


ROWS: Mapping[str, Row] = {
    "the preset": Row(),
    "channels 32 64 64": Row(("--channels", "32", "64", "64")),
    "channels 64 128 128": Row(("--channels", "64", "128", "128")),
    "stem 1": Row(("--stem", "1", "--channels", "32", "64", "96", "96")),
    "stem 4": Row(("--stem", "4", "--channels", "96", "144")),
    "λ about 0": Row(("--lognormal", "0", "2.4")),
    "λ about −2": Row(("--lognormal", "-2", "2.4")),
    "λ about 0, narrower": Row(("--lognormal", "0", "2.0")),
    "λ narrower": Row(("--lognormal", "-1", "1.8")),
    "λ wider": Row(("--lognormal", "-1", "3.0")),
    "no clusters": Row(("--clusters", "0")),
    "10 clusters": Row(("--clusters", "10")),
    "100 clusters": Row(("--clusters", "100")),
    "augment 0.3": Row(("--augment", "0.3")),
    "dropout 0.1": Row(("--dropout", "0.1")),
    "scaled by deviation": Row(scale=deviation),
    "pixels as they are": Row(scale=lambda _: 1.0),
    "guidance 1": Row(sample={"guidance": 1.0}),
    "guidance 3.32": Row(sample={"guidance": 3.32}),
    "guidance at all levels": Row(sample={"guidance_interval": (-20.0, 20.0)}),
}


@dataclass(frozen=True)
class Settings:
    """Train and judge the rows."""

    rows: tuple[str, ...] = tuple(ROWS)
    """Rows, by name."""
    steps: int = 700
    """Steps of the preset; a row's own are those of equal cost."""
    seed: int = 0
    """Of the trainings."""
    n: int = 600
    """Images sampled, no more than there are validation images."""
    data: Path = own.Settings().data
    """The folder of the fetched packages."""
    out: Path = HERE
    """The folder of ablation_own.json and RESULTS.md."""


@dataclass(frozen=True)
class Cell:
    """A row and what was found."""

    row: str
    flags: tuple[str, ...]
    budget: int
    seed: int
    steps: int
    parameters: int
    error: float
    auc: float
    auc_error: float
    fid: float
    recall: float
    system: str


@cache
def cost(flags: tuple[str, ...]) -> float:
    """Floating-point operations of one RGBA image's forward and backward pass."""
    config = parse_training(TrainArguments, ["--data", "digits", "--steps", "1", *flags], "train").config
    info = DataInfo(4, 32, 32, 1.0, (0.0,) * 4, (1 / CLUSTERS,) * (config.data.clusters or 0))
    return probe.step_flops(Model.build(config, info), torch.device("cpu"))


def equal_steps(flags: Sequence[str], steps: int) -> int:
    """Steps that cost what `steps` of the preset do."""
    return round(steps * cost(()) / cost(tuple(flags)))


def trained(row: Row, settings: Settings, place: Path) -> Run:
    """The run of a training with the row's flags and scale."""
    data = own.fetched("emoji", dataclasses.replace(own.Settings(), data=settings.data))
    steps = equal_steps(row.train, settings.steps)
    words = ["train", "--data", data, "--init", "none", "--seed", settings.seed, "--steps", steps, "--out", place]
    real = DataInfo.of

    def scaled(images: ImageSet, config: Config) -> DataInfo:
        info = real(images, config)
        return dataclasses.replace(info, scale=row.scale(info))

    with mock.patch.object(DataInfo, "of", scaled):
        code = cli.main([*map(str, words), *row.train])
    if code:
        raise SystemExit(code)
    return fromnoise.load(place, quiet=True)


def denoising_error(model: Model, parts: Parts) -> float:
    """`overfitting.image_errors`' mean at the noise and in the units of pixels scaled as usual, whatever the scale."""
    val, ratio = parts.val, model.info.scale / DataInfo.of(parts.train, model.config).scale
    assert val is not None, "there are enough emoji"
    levels = torch.tensor(overfitting.LEVELS, dtype=torch.float64) + 2 * math.log(ratio)
    repeated = val.images.repeat(-(-overfitting.NOISY // len(val)), 1, 1, 1)
    return ratio**2 * float(np.exp(np.log(denoising_errors(model, repeated, levels).mean(axis=0)).mean()))


def judged(name: str, run: Run, settings: Settings) -> Cell:
    """What validation images say of a run's model, sampled as the row has it."""
    parts = sources.prepare(run.config.data, run.config.seed)
    assert parts.val is not None, "there are enough emoji"
    row, n = ROWS[name], min(settings.n, len(parts.val))
    sampler = dataclasses.replace(run.model.config.sampling, **row.sample)
    request = SampleRequest(n, SEED, precision=own_precision(run.model), sampler=sampler)
    told, fid, recall, _ = against_validation(run, parts, request)
    return Cell(
        name,
        row.train,
        settings.steps,
        settings.seed,
        equal_steps(row.train, settings.steps),
        sum(parameter.numel() for parameter in run.model.network.parameters()),
        denoising_error(run.model, parts),
        told.auc,
        told.error,
        fid,
        recall,
        results.machine(),
    )


def main(settings: Settings) -> None:
    """Make the rows that are missing."""
    for name in settings.rows:
        lookup("row", name, ROWS)
    file = settings.out / "ablation_own.json"
    check_writable(file)
    cells = results.known(file, Cell)
    done = {cell.row for cell in cells if (cell.budget, cell.seed) == (settings.steps, settings.seed)}
    wanted = [name for name in settings.rows if name not in done]
    with Bar("rows") as bar:
        for change in dict.fromkeys((ROWS[name].train, ROWS[name].scale) for name in wanted):
            with tempfile.TemporaryDirectory() as folder:
                run = trained(Row(change[0], scale=change[1]), settings, Path(folder) / "run")
                for name in wanted:
                    if (ROWS[name].train, ROWS[name].scale) == change:
                        cells.append(judged(name, run, settings))
                        write_json(file, {"cells": [asdict(each) for each in cells]})
                        bar.show(len(cells), len(done) + len(wanted))
    results.put(settings.out / "RESULTS.md", "ablation own", table(cells))


def table(cells: Sequence[Cell]) -> str:
    """Markdown: a line for each row, in the order of `ROWS`."""
    found = {cell.row: cell for cell in cells}
    head = ("change", "flags", "steps", "parameters", "denoising error", "AUC", "FID", "recall")
    rows = []
    for name, row in ROWS.items():
        if name in found:
            cell = found[name]
            flags = " ".join((*row.train, *(f"{key} {value}" for key, value in row.sample.items())))
            rows.append(
                (
                    name,
                    f"`{flags}`" if flags else "",
                    f"{cell.steps:,}",
                    f"{cell.parameters / 1e6:.1f} M",
                    f"{cell.error:.4f}",
                    f"{cell.auc:.3f} ± {cell.auc_error:.3f}",
                    f"{cell.fid:.3f}",
                    f"{cell.recall:.2f}",
                )
            )
    return results.table(head, rows)


if __name__ == "__main__":
    cli.script(main, Settings, __doc__)
