"""How good are images drawn in few network calls? FID over time by sampler, spacing and guidance, from one model.

    python -m benchmarks.sampling digits       (twenty minutes on two CPU cores; digits: the packaged model)
    python -m benchmarks.sampling runs/digits --out curve --samplers dpm++ --guidance 1 1.5:-4:2 3:-4:1 --steps 10

Every setting draws the same n images (seed 0: the same starting noise) and is scored in digit features against one
reference, beside the floor: real images, as many, that no model was trained on. Defaults are chosen by such curves, so
that the reference is neither the test digits nor the held-out ones, but other training digits of MNIST. FID at small n
is biased upwards, alike for all settings: compare within one table only. Seconds are of drawing alone, after a
warm-up.
"""

import math
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated

import tyro
from matplotlib.figure import Figure
from rich.console import Console
from torch import Tensor

from benchmarks import results
from benchmarks.real import validation
from fromnoise.diffusion.settings import SamplerName, SamplerSettings, Spacing
from fromnoise.errors import UserError
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.experiment import system
from fromnoise.experiment.find import find_model
from fromnoise.faces import style
from fromnoise.faces.cli import script
from fromnoise.faces.console import Bar
from fromnoise.files import check_writable, write_file, write_json
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import SampleRequest, guidance_of, interval_of, network_calls, own_precision, sample
from fromnoise.training.device import accelerator

HERE = Path(__file__).parent
OWN = "own"  # guidance, as the model has it by itself


@dataclass(frozen=True)
class Settings:
    """Draw the quality-time curve of a trained model's samplers."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder, a checkpoint in it, a model file, or digits, the packaged model."""
    out: Path = HERE
    """The folder for sampling.json, sampling.md and sampling.png."""
    n: int = 1000
    """Images a setting."""
    samplers: tuple[SamplerName, ...] = ("ddim", "heun", "ipndm", "dpm++", "dpm++3m", "unipc")
    """Samplers to compare; ancestral is known too."""
    spacings: tuple[Spacing, ...] = ("logsnr", "karras")
    """Spacings to compare; t is known too."""
    guidance: tuple[str, ...] = ("1", OWN)
    """Guidance to compare: own, the model's, or the weight, and after colons the λ between which it holds (everywhere
    when not said)."""
    steps: tuple[int, ...] = (6, 8, 10, 14, 20)
    """Network calls an image, without those of guidance."""
    device: str = "auto"
    """Where to compute."""


@dataclass(frozen=True)
class Row:
    """One setting's FID, and the seconds that its n images took."""

    sampler: str
    spacing: str
    guidance: str
    steps: int
    calls: int
    fid: float = math.nan
    seconds: float = math.nan

    @property
    def line(self) -> tuple[str, str, str]:
        """What a curve of its own is drawn for."""
        return self.sampler, self.spacing, self.guidance


def guided(sampling: SamplerSettings, spec: str) -> SamplerSettings:
    """`sampling` with guidance as WEIGHT or WEIGHT:FROM:TO says, or the model's own. Raises UserError for else."""
    if spec == OWN:
        return sampling
    try:
        weight, *interval = map(float, spec.split(":"))
        least, most = interval or (-30, 30)  # all there are
    except ValueError:
        raise UserError(f"guidance is {OWN}, WEIGHT or WEIGHT:FROM:TO, as 1.5:-4:2, not {spec!r}") from None
    return replace(sampling, guidance=weight, guidance_interval=(least, most))


def asked(settings: Settings, model: Model) -> list[tuple[Row, SamplerSettings]]:
    """All that is to be drawn, not yet scored. Raises UserError for what no sampler can do."""
    grid = []
    for steps, name, spacing, guidance in product(
        settings.steps, settings.samplers, settings.spacings, settings.guidance
    ):
        own = replace(model.config.sampling, sampler=name, spacing=spacing, sampling_steps=steps)
        how = guided(own, guidance)
        grid.append((Row(name, spacing, guidance, steps, network_calls(model, how)), how))
    return grid


