"""`fromnoise doctor`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fromnoise.faces.arguments import Device, Threads, parse

if TYPE_CHECKING:
    from fromnoise.generation.model import Model
    from fromnoise.training.probe import Candidate

SECONDS = 2.0  # for which other processes are looked at, and a training's speed


@dataclass(frozen=True)
class DoctorArguments:
    """What this machine has, and what fromnoise would make of it."""

    device: Device = "auto"
    """The device to look at."""
    threads: Threads = None
    """CPU threads to use; default: all, and fewer while other processes are busy."""
    data_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where mnist and fashion_mnist lie; default: $FROMNOISE_DATA, then ~/.cache/fromnoise."""


def main(words: Sequence[str]) -> int:
    """Look; returns the exit code."""
    arguments = parse(DoctorArguments, words, "doctor")

    from rich.table import Table

    from fromnoise.config import PRESETS
    from fromnoise.data import idx
    from fromnoise.evaluation.features import digits
    from fromnoise.experiment import system
    from fromnoise.faces.console import results, say
    from fromnoise.generation.model import Model, Shape
    from fromnoise.generation.precision import precisions
    from fromnoise.training import plan, probe
    from fromnoise.training.device import alone

    device = alone(arguments.device, arguments.threads).device
    about = system.about(device)
    table = Table("", "", show_header=False, box=None)
    table.add_row("device", f"{device.type}: {about['hardware']}")
    if device.type == "cpu":
        table.add_row("bf16 units", about["matrix_units"])
        table.add_row("compiler", probe.compiler() or "none found: training runs eager")
    table.add_row("threads", str(about["threads"]))
    table.add_row("system", f"{about['system']}, Python {about['python']}")
    table.add_row("versions", ", ".join(f"{name} {number}" for name, number in about["versions"].items()))
    root = arguments.data_root or idx.default_root()
    table.add_row("digits", "packaged, 3,000 / 1,000 / 1,000")
    for name in idx.SETS:
        place = idx.find(name, root)
        table.add_row(name, str(place) if place else f"not below {root}; downloaded on first use")
    features = digits(device)
    table.add_row("digit features", f"packaged, sha256 {features.sha256[:12]}…")
    say("measuring (a few seconds) ...")
    model = Model.build(PRESETS["fast"], Shape(1, 32, 32, 0.55, (0.0,), (0.1,) * 10))
    candidates = probe.measure(model, device, precisions(device))
    for candidate in candidates:
        table.add_row(
            f"training, {candidate}",
            f"{1 / candidate.seconds:.0f} images/s, gradient's cosine to float32 {candidate.agreement:.4f}",
        )
    table.add_row("precision", plan.best(candidates, device)[1])
    if device.type == "cpu":
        table.add_row("other processes", _others(model, plan.best(candidates, device)[0]))
    for precision in precisions(device):
        table.add_row(f"matrix product, {precision}", f"{probe.matrix_rate(device, precision) / 1e12:.2f} TFLOP/s")
    results.print(table)
    return 0


def _others(model: "Model", candidate: "Candidate") -> str:
    """How busy other processes keep the machine, and what that costs a training here."""
    import torch

    from fromnoise import threads
    from fromnoise.training import probe

    load, most = threads.Load(), torch.get_num_threads()
    time.sleep(SECONDS)
    others = load()
    if others <= threads.LITTLE:
        return "none of them busy"
    left = threads.threads_beside(others, most, len(load.cores))
    rates = {}
    for number in dict.fromkeys((most, left)):
        torch.set_num_threads(number)
        rates[number] = probe.speed(model, torch.device("cpu"), candidate, SECONDS)
    torch.set_num_threads(most)
    costs = ", ".join(
        f"{rate:.0f} images/s on {number} thread{'s' if number > 1 else ''}" for number, rate in rates.items()
    )
    return f"they use {others:.1f} of {len(load.cores)} cores; training beside them runs at {costs}"
