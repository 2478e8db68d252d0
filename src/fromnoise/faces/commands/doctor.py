"""`fromnoise doctor`."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromnoise.faces.arguments import Device, Threads
from fromnoise.say import plural, say

if TYPE_CHECKING:
    from fromnoise.generation.model import Model
    from fromnoise.training.probe import Candidate

SECONDS = 2.0  # of measuring how busy other processes are, and how fast a training is


@dataclass(frozen=True)
class DoctorArguments:
    """Show what this machine offers and how fromnoise would use it.

    fromnoise doctor
    fromnoise doctor --device cpu --threads 1
    """

    device: Device = "auto"
    threads: Threads = None


def main(arguments: DoctorArguments) -> None:
    """Measure and print."""
    from rich.table import Table

    from fromnoise.config import PRESETS
    from fromnoise.data import idx
    from fromnoise.evaluation.features import digits
    from fromnoise.experiment import system
    from fromnoise.faces.console import results
    from fromnoise.generation.data_info import DataInfo
    from fromnoise.generation.model import Model
    from fromnoise.hardware import precisions
    from fromnoise.training import plan, probe
    from fromnoise.training.device import alone

    device = alone(arguments.device, arguments.threads)
    about = system.about(device)
    table = Table("", "", show_header=False, box=None)
    table.add_row("device", f"{device.type}: {about['hardware']}")
    if device.type == "cpu":
        table.add_row("bf16 units", about["matrix_units"])
        table.add_row("compiler", probe.compiler() or "none found: training runs uncompiled")
    table.add_row("threads", str(about["threads"]))
    table.add_row("system", f"{about['system']}, Python {about['python']}")
    table.add_row("versions", ", ".join(f"{name} {number}" for name, number in about["versions"].items()))
    root = idx.default_root()
    table.add_row("digits", "packaged: 3,000 train, 1,000 val, 1,000 heldout")
    for name, found in idx.SETS.items():
        missing = f"not in {root}" + ("" if found.fetch else "; downloaded on first use")
        table.add_row(name, str(idx.find(name, root) or missing))
    table.add_row("digit features", f"packaged, sha256 {digits(device).sha256[:12]}…")
    say("measuring (a few seconds) ...")
    model = Model.build(PRESETS["fast"], DataInfo(1, 32, 32, 0.55, (0.0,), (0.1,) * 10))
    candidates = probe.measure(model, device, precisions(device))
    for of in candidates:
        agreement = f"gradient cosine with float32 {of.agreement:.4f}"
        table.add_row(f"training, {of}", f"{1 / of.seconds:.0f} images/s, {agreement}")
    best, reason = plan.best(candidates, device)
    table.add_row("precision", reason)
    if device.type == "cpu":
        table.add_row("other processes", _others(model, best))
    for precision in precisions(device):
        rate = probe.matrix_rate(device, precision)
        table.add_row(f"matrix product, {precision}", f"{rate / 1e12:.2f} TFLOP/s")
    results.print(table)


def _others(model: "Model", candidate: "Candidate") -> str:
    """How busy other processes keep the machine, and how much that slows a training down."""
    import torch

    from fromnoise import threads
    from fromnoise.training import probe

    load, most = threads.Load(), torch.get_num_threads()
    time.sleep(SECONDS)
    others = load()
    if others <= threads.LITTLE:
        return "idle"
    rates = []
    for number in dict.fromkeys((most, threads.threads_beside(others, most, len(load.cores)))):
        torch.set_num_threads(number)
        rate = probe.speed(model, torch.device("cpu"), candidate, SECONDS)
        rates.append(f"{rate:.0f} images/s on {plural(number, 'thread')}")
    torch.set_num_threads(most)
    return (
        f"they use {others:.1f} of {plural(len(load.cores), 'core')}; training beside them runs at {', '.join(rates)}"
    )
