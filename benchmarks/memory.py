"""Peak memory of `fromnoise evaluate` and `fromnoise sample` at more and more images.

    make bench-memory   (about ten minutes on two CPU cores)

The real command line runs in a process of its own, and its memory is read from Linux's /proc every 20 ms. Two numbers:
**own** memory (RssAnon), which nothing can take away from a process, and **all** (VmHWM), which counts the pages of
files too, of programs and libraries, which the system may drop at any time.
Seconds are the CPU's (user and system), so that what else runs beside it counts little.

"2,048 features" are a random projection of the pixels: as many numbers as Inception has, and far cheaper.

Sets to be scored are digits drawn with replacement, moved by up to two pixels and made noisy: no two are alike.
In colour they are enlarged to 64×64 and tinted. `sample` draws from a tiny model, by one network call an image.
"""

import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from fromnoise import rng
from fromnoise.data import arrays, blocks, digits, folder
from fromnoise.data.resize import resize
from fromnoise.experiment import system
from fromnoise.faces import style
from fromnoise.faces.cli import script
from fromnoise.files import write_file, write_json

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src"
SECONDS = 0.02  # between two looks
MB = 1e6
PROGRAM = ("-m", "fromnoise")
# The same, with 2,048 features under the name of the pixels.
PROJECTED = """
import sys, torch
from fromnoise.evaluation import features
from fromnoise.evaluation.extractor import Features
from fromnoise.faces import cli
matrix = torch.randn(784, 2048, generator=torch.Generator().manual_seed(0)) / 784
features.pixels = lambda: Features("pixels", 2048, "", lambda images: images.flatten(1).float() @ matrix)
sys.exit(cli.main())
"""
MOVE, NOISE, BATCH = 2, 8, 500


@dataclasses.dataclass(frozen=True)
class Settings:
    """Measure peak memory."""

    grey: tuple[int, ...] = (1000, 5000, 20000, 50000)
    """Numbers of grey 28×28 images, scored as .npz and as a folder."""
    colour: tuple[int, ...] = (1000, 4000, 16000)
    """Numbers of colour 64×64 images, scored as .npz."""
    wide: tuple[int, ...] = (1000, 10000, 50000)
    """Numbers of grey 28×28 images, scored in 2,048 features."""
    drawn: tuple[int, ...] = (1000, 10000, 50000)
    """Numbers of images that `sample` draws into an .npz file."""
    out: Path = HERE
    """Folder for memory.json and memory.png."""


@dataclasses.dataclass(frozen=True)
class Peak:
    """The most memory that a command held, in MB, and its CPU time."""

    name: str
    n: int
    own: float
    all: float
    seconds: float


