"""What benchmarks write: sections of one Markdown file, each between its own markers; and speed's tables and plot."""

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fromnoise.experiment import system
from fromnoise.faces import style
from fromnoise.files import read_json, write_file

ROOT = Path(__file__).parents[1]
TITLE = "# Results\n"
TRAINING_LIMIT, SAMPLING_LIMIT = "convolution forward and backward", "convolution forward"
FULL = {"fp32": "float32", "bf16": "bf16"}
Limits = Mapping[str, Mapping[str, float]]
Cell = TypeVar("Cell")


@dataclass(frozen=True)
class Row:
    """One line of a table: a trainer or a sampler, or why there is no number.

    passes  forward passes that an image takes: three in a training step, as many as network calls in a sampler
    timed   of these, how many were timed; fewer than `passes` where the rest is extrapolated
    """

    who: str
    how: str
    precision: str
    task: str = "training"
    parameters: int = 0
    gflop: float = 0.0
    passes: int = 3
    timed: int = 3
    images_per_second: float = 0.0
    failure: str = ""

    @property
    def tflops(self) -> float:
        """Operations a second, in 10¹²."""
        return self.passes * self.gflop * self.images_per_second / 1e3

    def share(self, limits: Limits) -> float | None:
        """Of what bare convolutions reach in this precision: forward and backward in training, forward in sampling."""
        limit = TRAINING_LIMIT if self.task == "training" else SAMPLING_LIMIT
        return self.tflops / limits[self.precision][limit] if self.precision in limits and not self.failure else None


def put(path: Path, name: str, text: str) -> None:
    """Write `text` between the markers of section `name` in the Markdown file `path`; all else in it stays."""
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    old = path.read_text() if path.exists() else TITLE
    before, found, rest = old.partition(first)
    _, ended, after = rest.partition(last)
    if found and not ended:
        raise ValueError(f"{path}: {first} is not followed by {last}")
    if not found:
        before, after = old.rstrip("\n") + "\n\n", "\n"
    write_file(path, f"{before}{first}\n{text.strip()}\n{last}{after}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    first, *others = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join([first, "|---" * len(head) + "|", *others])


def known(path: Path, kind: type[Cell]) -> list[Cell]:
    """The cells that a benchmark keeps in the file, none where there is no file yet."""
    return [msgspec.convert(each, kind) for each in read_json(path)["cells"]] if path.exists() else []


def spread(values: Sequence[float], error: float | None = None, shown: Callable[[float], str] = "{:.3f}".format) -> str:
    """Mean and standard deviation over seeds; of one seed, its own standard error in brackets."""
    if len(values) > 1:
        return f"{shown(statistics.mean(values))} ± {statistics.stdev(values):.2g}"
    return shown(values[0]) + (f" ({error:.2g})" if error is not None else "")


def command(*words: object, environment: Mapping[str, str] | None = None) -> None:
    """Run a module's command line in a process of its own; its messages go to the terminal."""
    line = [sys.executable, "-m", *map(str, words)]
    subprocess.run(line, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)


def machine() -> str:
    """The processor, and its units for bfloat16."""
    return f"{system.processor()}, {system.matrix_units()}"


def training_table(rows: Sequence[Row], limits: Limits) -> str:
    """Markdown; each trainer's fastest way in bold."""

    def cells(row: Row) -> list[str]:
        if row.failure:
            return [row.who, row.how, "", "", row.failure, "", ""]
        rate = f"{row.images_per_second:.0f}"
        rate = f"**{rate}**" if row in fastest(rows) else rate
        return [row.who, row.how, f"{row.parameters / 1e6:.1f} M", f"{row.gflop:.2f}", rate, *_speed(row, limits)]

    head = ("trainer", "run", "parameters", "GFLOP forward", "images/s", "TFLOP/s", "share of limit")
    return table(head, map(cells, rows))


def sampling_table(rows: Sequence[Row], limits: Limits) -> str:
    """Markdown; an asterisk where the whole time is extrapolated from a few network calls."""

    def cells(row: Row) -> list[str]:
        star = f"* ({row.timed} timed)" if row.timed < row.passes else ""
        rate = f"{row.images_per_second:.3g}"
        return [row.who, row.task, row.how, f"{row.passes:,}{star}", rate, *_speed(row, limits)]

    return table(("", "sampler", "run", "network calls", "images/s", "TFLOP/s", "share of limit"), map(cells, rows))


def limits_table(limits: Limits) -> str:
    """Markdown: TFLOP/s of each bare operation in each precision."""
    head = ["limit, TFLOP/s", *(FULL[name] for name in limits)]
    operations = next(iter(limits.values()))
    return table(head, ([name, *(f"{each[name]:.2f}" for each in limits.values())] for name in operations))


def fastest(rows: Sequence[Row]) -> list[Row]:
    """The fastest row of each trainer."""
    done = [row for row in rows if not row.failure]
    names = dict.fromkeys(row.who for row in done)
    return [max((row for row in done if row.who == name), key=lambda row: row.images_per_second) for name in names]


@style.styled
def bars(training: Sequence[Row], sampling: Sequence[Row], limits: Limits) -> Figure:
    """TFLOP/s of trainers, and of samplers at equal network calls, with the limits as lines."""
    figure, axes = style.panels(2, 1, (7.4, 4.2))
    colours = dict(zip(dict.fromkeys(row.who for row in training), style.COLOURS, strict=False))
    _panel(axes[0], [row for row in training if not row.failure], colours, limits, TRAINING_LIMIT)
    axes[0].set_title("training")
    few = min((row.passes for row in sampling), default=0)
    _panel(axes[1], [row for row in sampling if row.passes == few], colours, limits, SAMPLING_LIMIT)
    axes[1].set_title(f"sampling in {few} network calls")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _panel(axis: Axes, rows: Sequence[Row], colours: Mapping[str, str], limits: Limits, limit: str) -> None:
    labels = [f"{row.who}, {row.how}" for row in rows]
    axis.barh(labels, [row.tflops for row in rows], color=[colours[row.who] for row in rows], height=0.7)
    axis.tick_params("y", labelsize=9, length=0)
    axis.invert_yaxis()
    for (precision, values), shade in zip(limits.items(), (style.QUIET, style.BLACK), strict=False):
        for operation, dash in ((limit, "--"), ("matrix product", ":")):
            short = "3×3 convolution" if operation == limit else operation
            axis.axvline(values[operation], color=shade, linestyle=dash, label=f"{short}, {FULL[precision]}")
    axis.set_xlim(0)
    axis.set_xlabel("TFLOP/s")


def _speed(row: Row, limits: Limits) -> list[str]:
    share = row.share(limits)
    return [f"{row.tflops:.2f}", "" if share is None else f"{share:.0%}"]
