"""How much does the floor depend on how its digits are drawn, and on the feature network's having learnt from them?

    python -m benchmarks.floor        (a minute; needs the whole MNIST)

The floor against `mnist:test` is drawn from MNIST training digits that the generative model never saw, with all such
digits' shares of the classes. Here it stands beside draws at random and of as many digits of each class, which is what
a model of the packaged digits draws. The digit feature network learnt from all these digits but the 5,000 packaged
ones (tools/train_digit_network.py): both kinds are scored alike, too, as many of each class.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from torch import Tensor

from fromnoise.data import sources
from fromnoise.evaluation.design import disjoint
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.faces.cli import script

SIDE = (32, 32)


@dataclass(frozen=True)
class Settings:
    """Score digits that no generative model learnt from, drawn in several ways."""

    n: int = 3000
    """Digits in each draw of the floor."""
    few: int = 1000
    """Digits in each draw of those that the feature network did and did not learn from; at most 1,000."""
    draws: int = 18
    """Draws of the digits of which there are many."""


def main(settings: Settings) -> None:
    """Print a line for each way to draw."""
    extract = features("digits", torch.device("cpu"))
    reference = Moments.of(extract(sources.load("mnist:test", SIDE).images))
    packaged = {part: sources.load(f"digits:{part}", SIDE) for part in ("train", "val", "heldout")}
    learnt = sources.load("mnist:train", SIDE)
    for part in packaged.values():
        learnt = learnt.without(part)
    sets = {"learnt": learnt, **packaged}
    found = {name: extract(images.images) for name, images in sets.items()}

    def say(name: str, draws: Sequence[Tensor]) -> None:
        fids = [distance(Moments.of(draw), reference) for draw in draws]
        spread = f" ± {statistics.stdev(fids):.3f}" if len(fids) > 1 else ""
        Console().print(f"{name}: FID {statistics.mean(fids):.3f}{spread} ({len(fids)} draws)", highlight=False)

    def several(name: str, n: int, draws: int = settings.draws) -> list[Tensor]:
        return [found[name][sets[name].subset_rows(n, seed)] for seed in range(draws)]  # as many of each class

    many, few = (f"{n:,} digits" for n in (settings.n, settings.few))
    assert learnt.labels is not None
    labels = learnt.labels.numpy()
    for name, classes in (("with all such digits' shares of the classes", labels), ("at random", None)):
        rows = disjoint(len(labels), settings.n, settings.draws, 0, classes)
        say(f"{many} {name}", [found["learnt"][draw] for draw in rows])
    say(f"{many}, as many of each class", several("learnt", settings.n))
    say(f"{few}, as many of each class, learnt from", several("learnt", settings.few))
    say(f"{few}, as many of each class, packaged training, not learnt from", several("train", settings.few))
    others = several("val", settings.few, 1) + several("heldout", settings.few, 1)
    say(f"{few}, as many of each class, packaged validation and held-out, not learnt from", others)


if __name__ == "__main__":
    script(main, Settings, __doc__)