def measure(
    grid: Sequence[tuple[Row, SamplerSettings]],
    n: int,
    model: Model,
    extract: Features,
    reference: Moments,
) -> list[Row]:
    """All of the grid, one after the other."""
    precision = own_precision(model)
    rows = []

    def drawn(count: int, how: SamplerSettings) -> Tensor:
        return sample(model, SampleRequest(count, precision=precision, sampler=how))

    drawn(64, replace(model.config.sampling, sampling_steps=2))
    with Bar("settings") as bar:
        for k, (row, how) in enumerate(grid):
            start = time.perf_counter()
            images = drawn(n, how)
            seconds = time.perf_counter() - start
            fid = distance(Moments.of(extract(images)), reference)
            rows.append(replace(row, fid=fid, seconds=seconds))
            bar.show(k + 1, len(grid))
    return rows


def table(rows: Sequence[Row]) -> str:
    """FID and network calls of every setting as Markdown, the least FID of each column in bold."""
    steps = sorted({row.steps for row in rows})
    best = {n: min(row.fid for row in rows if row.steps == n) for n in steps}
    found = []
    for line in dict.fromkeys(row.line for row in rows):
        cells = [
            f"{'**' * (row.fid == best[row.steps])}{row.fid:.3f}{'**' * (row.fid == best[row.steps])} ({row.calls})"
            for row in sorted((row for row in rows if row.line == line), key=lambda row: row.steps)
        ]
        found.append([*line, *cells])
    return results.table(["sampler", "spacing", "guidance", *(f"{n} steps" for n in steps)], found)


@style.styled
def curves(rows: Sequence[Row], n: int, real: float) -> Figure:
    """FID over network calls, a panel for each guidance and spacing, both axes logarithmic."""
    kinds = list(dict.fromkeys((row.guidance, row.spacing) for row in rows))
    figure, axes = style.panels(len(kinds), 1, (4.6, 4.0))
    for axis, (guidance, spacing) in zip(axes, kinds, strict=True):
        own = [row for row in rows if (row.guidance, row.spacing) == (guidance, spacing)]
        for k, name in enumerate(dict.fromkeys(row.sampler for row in own)):
            line = sorted((row for row in own if row.sampler == name), key=lambda row: row.calls)
            axis.loglog([row.calls for row in line], [row.fid for row in line], marker="os^DvP*"[k % 7], label=name)
        axis.axhline(real, color=style.QUIET, linewidth=1, linestyle="-", label="floor")
        axis.set_title(f"guidance {guidance}, {spacing}")
        style.counts(axis, sorted({row.calls for row in own}))
        axis.set_xlabel("network calls an image")
        axis.sharey(axes[0])
    axes[0].set_ylabel(f"FID of {n:,} images")
    axes[-1].legend()
    return figure


def main(settings: Settings) -> None:
    """Measure, print the table, write the three files."""
    check_writable(settings.out / "sampling.json")
    model = Model.load(find_model(settings.run))
    grid = asked(settings, model)
    device = accelerator(settings.device).device
    extract = features("digits", device)
    reference, rest = validation(model.info.image[1:])
    moments = Moments.of(extract(reference.images))
    others = rest.subset(settings.n, 0)  # as many of each class, like the reference
    real = distance(Moments.of(extract(others.images)), moments)
    rows = measure(grid, settings.n, model.to(device), extract, moments)
    settings.out.mkdir(parents=True, exist_ok=True)
    about = {"n": settings.n, "reference": reference.name, "floor": real, "system": system.about(device)}
    write_json(settings.out / "sampling.json", about | {"rows": [asdict(row) for row in rows]})
    seconds = sum(row.seconds for row in rows) / sum(row.calls for row in rows)
    least, most = interval_of(model, model.config.sampling)
    text = f"""# Samplers

`python -m benchmarks.sampling {shlex.join(sys.argv[1:])}` (its docstring says what it does).
FID of {settings.n:,} images in digit features against {reference.name}; real images, as many: {real:.3f}.
In brackets the network calls of an image, guidance included; a call takes {seconds:.2f} s for all images.
The model's own guidance is {guidance_of(model, model.config.sampling):g} for λ between {least:g} and {most:g}.

{table(rows)}

![FID over network calls](sampling.png)

on {results.machine()}
"""
    write_file(settings.out / "sampling.md", text)
    write_file(settings.out / "sampling.png", style.png(curves(rows, settings.n, real)))
    Console().print(text, markup=False)


if __name__ == "__main__":
    script(main, Settings, __doc__)
