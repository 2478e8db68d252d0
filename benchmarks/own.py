"""How good on images that are not ours? Emoji, icons and clothes, at 32 and 64 pixels, after minutes of training.

    make bench-own                                                     (many hours; for a part of it:)
    python -m benchmarks.own --sets emoji --sizes 32 --minutes 10 --seeds 0 1 2

Each cell is one `fromnoise run` on a set as its package holds it, and what the report says: how well a network tells
the images from real ones, the excess over the floor, recall beside that of real images, and by how much held-out
images are denoised worse than training ones. The contender "diffusers" is its training example, given the same
minutes and opaque images, as it knows no transparency; `fromnoise, opaque, afresh` stands beside it, as both start from
nothing. `fromnoise` starts from the packaged model of clip art where images are in colour; `fromnoise, afresh` does
not.

The packages are fetched into --data once: npm's emoji-datasource-google by `npm`, Debian's oxygen-icon-theme and
dataset-fashion-mnist by `apt-get`. A folder that is there already is taken as it is. own.json keeps what was found;
cells in it are not made again. Nothing else should run beside it.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fromnoise
from benchmarks import results
from fromnoise.data import arrays, sources
from fromnoise.data.settings import DataSettings
from fromnoise.errors import UserError
from fromnoise.evaluation.report import Report
from fromnoise.experiment.comparison import floor_images
from fromnoise.faces.cli import script
from fromnoise.faces.console import Bar
from fromnoise.files import check_writable, read_json, write_json
from fromnoise.training.run_folder import RunFolder

HERE = Path(__file__).parent
ROOT = HERE.parent
THRICE = 10  # minutes of which there are three seeds
OPAQUE = ("--alpha", "white")
AFRESH = ("--init", "none")
CONTENDERS: Mapping[str, tuple[str, ...]] = {
    "fromnoise": (),
    "fromnoise, afresh": AFRESH,
    "fromnoise, opaque, afresh": (*OPAQUE, *AFRESH),
    "diffusers": (),
}
CALLS = 50  # network calls of DDIM for each of diffusers' images


@dataclass(frozen=True)
class Settings:
    """Train, sample and score for every set, size and budget."""

    sets: tuple[str, ...] = ("emoji", "icons", "fashion")
    """emoji, icons, fashion."""
    sizes: tuple[int, ...] = (32, 64)
    """Height and width in pixels; Fashion-MNIST's 28 are enlarged."""
    minutes: tuple[float, ...] = (5, 10, 30)
    """Budgets."""
    seeds: tuple[int, ...] | None = None
    """Seeds of training; default: 0, and 0 1 2 for ten minutes."""
    contenders: tuple[str, ...] = ("fromnoise",)
    """fromnoise, "fromnoise, afresh"; "fromnoise, opaque, afresh" and diffusers, on the images laid on white."""
    rate: float = 1e-3
    """diffusers' learning rate: in so few steps better than its example's 1e-4. For another, name another `out`."""
    data: Path = ROOT / "build" / "own"
    """The folder of the fetched packages."""
    out: Path = HERE
    """The folder of own.json and RESULTS.md."""
    keep: Path | None = None
    """Keep the runs in this folder, to look at their images."""


@dataclass(frozen=True)
class Cell:
    """One run and what its report says; `auc` of the network that tells images apart, `gap` that of overfitting."""

    contender: str
    images: str
    size: int
    minutes: float
    seed: int
    steps: int
    n: int
    auc: float
    auc_error: float
    p: float
    excess: float | None
    excess_error: float | None
    floor: float | None
    recall: float
    real_recall: float | None
    gap: float | None
    copies: str
    guidance: float | None
    system: str


def emoji(place: Path) -> Path:
    """npm's emoji-datasource-google: 3,786 PNG files of 64 pixels, with transparency."""
    _fetch(place, "npm", "pack", "--silent", "emoji-datasource-google@16.0.0")
    _fetch(place, "tar", "-xzf", *_names(place, "*.tgz"), "package/img/google/64")
    return place / "package/img/google/64"