def peak(name: str, n: int, place: Path, *words: object, program: tuple[str, str] = PROGRAM) -> Peak:
    """Run `fromnoise WORDS` in the folder `place` and watch it."""
    command = [sys.executable, *program, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(SOURCE.resolve())}
    own = most = 0.0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (place / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log)
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            now = dict(line.split(":", 1) for line in status.splitlines())
            if "RssAnon" in now:  # not in the moment of its end
                own = max(own, int(now["RssAnon"].split()[0]) * 1024 / MB)
                most = max(most, int(now["VmHWM"].split()[0]) * 1024 / MB)
            time.sleep(SECONDS)
        log.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}\n{log.read()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = Peak(name, n, own, most, seconds)
    print(found, flush=True)
    return found


def images(n: int, colour: bool, seed: int) -> tuple[Tensor, Tensor]:
    """n images, no two alike, and their labels."""
    source = digits.load("train")
    labels = torch.arange(n) % source.classes
    by_class = [np.flatnonzero(source.labels == label) for label in range(source.classes)]

    def batches() -> Iterator[Tensor]:
        for start in range(0, n, BATCH):
            random = rng.generator(seed, "memory", start)
            chosen = [random.choice(by_class[label]) for label in labels[start : start + BATCH].tolist()]
            batch = source.images[chosen]
            if colour:
                tint = torch.from_numpy(random.uniform(0.3, 1, (len(batch), 3, 1, 1)))
                batch = (resize(batch, (64, 64)) * tint).to(torch.uint8)
            shift = tuple(int(k) for k in random.integers(-MOVE, MOVE + 1, 2))
            noise = torch.from_numpy(random.integers(-NOISE, NOISE + 1, batch.shape))
            yield (batch.roll(shift, (2, 3)) + noise).clamp(0, 255).to(torch.uint8)

    return blocks.join(batches(), n), labels


def grey(settings: Settings, place: Path) -> Iterator[Peak]:
    """Sets of grey images, as .npz and as a folder."""
    against = ("--reference", "digits:heldout", "--train", "digits", "--json", "score.json", "--overwrite")
    for n in settings.grey:
        drawn, labels = images(n, False, 0)
        arrays.save(place / f"{n}.npz", drawn, labels)
        folder.save(place / str(n), drawn, labels.tolist())
        yield peak("grey .npz", n, place, "evaluate", "--generated", f"{n}.npz", *against)
        yield peak("grey folder", n, place, "evaluate", "--generated", n, *against)


def colour(settings: Settings, place: Path) -> Iterator[Peak]:
    """Sets of colour images, as .npz, with training and reference images of their own."""
    for name, n, seed in (("reference", 1000, 1), ("train", 3000, 2)):
        arrays.save(place / f"{name}.npz", *images(n, True, seed))
    against = ("--reference", "reference.npz", "--train", "train.npz", "--json", "score.json", "--overwrite")
    for n in settings.colour:
        arrays.save(place / f"{n}.npz", *images(n, True, 0))
        words = ("evaluate", "--generated", f"{n}.npz", *against)
        yield peak("colour .npz", n, place, *words)


def wide(settings: Settings, place: Path) -> Iterator[Peak]:
    """Sets of grey images in as many features as Inception has."""
    for name, seed in (("reference", 1), ("floor", 2)):
        arrays.save(place / f"{name}.npz", *images(5000, False, seed))
    against = ("--reference", "reference.npz", "--floor", "floor.npz", "--features", "pixels")
    for n in settings.wide:
        arrays.save(place / f"{n}.npz", *images(n, False, 0))
        words = ("evaluate", "--generated", f"{n}.npz", *against)
        yield peak("2,048 features", n, place, *words, program=("-c", PROJECTED))


def sampled(settings: Settings, place: Path) -> Iterator[Peak]:
    """Images drawn from a tiny model."""
    peak("training a tiny model", 1, place, "train", "--preset", "tiny", "--out", "run")
    for n in settings.drawn:
        words = ("sample", "run", "--n", n, "--steps", 1, "--out", f"{n}.npz")
        yield peak("sample", n, place, *words)


def plot(peaks: list[Peak], out: Path) -> None:
    """Peak memory over the number of images: evaluate and sample, own memory and all."""

    @style.styled
    def draw() -> Figure:
        figure, axes = style.panels(2)
        for axis, quantity in zip(axes, ("own", "all"), strict=True):
            for name in dict.fromkeys(each.name for each in peaks):
                series = [each for each in peaks if each.name == name]
                counts, values = [each.n for each in series], [getattr(each, quantity) for each in series]
                axis.plot(counts, values, marker="o", label=name)
            axis.set_xscale("log")
            style.counts(axis, sorted({each.n for each in peaks if each.name == "grey .npz"}))
            axis.set_ylim(0)
            axis.set_xlabel("images")
        axes[0].set_ylabel("peak memory, MB")
        axes[0].set_title("own memory (RssAnon)")
        axes[1].set_title("with pages of files (VmHWM)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return figure

    write_file(out / "memory.png", style.png(draw()))


def main(settings: Settings) -> None:
    """Measure all, write memory.json and memory.png, print a table."""
    torch.set_num_threads(1)
    peaks: list[Peak] = []
    for series in (grey, colour, wide, sampled):
        with tempfile.TemporaryDirectory() as place:
            peaks += series(settings, Path(place))
    about = {"processor": system.processor(), "threads": os.environ.get("OMP_NUM_THREADS", "all")}
    write_json(settings.out / "memory.json", {"peaks": [dataclasses.asdict(each) for each in peaks], **about})
    plot(peaks, settings.out)
    print("\n| | images | own memory, MB | with pages of files, MB | CPU seconds |\n|---|---|---|---|---|")
    for each in peaks:
        print(f"| {each.name} | {each.n:,} | {each.own:.0f} | {each.all:.0f} | {each.seconds:.0f} |")


if __name__ == "__main__":
    script(main, Settings, __doc__)
