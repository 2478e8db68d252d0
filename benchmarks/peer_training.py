"""Train one peer for minutes of wall clock, and draw images by its moving average at the end of every budget.

    python -m benchmarks.peer_training --peer diffusers --minutes 2 5 --out peer

`benchmarks/quality.py` starts it.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.peers import PEERS, Peer
from fromnoise.data import arrays, sources
from fromnoise.data.settings import DataSettings
from fromnoise.faces.cli import script
from fromnoise.faces.console import Bar
from fromnoise.hardware import precisions

MEASURED = 5  # steps that the speed is measured by, to know how many there will be


@dataclass(frozen=True)
class Settings:
    """Train a peer."""

    peer: str
    """diffusers or ddpm-pytorch."""
    minutes: tuple[float, ...]
    """Budgets; drawing does not count."""
    out: Path
    """The folder for MINUTES-GUIDANCE.npz and training.json."""
    data: str = "digits"
    """What `fromnoise train --data` takes; laid on white where it is transparent."""
    size: int = 32
    """Height and width in pixels."""
    started: float | None = None
    """When the clock started (Unix time), for whoever starts this process; now, when not given."""
    seed: int = 0
    """Seed of training and drawing."""
    n: int = 3000
    """Images drawn at the end of every budget."""
    calls: int = 20
    """Network calls an image."""
    labels: bool = False
    """Train and draw with the digits' labels."""
    rate: float = 1e-4
    """The learning rate."""
    guidances: tuple[float, ...] = ()
    """Scales of guidance to draw labelled images with, for a peer that has such; its first, when not given."""


def main(settings: Settings) -> None:
    """Train to the longest budget."""
    started = settings.started or time.time()
    data = sources.prepare(DataSettings(data=settings.data, size=str(settings.size), alpha="white"), 0).train
    images, labels = data.images, data.labels if settings.labels else None
    longest = max(settings.minutes) * 60

    def build(steps: int) -> Peer:
        precision = precisions(torch.device("cpu"))[-1]  # the faster of both, as in speed.json
        return PEERS[settings.peer](
            images, precision, total_steps=steps, seed=settings.seed, labels=labels, rate=settings.rate
        )

    peer = build(MEASURED)
    if peer.falls:
        peer.train_step()
        start = time.time()
        for _ in range(MEASURED):
            peer.train_step()
        peer = build(int((longest - (time.time() - started)) * MEASURED / (time.time() - start)))
    drawing, step, told = 0.0, 0, []
    with Bar(settings.peer) as bar:
        for minutes in sorted(settings.minutes):
            while (elapsed := time.time() - started - drawing) < minutes * 60:
                peer.train_step()
                step += 1
                bar.show(round(elapsed), round(longest), f"step {step:,}")
            paused, state = time.time(), torch.get_rng_state()
            for guidance in settings.guidances or (peer.guidance,):
                file, peer.guidance = f"{minutes:g}-{guidance}.npz", guidance
                torch.manual_seed(settings.seed)
                arrays.save(settings.out / file, peer.sample(settings.n, settings.calls), peer.drawn(settings.n))
                about = {"minutes": minutes, "seconds": elapsed, "steps": step, "images": file}
                told.append(about | {"rate": settings.rate, "guidance": guidance})
            torch.set_rng_state(state)
            drawing += time.time() - paused
    (settings.out / "training.json").write_text(json.dumps(told))


if __name__ == "__main__":
    script(main, Settings, __doc__)
