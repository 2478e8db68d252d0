"""What other processes cost a training and sampling on the same cores.

    make bench-busy   (about a quarter of an hour; nothing else may run)

The fast preset's own steps, and images of the packaged model, each in a new process: idle, and beside one and two
processes that compute all the time, with the same priority (nice 0) and with a lower one (nice 10). Three ways:

**before**      GNU OpenMP's default, as PyTorch alone has it: all threads, which wait by spinning 300,000 times
**now**         as fromnoise does it: they spin 5,000 times, and are fewer while others are busy
**one thread**  the bar: `--threads 1`

The ways take turns. Finding out that others are busy is a part of what is measured.
"""

import dataclasses
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

if TYPE_CHECKING:
    import torch

HERE = Path(__file__).parent
SPIN = "while True: pass"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
WAYS: dict[str, dict[str, str]] = {
    "before": {"GOMP_SPINCOUNT": "300000", "BENCH_THREADS": str(CORES)},
    "now": {},
    "one thread": {"BENCH_THREADS": "1"},
}
BESIDE: dict[str, tuple[int, ...]] = {
    "nothing": (),
    "1, nice 0": (0,),
    "1, nice 10": (10,),
    "2, nice 0": (0, 0),
    "2, nice 10": (10, 10),
}
WORK = {"training": "steps", "sampling": "images"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Measure training and sampling beside other processes."""

    idle_rounds: int = 3
    """Rounds of the three ways beside nothing."""
    busy_rounds: int = 1
    """Rounds beside each kind of others."""
    idle_seconds: float = 12.0
    """Length of one measurement beside nothing."""
    busy_seconds: float = 20.0
    """Length of one measurement beside others."""
    work: tuple[str, ...] = tuple(WORK)
    """What is measured: training, sampling."""
    beside: tuple[str, ...] = tuple(BESIDE)
    """Beside which others: "nothing", "1, nice 0" …"""
    out: Path = HERE
    """Where busy.json and busy.md go."""


def main(settings: Settings) -> None:
    """Measure, and write busy.json and busy.md."""
    from fromnoise.experiment import system
    from fromnoise.files import write_json

    found: list[dict[str, Any]] = []
    for work in settings.work:
        for beside in settings.beside:
            nices = BESIDE[beside]
            rounds, seconds = settings.busy_rounds, settings.busy_seconds
            if not nices:
                rounds, seconds = settings.idle_rounds, settings.idle_seconds
            rates: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(rounds):
                for way, variables in WAYS.items():
                    rates[way].append(measure(work, seconds, variables, nices))
            found += [{"work": work, "beside": beside, "way": way, "rates": rates[way]} for way in WAYS]
            print(f"{work} beside {beside}: " + ", ".join(f"{way} {_middle(rates[way])}" for way in WAYS), flush=True)
    about = {"settings": dataclasses.asdict(settings) | {"out": None}, "system": system.about(_cpu()), "found": found}
    write_json(settings.out / "busy.json", about)
    (settings.out / "busy.md").write_text(table(about))


def measure(work: str, seconds: float, variables: dict[str, str], nices: tuple[int, ...]) -> float:
    """Steps or images a second of a process of its own, beside others of these priorities."""
    command = [sys.executable, "-m", "benchmarks.busy", "--child", work, str(seconds)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP", "KMP", "OMP"))}
    child = subprocess.Popen(
        command,
        env=kept | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    if child.stdout.readline().strip() != "ready":
        raise RuntimeError(f"{work} did not start")
    others = [subprocess.Popen(["nice", "-n", str(nice), sys.executable, "-c", SPIN]) for nice in nices]
    try:
        time.sleep(0.2)
        child.stdin.write("go\n")
        child.stdin.flush()
        return float(child.stdout.readline())
    finally:
        for other in others:
            other.kill()
            other.wait()
        child.wait()


def child(work: str, seconds: float) -> None:
    """Say that all is ready, wait for a word, work, and print how much was done in a second."""
    from fromnoise import threads

    chosen = int(os.environ.get("BENCH_THREADS", 0)) or None
    threads.fix(chosen)
    step, amount = _training(chosen) if work == "training" else _sampling()
    step()
    print("ready", flush=True)
    sys.stdin.readline()
    start, done = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        step()
        done += amount
    print(done / (time.perf_counter() - start), flush=True)


def _training(threads: int | None) -> tuple[Callable[[], object], int]:
    from fromnoise.config import PRESETS, with_budget
    from fromnoise.data import sources
    from fromnoise.generation.data_info import DataInfo
    from fromnoise.generation.model import Model
    from fromnoise.threads import shared
    from fromnoise.training import plan
    from fromnoise.training.device import accelerator
    from fromnoise.training.step import Step

    config = with_budget(PRESETS["fast"], "fast")
    train = sources.prepare(config.data, config.seed).train
    model = Model.build(config, DataInfo.of(train, config))
    take = Step(model, train, accelerator("cpu", threads), plan.make(model, _cpu(), None))
    numbers, following = itertools.count(), shared()

    def step() -> None:
        take(next(numbers), config.training.lr)
        following.after(time.perf_counter())

    return step, 1


def _sampling() -> tuple[Callable[[], object], int]:
    from fromnoise.generation.model import Model
    from fromnoise.generation.pretrained import packaged
    from fromnoise.generation.sampling import MICRO_BATCH, SampleRequest, own_precision, sample

    file = packaged("digits")
    assert file is not None
    model = Model.load(file)
    request = SampleRequest(MICRO_BATCH, precision=own_precision(model))
    return lambda: sample(model, request), MICRO_BATCH


def table(about: dict[str, Any]) -> str:
    """The page of what was found."""
    rows: dict[tuple[str, str], dict[str, list[float]]] = {}
    for line in about["found"]:
        rows.setdefault((line["work"], line["beside"]), {})[line["way"]] = line["rates"]
    lines = [
        "# Beside other processes",
        "",
        f"{about['system']['hardware']}; medians; `make bench-busy`.",
        "",
        "| work, a second | beside | before | now | one thread | now against the bar |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for (work, beside), ways in rows.items():
        middles = {way: statistics.median(rates) for way, rates in ways.items()}
        bar = "before" if beside == "nothing" else "one thread"
        share = f"{middles['now'] / middles[bar]:.0%} of {bar}"
        rates = " | ".join(_middle(ways[way]) for way in WAYS)
        lines.append(f"| {WORK[work]} ({work}) | {beside} | {rates} | {share} |")
    return "\n".join(lines) + "\n"


def _middle(rates: list[float]) -> str:
    return f"{statistics.median(rates):.3g}"


def _cpu() -> "torch.device":
    import torch

    return torch.device("cpu")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], float(sys.argv[3]))
    else:
        main(tyro.cli(Settings, description=__doc__))
