"""How long does `fromnoise evaluate` take, and how much memory?

    python -m benchmarks.scoring        (four minutes on two CPU cores)

Shapes in colour, 32×32, play all parts: as many generated images as reference ones, three times as many to train on,
10,000 at most, and 6,000 or twice as many as generated for the floor. Seconds are of wall clock, from the start of the
process. Memory is the most that the process held, pages of files included. Nothing else should run beside it.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.results import machine, table
from benchmarks.shapes import shapes
from fromnoise.data import arrays
from fromnoise.faces.cli import script


@dataclass(frozen=True)
class Settings:
    """Score shapes by the command line."""

    numbers: tuple[int, ...] = (1000, 10_000)
    """Numbers of generated images."""
    times: int = 3
    """How often each is scored."""


def main(settings: Settings) -> None:
    """Print a table in Markdown."""
    rows = []
    for n in sorted(settings.numbers):
        parts = {"generated": n, "reference": n, "train": min(3 * n, 10_000), "floor": max(6000, 2 * n)}
        seconds = []
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "fromnoise", "evaluate"]
            for seed, (part, size) in enumerate(parts.items()):
                images = shapes(size, seed + 1)
                arrays.save(Path(folder, f"{part}.npz"), images.images, images.labels)
                words += [f"--{part}", f"{folder}/{part}.npz"]
            for _ in range(settings.times):
                start = time.perf_counter()
                subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                seconds.append(time.perf_counter() - start)
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        rows.append([f"{n:,}", ", ".join(f"{each:.1f}" for each in seconds), f"{most / 1e6:,.0f} MB"])
    Console().print(table(("images", "seconds", "memory"), rows), highlight=False, soft_wrap=True)
    Console().print(f"\non {machine()}, {os.cpu_count()} cores", highlight=False)


if __name__ == "__main__":
    script(main, Settings, __doc__)