def icons(place: Path) -> Path:
    """Debian's oxygen-icon-theme: icons of 64 pixels with transparency, in folders by what they are for."""
    debian(place, "oxygen-icon-theme")
    return place / "usr/share/icons/oxygen/base/64x64"


def fashion(place: Path) -> Path:
    """Debian's dataset-fashion-mnist: 60,000 grey images of 28 pixels, of ten classes."""
    debian(place, "dataset-fashion-mnist")
    return place / "usr/share/datasets/fashion-mnist"


SETS: Mapping[str, Callable[[Path], Path]] = {"emoji": emoji, "icons": icons, "fashion": fashion}


def debian(place: Path, package: str) -> None:
    """Fetch one of Debian's packages and unpack it, in the folder `place`."""
    _fetch(place, "apt-get", "download", package)
    _fetch(place, "dpkg-deb", "-x", *_names(place, "*.deb"), ".")


def _names(place: Path, pattern: str) -> list[str]:
    return [path.name for path in sorted(place.glob(pattern))]


def _fetch(place: Path, *words: str) -> None:
    try:
        subprocess.run(words, check=True, cwd=place, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"{' '.join(words)} failed ({error}); fetch the package another way, into {place}") from error


def fetched(name: str, settings: Settings) -> Path:
    """The folder of a set's images, fetched if it is not there."""
    done, place = settings.data / f"{name}.json", settings.data / name
    if not done.exists():
        place.mkdir(parents=True, exist_ok=True)
        folder = SETS[name](place)
        if not folder.is_dir():
            raise UserError(f"{folder} is not there: the package of {name} has changed")
        write_json(done, {"folder": str(folder)})
    return Path(read_json(done)["folder"])


def main(settings: Settings) -> None:
    """Make the cells that are missing."""
    for kind, asked, known in (("set", settings.sets, SETS), ("contender", settings.contenders, CONTENDERS)):
        if unknown := set(asked) - set(known):
            raise UserError(f"no such {kind}: {', '.join(sorted(unknown))}; choose of {', '.join(known)}")
    check_writable(settings.out / "own.json")
    cells = results.known(settings.out / "own.json", Cell)
    done = {(cell.contender, cell.images, cell.size, cell.minutes, cell.seed) for cell in cells}
    wanted = [cell for cell in asked_cells(settings) if cell not in done]
    with Bar("runs") as bar:
        for k, (contender, name, size, minutes, seed) in enumerate(wanted):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) if settings.keep is None else settings.keep
                place = out / f"{contender.replace(', ', '-')}-{name}-{size}-{minutes:g}-{seed}"
                cells.append(made(contender, name, size, minutes, seed, place, settings))
            write(cells, settings)
            bar.show(k + 1, len(wanted))
    write(cells, settings)
    print(table(cells))


def asked_cells(settings: Settings) -> list[tuple[str, str, int, float, int]]:
    """Contender, set, size, minutes and seed of each."""
    return [
        (contender, name, size, minutes, seed)
        for minutes in settings.minutes
        for seed in settings.seeds or ((0, 1, 2) if minutes == THRICE else (0,))
        for size in settings.sizes
        for name in settings.sets
        for contender in settings.contenders
    ]


def made(contender: str, name: str, size: int, minutes: float, seed: int, place: Path, settings: Settings) -> Cell:
    """Train, sample and score."""
    data, environment = str(fetched(name, settings)), dict(os.environ)
    if name == "fashion":
        data, environment["FROMNOISE_DATA"] = "fashion_mnist", data
    about = {"images": name, "size": size, "minutes": minutes, "seed": seed, "contender": contender}
    if contender == "diffusers":
        return diffusers(data, about, place, settings.rate)
    words = ["--data", data, "--size", size, "--seed", seed, *CONTENDERS[contender], "--minutes", minutes]
    results.command("fromnoise", "run", *words, "--out", place, environment=environment)
    run = fromnoise.load(place)
    assert run.report is not None, "`run` has just written it"
    guidance = None if run.report.run is None else run.report.run.sampling.guidance
    return cell(run.report, RunFolder(place).steps()[-1], guidance, about)


