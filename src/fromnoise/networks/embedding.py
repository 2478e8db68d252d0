"""The condition of our networks (noise level, class, how the image was changed) as one vector."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

WIDTH = 256  # numbers of the embedding


class Embedding(nn.Module):
    """Noise level, class and change as one vector of `WIDTH` numbers.

    λ goes through sines and cosines of 16 frequencies (periods from 100 down to about 1 in λ). The class goes
    through a matrix product with its one-hot code, whose gradient, unlike a look-up's, is deterministic. Class
    `classes` is the null class, "any". What says how an image was changed goes through a matrix: zeros, for no change,
    add nothing.
    """

    def __init__(self, classes: int, change: int = 0) -> None:
        super().__init__()
        # Built on the CPU, then moved: on the meta device, where a file's weights are checked, logspace imports SymPy.
        frequencies = torch.logspace(math.log10(0.06), math.log10(6.0), 16, device="cpu")
        self.register_buffer("frequencies", frequencies.to(torch.get_default_device()), persistent=False)
        self.frequencies: Tensor
        self.classes = classes
        self.level = nn.Linear(32, WIDTH)
        self.label = nn.Linear(classes + 1, WIDTH, bias=False) if classes else None
        self.change: nn.Linear | None = None
        if change:
            # Without random numbers, so that all other weights are those of a network without changes.
            self.change = nn.utils.skip_init(nn.Linear, change, WIDTH, bias=False)
            nn.init.zeros_(self.change.weight)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(
        self, logsnr: Float[Tensor, " n"], label: Int64[Tensor, " n"] | None, change: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "n w"]:
        """The embedding; without `label`, that of the null class, and without `change`, that of none."""
        angles = logsnr[:, None] * self.frequencies
        x = self.level(torch.cat([angles.sin(), angles.cos()], dim=1))
        if self.label is not None:
            if label is None:
                label = torch.full((len(logsnr),), self.classes, device=logsnr.device)
            x = x + self.label(F.one_hot(label, self.classes + 1).to(x.dtype))
        if change is not None:
            assert self.change is not None, "this network is not conditioned on changes"
            x = x + self.change(change)
        return F.silu(self.out(F.silu(x)))

    def adapted(self, weights: Mapping[str, Tensor], same_classes: bool) -> dict[str, Tensor]:
        """Another embedding's weights as ones for this one, for which every class starts as the other's null class.

        same_classes  the classes are the other's: they keep their weights
        """
        found, known = dict(weights), weights.get("label.weight")
        null = torch.zeros(WIDTH) if known is None else known[:, -1]
        if self.label is None:
            found["level.bias"] = found["level.bias"] + null
        elif known is None or not same_classes:
            found["label.weight"] = null[:, None].expand_as(self.label.weight)
        return {name: found.get(name, own) for name, own in self.state_dict().items()}
