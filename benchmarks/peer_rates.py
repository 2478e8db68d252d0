"""Choose each peer's learning rate and guidance for minutes of training, on digits that the results do not use.

    python -m benchmarks.peer_rates                                        (an hour: ten trainings of five minutes)
    python -m benchmarks.peer_rates --peers diffusers --rates 3e-4          (a part of it)

Every rate is trained with by itself, with labels, and drawn from at every scale of guidance that the peer has. The FID
in digit features against 10,000 training digits of MNIST that no model here learns from chooses. What peer_rates.json
holds already is not made again; `benchmarks.quality` takes the best from there. Nothing else should run beside it.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks import real, results
from benchmarks.peers import PEERS
from fromnoise.data import arrays
from fromnoise.errors import UserError
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.faces.cli import script
from fromnoise.files import read_json, write_json

HERE = Path(__file__).parent
FILE = "peer_rates.json"
SEED = 100  # no seed that results are published of
SIDE = (32, 32)
CALLS = 20  # network calls an image, as in `benchmarks.quality`


@dataclass(frozen=True)
class Settings:
    """Train with every rate, and score."""

    peers: tuple[str, ...] = tuple(PEERS)
    """diffusers, ddpm-pytorch."""
    rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    """Learning rates."""
    minutes: float = 5
    """Of each training."""
    n: int = 3000
    """Images drawn at each scale of guidance."""
    out: Path = HERE
    """The folder of peer_rates.json."""


class Choice(NamedTuple):
    """What a peer trains and draws with."""

    rate: float
    guidance: float | None


def train(
    peer: str,
    minutes: Sequence[float],
    rate: float,
    guidances: Sequence[float | None],
    *,
    seed: int,
    n: int,
    calls: int,
    out: Path,
) -> list[dict[str, Any]]:
    """One training with labels in a process of its own: what training.json says of each budget and guidance."""
    words: list[object] = ["--peer", peer, "--labels", "--minutes", *minutes, "--seed", seed, "--rate", rate]
    words += ["--n", n, "--calls", calls, "--started", time.time(), "--out", out]
    words += ["--guidances", *guidances] if any(guidances) else []
    results.command("benchmarks.peer_training", *words)
    return list(json.loads((out / "training.json").read_text()))


def known(out: Path = HERE) -> list[dict[str, Any]]:
    """What was tried: peer, minutes, rate, guidance and FID."""
    return list(read_json(out / FILE)["tried"]) if (out / FILE).exists() else []


def best(peer: str, out: Path = HERE) -> Choice:
    """The choice of the least FID; raises UserError where nothing was tried."""
    tried = [each for each in known(out) if each["peer"] == peer]
    if not tried:
        raise UserError(f"no learning rate was chosen for {peer}: python -m benchmarks.peer_rates --peers {peer}")
    least = min(tried, key=lambda each: float(each["fid"]))
    return Choice(least["rate"], least["guidance"])


def main(settings: Settings) -> None:
    """Try what is missing, and say what is best."""
    tried = known(settings.out)
    done = {(each["peer"], each["minutes"], each["rate"]) for each in tried}
    missing = [
        (peer, rate) for peer in settings.peers for rate in settings.rates if (peer, settings.minutes, rate) not in done
    ]
    if missing:
        extract = features("digits", torch.device("cpu"))
        reference = Moments.of(extract(real.validation(SIDE)[0].images))
    for peer, rate in missing:
        with tempfile.TemporaryDirectory() as folder:
            place, guidances = Path(folder), PEERS[peer].guidances
            found = train(peer, (settings.minutes,), rate, guidances, seed=SEED, n=settings.n, calls=CALLS, out=place)
            for told in found:
                fid = distance(Moments.of(extract(arrays.load(place / told["images"]).images)), reference)
                kept = {name: told[name] for name in ("minutes", "rate", "guidance")}
                tried.append({"peer": peer, **kept, "fid": fid})
        write_json(settings.out / FILE, {"tried": tried})
    for peer in settings.peers:
        print(peer, *best(peer, settings.out))


if __name__ == "__main__":
    script(main, Settings, __doc__)
