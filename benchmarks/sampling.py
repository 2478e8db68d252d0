"""How good are images drawn in few network calls? FID over time for every sampler and spacing, from one trained model.

    python benchmarks/sampling.py runs/digits --out sampling            (n = 3,000: hours on two CPU cores)
    python benchmarks/sampling.py runs/digits --out sampling --n 500 --samplers dpm++ unipc --calls 6 10 20

Every setting draws the same n images (seed 0: the same starting noise) and is scored in digit features against one
reference, beside the floor: real images, as many, that nobody trained on. FID at small n is biased upwards, alike
for all settings: compare within one table only. Seconds are of drawing alone, after a warm-up.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from torch import Tensor

from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.diffusion.settings import SamplerName, Spacing
from fromnoise.evaluation.features import Features, features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.faces import system
from fromnoise.faces.console import Bar
from fromnoise.faces.figures import style
from fromnoise.faces.runs import find_model, is_run, trained_on
from fromnoise.files import check_writable, write_json
from fromnoise.generation.draw import Drawing, draw_all, own_precision
from fromnoise.generation.model import Model
from fromnoise.training.device import accelerator

ALL: tuple[SamplerName, ...] = ("ancestral", "ddim", "heun", "ipndm", "dpm++", "dpm++3m", "unipc")


@dataclass(frozen=True)
class Settings:
    """Draw the quality-time curve of a trained model's samplers."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder, a checkpoint in it, or a model file."""
    out: Path
    """The folder for sampling.json, sampling.md and sampling.png."""
    n: int = 3000
    """Images a setting."""
    samplers: tuple[SamplerName, ...] = ALL
    """Samplers to compare."""
    spacings: tuple[Spacing, ...] = ("t", "logsnr", "karras")
    """Spacings to compare."""
    calls: tuple[int, ...] = (6, 8, 10, 14, 20, 30)
    """Network calls an image."""
    reference: str = "mnist:test"
    """Real images to score against; digits:heldout where MNIST is not at hand."""
    device: str = "auto"
    """Where to compute."""


@dataclass(frozen=True)
class Row:
    """One setting's FID, and the seconds that its n images took."""

    sampler: str
    spacing: str
    calls: int
    fid: float
    seconds: float


def floor(settings: Settings, model: Model, extract: Features, reference: Moments) -> float | None:
    """The FID of n real images that nobody trained on, where there are as many."""
    source = sources.floor_for(settings.reference)
    if source is None:
        return None
    images: ImageSet | None = sources.load(source, model.shape.image[1:], model.config.data.data_root)
    images = sources.less(images, trained_on(settings.run) if is_run(settings.run) else None)
    if images is None or len(images) < settings.n:
        return None
    return distance(Moments.of(extract(images.draw(settings.n, 0).images)), reference)


def measure(settings: Settings, model: Model, device: torch.device, extract: Features, reference: Moments) -> list[Row]:
    """All settings, one after the other."""
    precision = own_precision(model, device)
    rows = []

    def drawn(n: int, sampler: SamplerName, spacing: Spacing, calls: int) -> Tensor:
        how = replace(model.config.sampling, sampler=sampler, spacing=spacing, sampling_steps=calls, eta=0.0)
        return draw_all(model, Drawing(n, precision=precision, sampler=how), device)

    drawn(64, "dpm++", "karras", 2)
    grid = [
        (name, spacing, calls)
        for calls in settings.calls
        for name in settings.samplers
        for spacing in settings.spacings
    ]
    with Bar("settings") as bar:
        for k, (name, spacing, calls) in enumerate(grid):
            start = time.perf_counter()
            images = drawn(settings.n, name, spacing, calls)
            seconds = time.perf_counter() - start
            rows.append(Row(name, spacing, calls, distance(Moments.of(extract(images)), reference), seconds))
            bar.show(k + 1, len(grid))
    return rows


def table(rows: Sequence[Row], settings: Settings) -> str:
    """FID of every setting as Markdown, the least of each number of calls in bold; the last line is the mean time."""
    best = {calls: min(row.fid for row in rows if row.calls == calls) for calls in settings.calls}
    lines = ["| sampler | spacing | " + " | ".join(f"{calls} calls" for calls in settings.calls) + " |"]
    lines.append("|---|---|" + "---|" * len(settings.calls))
    for name in settings.samplers:
        for spacing in settings.spacings:
            fids = [row.fid for row in rows if (row.sampler, row.spacing) == (name, spacing)]
            cells = [
                f"**{fid:.2f}**" if fid == best[calls] else f"{fid:.2f}"
                for fid, calls in zip(fids, settings.calls, strict=True)
            ]
            lines.append(f"| {name} | {spacing} | " + " | ".join(cells) + " |")
    times = [[row.seconds for row in rows if row.calls == calls] for calls in settings.calls]
    lines.append("| seconds, mean | | " + " | ".join(f"{sum(each) / len(each):.1f}" for each in times) + " |")
    return "\n".join(lines)


@style.styled
def curves(rows: Sequence[Row], settings: Settings, real: float | None) -> Figure:
    """FID over the seconds that n images take, a panel each spacing, both axes logarithmic."""
    figure, axes = style.panels(len(settings.spacings), 1, (4.6, 4.0))
    for axis, spacing in zip(axes, settings.spacings, strict=True):
        for k, name in enumerate(settings.samplers):
            own = [row for row in rows if (row.sampler, row.spacing) == (name, spacing)]
            axis.loglog([row.seconds for row in own], [row.fid for row in own], marker="os^DvP*"[k % 7], label=name)
        if real is not None:
            axis.axhline(real, color=style.QUIET, linewidth=1, label="floor")
        axis.set_title(spacing)
        middle = [[row.seconds for row in rows if row.calls == calls] for calls in settings.calls]
        style.counts(axis, sorted({round(sum(times) / len(times)) for times in middle}))
        axis.set_xlabel(f"seconds for {settings.n:,} images")
        axis.sharey(axes[0])
    axes[0].set_ylabel("FID")
    axes[-1].legend()
    return figure


def main(settings: Settings) -> None:
    """Measure, print the table, write the three files."""
    check_writable(settings.out / "sampling.json")
    model = Model.load(find_model(settings.run))
    device = accelerator(settings.device).device
    extract = features("digits", device)
    reference = Moments.of(extract(sources.load(settings.reference, model.shape.image[1:]).images))
    real = floor(settings, model, extract, reference)
    rows = measure(settings, model, device, extract, reference)
    settings.out.mkdir(parents=True, exist_ok=True)
    about = {"n": settings.n, "reference": settings.reference, "floor": real, "system": system.about(device)}
    write_json(settings.out / "sampling.json", about | {"rows": [asdict(row) for row in rows]})
    floor_line = "" if real is None else f"; real images, as many: {real:.3f}"
    title = f"FID of {settings.n:,} images in digits features against {settings.reference}{floor_line}"
    text = f"{title}\n\n{table(rows, settings)}\n\non {system.processor()}\n"
    (settings.out / "sampling.md").write_text(text)
    style.save(curves(rows, settings, real), settings.out / "sampling.png")
    Console().print(text, markup=False)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
