"""Speed side by side in one run: fromnoise, diffusers, denoising-diffusion-pytorch, and the hardware.

    make bench          (at most ten minutes on two CPU cores; nothing else should run beside it)

Training: batches of 64 grey 32×32 digits; loss, gradient, clipping, optimiser, moving average. Ours is the fast
preset's own step, with a wider network, run as a training of ten minutes plans it. The peers follow their own training
examples (`peers.py`), at widths whose forward pass takes within 15 % of our operations: as shipped (float32, eager), in
bf16, compiled, both.
Sampling: 64 images, each by its default sampler, and all in 13 network calls. Samplers of 1,000 calls are timed over
a few. Every trainer has a process of its own; its time is the best mean of three groups of steps, a sampler's the
better of two. The limits are bare operations before and after all else, the better of the two.
"""

import dataclasses
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import results
from benchmarks.jobs import CHANNELS, CPU, LIMITS, OURS, Job, run
from benchmarks.peers import BATCH, PEERS
from benchmarks.results import Row
from fromnoise.errors import UserError
from fromnoise.experiment import system
from fromnoise.faces import style
from fromnoise.faces.cli import script
from fromnoise.files import check_writable, write_file, write_json
from fromnoise.hardware import precisions

HERE = Path(__file__).parent
LAST = 20.0  # seconds kept for the limits' second time
LEAST = 20.0  # a process that has less is not started


@dataclasses.dataclass(frozen=True)
class Settings:
    """Measure the speed of training and sampling."""

    steps: int = 4
    """Steps in each group."""
    groups: int = 3
    """Groups, of which the fastest counts."""
    calls: int = 10
    """Network calls timed of a sampler that takes 1,000."""
    minutes: float = 9.5
    """The whole benchmark's time; what would begin after it is left out, and what has not ended is stopped."""
    compiled: bool = True
    """Compile the peers, which takes most of the time."""
    out: Path = HERE
    """Folder for speed.json, speed.png and RESULTS.md."""


def jobs(settings: Settings, bf16: bool) -> list[Job]:
    """What to measure, the dearest last: who runs out of time are the peers compiled in float32."""
    base = Job(OURS, steps=settings.steps, groups=settings.groups, calls=settings.calls)
    found = [dataclasses.replace(base, precision=precision) for precision in (("auto", "fp32") if bf16 else ("auto",))]
    for precision, compiled in (("fp32", False), ("bf16", False), ("bf16", True), ("fp32", True)):
        if (bf16 or precision == "fp32") and (settings.compiled or not compiled):
            found += [dataclasses.replace(base, who=who, precision=precision, compiled=compiled) for who in PEERS]
    return found


def way(job: Job, found: dict[str, Any]) -> str:
    """How it ran, in words."""
    precision = found.get("precision", job.precision)
    words = results.FULL.get(precision, precision) + (", channels-last" if found.get("channels_last") else "")
    words += ", compiled" if found.get("compiled", job.compiled) else ""
    if job.precision == "auto":
        return f"as it runs: {words}"
    return f"as shipped: {words}" if words == "float32" and job.who != OURS else words


def rows(job: Job, found: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The table's lines of what a job found: its training, its samplers."""
    row = Row(job.who, way(job, found), found.get("precision", job.precision))
    if "failure" in found:
        return dataclasses.replace(row, failure=f"none: {found['failure']}"), []
    row = dataclasses.replace(row, parameters=found["parameters"], gflop=found["gflop"])
    samplings = [
        dataclasses.replace(
            row,
            task=each["sampler"],
            passes=each["calls"],
            timed=each["timed"],
            images_per_second=each["images_per_second"],
        )
        for each in found["samplings"]
    ]
    return dataclasses.replace(row, images_per_second=found["training"]), samplings


def better(one: results.Limits, other: results.Limits) -> results.Limits:
    """The greater of each of two measurements' limits."""
    return {
        precision: {name: max(value, other.get(precision, {}).get(name, 0.0)) for name, value in values.items()}
        for precision, values in one.items()
    }


def versions() -> dict[str, str]:
    """Of the peers' packages; diffusers' is among ours."""
    found = {}
    for name in ("denoising-diffusion-pytorch", "ema-pytorch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def as_json(row: Row, limits: results.Limits) -> dict[str, Any]:
    """A row with what follows from it."""
    return dataclasses.asdict(row) | {"tflops": row.tflops, "share_of_limit": row.share(limits)}


def section(training: list[Row], sampling: list[Row], limits: results.Limits, about: dict[str, Any]) -> str:
    """The text between the markers of RESULTS.md."""
    packages = about["versions"]
    names = ("torch", "diffusers", "denoising-diffusion-pytorch")
    return f"""## Speed

`make bench`, on {about["hardware"]} ({about["matrix_units"]}), {about["threads"]} threads;
{", ".join(f"{name} {packages[name]}" for name in names)}.

![operations a second beside the limits](speed.png)

**Training**, batches of {BATCH} grey 32×32 images; a step counts as three forward passes. Each trainer's
fastest run is in bold. fromnoise's network is that of `--channels {" ".join(map(str, CHANNELS))}`, as many operations
as the peers'.

{results.training_table(training, limits)}

**Sampling**, {BATCH} images at once, eager; * extrapolated from a few network calls.

{results.sampling_table(sampling, limits)}

**Limits**, in the same run: a matrix product of 2,048 × 2,048, a 3×3 convolution of {BATCH}×128×8×8. Shares are of the
convolution in the precision of the row: forward and backward for training, forward for sampling.

{results.limits_table(limits)}
"""


def main(settings: Settings) -> None:
    """Measure all, print the tables, write the three files."""
    check_writable(settings.out / "speed.json")
    end = time.monotonic() + 60 * settings.minutes
    console = Console(stderr=True)

    def measured(job: Job, keep: float) -> dict[str, Any]:
        left = end - time.monotonic() - keep
        found = run(job, left) if left > LEAST else {"failure": "no time left"}
        console.print(job.who, "" if job.who == LIMITS else way(job, found), found, markup=False, highlight=False)
        return found

    bounds = run(Job(LIMITS), 60)
    if "failure" in bounds:
        raise UserError(f"the limits could not be measured: {bounds}")
    found = [(job, measured(job, LAST)) for job in jobs(settings, "bf16" in precisions(CPU))]
    again = run(Job(LIMITS), 60)
    limits = bounds if "failure" in again else better(bounds, again)
    pairs = [rows(job, each) for job, each in found]
    order = [OURS, *PEERS]
    training = sorted((pair[0] for pair in pairs), key=lambda row: order.index(row.who))
    samplers = (row for pair in pairs for row in pair[1])
    sampling = sorted(samplers, key=lambda row: (-row.passes, order.index(row.who)))
    about = system.about(CPU)
    about["versions"] |= versions()
    text = section(training, sampling, limits, about)
    write_json(
        settings.out / "speed.json",
        {
            "batch": BATCH,
            "limits": limits,
            "training": [as_json(row, limits) for row in training],
            "sampling": [as_json(row, limits) for row in sampling],
            "found": [{"job": dataclasses.asdict(job)} | each for job, each in found],
            "system": about,
        },
    )
    write_file(settings.out / "speed.png", style.png(results.bars(training, sampling, limits)))
    results.put(settings.out / "RESULTS.md", "speed", text)
    Console().print(text, markup=False)


if __name__ == "__main__":
    script(main, Settings, __doc__)