def diffusers(data: str, about: Mapping[str, Any], place: Path, rate: float) -> Cell:
    """Train diffusers' example on the images that ours trains on, and score its images as ours are scored."""
    way = DataSettings(data=data, size=str(about["size"]), alpha="white")
    parts = sources.prepare(way, 0)
    if parts.heldout is None:
        raise UserError(f"{data} has too few images to hold some out")
    place.mkdir(parents=True, exist_ok=True)
    n = min(len(parts.heldout), 3000)
    words = ["--peer", "diffusers", "--data", data, "--size", about["size"], "--minutes", about["minutes"]]
    words += ["--seed", about["seed"], "--n", n, "--calls", CALLS, "--rate", rate]
    words += ["--started", time.time(), "--out", place]
    results.command("benchmarks.peer_training", *words)
    (told,) = json.loads((place / "training.json").read_text())
    images = arrays.load(place / told["images"])
    floor = floor_images(f"{data}:heldout", way, parts, lambda _: parts.train)
    report = fromnoise.evaluate(images, parts.heldout, train=parts.train, floor=floor)
    return cell(report, told["steps"], None, about)


def cell(report: Report, steps: int, guidance: float | None, about: Mapping[str, Any]) -> Cell:
    """What a report says that the table holds."""
    told, over, recall, over_fit = report.told_apart, report.excess, report.metrics["recall"], report.overfitting
    assert told is not None, "there are enough images of one size"
    return Cell(
        steps=steps,
        n=report.protocol.generated.n,
        auc=told.auc,
        auc_error=told.error,
        p=told.p,
        excess=None if over is None else over.value,
        excess_error=None if over is None else over.error,
        floor=None if over is None else over.floor,
        recall=recall.value,
        real_recall=None if recall.floor is None else recall.floor.value,
        gap=None if over_fit is None else over_fit.gap,
        copies="" if report.copies is None else report.copies.verdict,
        guidance=guidance,
        system=results.machine(),
        **about,
    )


def table(cells: Sequence[Cell]) -> str:
    """Markdown: a line for each contender, set, size and budget, the mean over seeds and their deviation."""
    heads = ("trainer", "images", "size", "minutes", "seeds", "steps", "AUC", "FID − floor", "recall", "overfitting")
    rows = []
    for key in sorted({(c.images, c.size, c.contender, c.minutes) for c in cells}):
        group = [c for c in cells if (c.images, c.size, c.contender, c.minutes) == key]
        steps = statistics.mean(c.steps for c in group)
        over = [c.excess for c in group if c.excess is not None]
        recall = f"{statistics.mean(c.recall for c in group):.2f}"
        real = [c.real_recall for c in group if c.real_recall is not None]
        gaps = [c.gap for c in group if c.gap is not None]
        row = (
            key[2],
            key[0],
            f"{key[1]}",
            f"{key[3]:g}",
            f"{len(group)}",
            f"{steps:,.0f}",
            results.spread([c.auc for c in group], group[0].auc_error),
            results.spread(over, group[0].excess_error) if over else "",
            recall + (f" ({statistics.mean(real):.2f})" if real else ""),
            f"{statistics.mean(gaps):+.0%}" if gaps else "",
        )
        rows.append(row)
    return results.table(heads, rows)


def write(cells: Sequence[Cell], settings: Settings) -> None:
    """own.json, and the section of RESULTS.md."""
    write_json(settings.out / "own.json", {"cells": [asdict(each) for each in cells]})
    text = f"""## Images of one's own

`make bench-own`, or a part of it: `python -m benchmarks.own --help` says how. Each line is the mean over training seeds
and their standard deviation (of one seed, its own standard error in brackets). AUC: the chance that a network tells a
generated image from a real one that it has not seen, 0.5 where it guesses. FID − floor: in general features, against
held-out images. Recall: in brackets that of as many real images. Overfitting: by how much worse the model denoises
held-out images than training images.

{table(cells)}

on {"; ".join(sorted({each.system for each in cells}))}
"""
    results.put(settings.out / "RESULTS.md", "own", text)


if __name__ == "__main__":
    script(main, Settings, __doc__)
