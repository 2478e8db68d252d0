"""Train the packaged start of the two-sample test's networks: src/fromnoise/evaluation/judge.safetensors.

    python -m tools.make_clipart --out build/clipart
    for steps in 450 1125 2250; do
        fromnoise train --data build/clipart --fit pad --skip-broken --init none --guidance 1 --threads 1 \
            --steps $steps --out runs/clipart-$steps
    done
    python -m tools.train_judge runs/clipart-450 runs/clipart-1125 runs/clipart-2250

The network learns which images a model made: samples of each run against all real images of its data. The runs are
short, so that there is much to see. What it has seen must never be judged by it: so the data are clip art, and neither
digits nor anything else that fromnoise publishes a score of.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor

import fromnoise
from fromnoise import rng, tensors
from fromnoise.data import sources
from fromnoise.evaluation import judge
from fromnoise.evaluation.judge import Judge, learning
from fromnoise.faces.cli import script
from fromnoise.generation.sampling import SampleRequest, own_precision, sample
from fromnoise.say import counted

SIDE = 32
GUIDANCE = 1.0, 2.0


@dataclass(frozen=True)
class Settings:
    """Train the network on runs."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN ...")]
    n: int = 3000
    """Images sampled from each run's model."""
    steps: int = 20_000
    seed: int = 0


def main(settings: Settings) -> None:
    """Sample, train, write."""
    kinds = [kind for path in settings.runs for kind in generated_and_real(path, settings)]
    wanted = torch.cat([torch.full((len(kind),), 1.0 - k % 2) for k, kind in enumerate(kinds)])
    rows = np.split(np.arange(len(wanted)), np.cumsum([len(kind) for kind in kinds])[:-1])
    network = Judge(4, SIDE, settings.seed)
    random = rng.generator(settings.seed, "batches")
    training = learning(network, torch.cat(kinds), wanted, rows, settings.steps, random)
    for _ in counted(training, "learning", settings.steps):
        pass
    tensors.save(judge.WEIGHTS, network.state_dict(), {"made by": "tools/train_judge.py"})
    print(f"{judge.WEIGHTS}: {judge.WEIGHTS.stat().st_size / 1e3:.0f} kB")


def generated_and_real(path: Path, settings: Settings) -> list[Tensor]:
    """Images of the run's model, half of them guided, and all of its data, as RGBA."""
    run = fromnoise.load(str(path))
    halves = [
        sample(run.model, SampleRequest(settings.n // 2, seed, guidance=guidance, precision=own_precision(run.model)))
        for seed, guidance in enumerate(GUIDANCE, settings.seed)
    ]
    parts = sources.prepare(run.config.data, run.config.seed, skip_broken=True)
    real = torch.cat([part.images for part in (parts.train, parts.val, parts.heldout) if part is not None])
    return [torch.cat(halves), real]


if __name__ == "__main__":
    script(main, Settings, __doc__)
