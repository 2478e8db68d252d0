"""The fast U-Net: residual blocks on three levels behind a space-to-depth stem, conditioned on level, class and change.

Made for CPUs: no attention, few large 3×3 convolutions, normalisation and activation that a compiler can fuse,
and nothing whose gradient is summed in an order that changes from run to run.
"""

from collections.abc import Mapping
from typing import Self, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fromnoise.config import Config
from fromnoise.errors import UserError
from fromnoise.networks.embedding import WIDTH, Embedding
from fromnoise.networks.network import Network, zeroed
from fromnoise.networks.settings import NetworkSettings

LEVELS = 16  # at most: each halves the sides of images
MULTIPLE = 8  # of which the levels' channels are
TOGETHER = 16  # channels that are normalised together
# Images of so many channels (grey, RGB, premultiplied RGBA) to RGB and back. Alpha is the mean of the colours: with an
# alpha of 0 a model of transparent images denoises opaque ones worse.
TO_RGB = {1: torch.ones(3, 1), 3: torch.eye(3), 4: torch.eye(3, 4)}
FROM_RGB = {1: torch.full((1, 3), 1 / 3), 3: torch.eye(3), 4: torch.cat([torch.eye(3), torch.full((1, 3), 1 / 3)])}


def norm(channels: int) -> nn.GroupNorm:
    """A norm in groups of 16 channels, of 8 where 16 do not divide them.

    Channels-last on a CPU, PyTorch's norm works on a group's channels by vectors of 16: groups of 8 or 24 take several
    times as long, forward and backward.
    """
    return nn.GroupNorm(channels // (MULTIPLE if channels % TOGETHER else TOGETHER), channels)


class Block(nn.Module):
    """norm, SiLU, 3×3; norm scaled and shifted by the embedding, SiLU, dropout, 3×3; plus the input."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = zeroed(nn.Linear(WIDTH, 2 * outputs))
        self.norm2 = norm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))  # every block starts as the identity
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Float[Tensor, "n c h w"], embedding: Float[Tensor, "n w"]) -> Float[Tensor, "n o h w"]:
        """The block's output, with `outputs` channels."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(torch.addcmul(shift, self.norm2(h), scale + 1))
        return self.skip(x) + self.conv2(self.dropout(h))


def doubled(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 2*h 2*w"]:
    """Every pixel four times.

    Compiled, `interpolate` in this network has a gradient of zero in bf16 on the CPU (PyTorch 2.13); eager it is right,
    and faster than the other way.
    """
    if torch.compiler.is_dynamo_compiling():
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def over_channels(matrix: Float[Tensor, "o i"], weights: Tensor, dim: int) -> Tensor:
    """Weights whose dimension `dim` is the i channels of images in a space-to-depth stem, as those of o channels."""
    apart = weights.unflatten(dim, (matrix.shape[1], -1))
    return torch.tensordot(matrix, apart, dims=([1], [dim])).movedim(0, dim).flatten(dim, dim + 1)


class UNet(Network):
    """Noisy images, their λ and their class to a prediction of the same shape.

    images    channels of the images
    channels  of each level, multiples of 8; height and width must be multiples of stem·2^(levels − 1)
    blocks    residual blocks of a level going down; going up there is one more
    stem      space-to-depth factor before the first level
    classes   number of classes, 0 for none
    change    how many numbers say how an image was changed, 0 for a network that is not conditioned on it
    """

    def __init__(
        self,
        images: int,
        channels: tuple[int, ...] = (48, 96, 96),
        blocks: int = 1,
        stem: int = 2,
        dropout: float = 0.0,
        classes: int = 0,
        change: int = 0,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.embedding = Embedding(classes, change)
        width = channels[0]
        self.first = nn.Conv2d(images * stem**2, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        kept = [width]
        for k, outputs in enumerate(channels):
            level = nn.ModuleList()
            for _ in range(blocks):
                level.append(Block(width, outputs, dropout))
                width = outputs
                kept.append(width)
            self.down.append(level)
            if k < len(channels) - 1:
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                kept.append(width)
        self.middle = Block(width, width, dropout)
        for k, outputs in reversed(list(enumerate(channels))):
            level = nn.ModuleList()
            for _ in range(blocks + 1):
                level.append(Block(width + kept.pop(), outputs, dropout))
                width = outputs
            self.up.append(level)
            if k:
                self.grow.append(nn.Conv2d(width, width, 3, padding=1))
        self.norm = norm(width)
        self.last = zeroed(nn.Conv2d(width, images * stem**2, 3, padding=1))

    def forward(
        self,
        x: Float[Tensor, "n c h w"],
        logsnr: Float[Tensor, " n"],
        label: Int64[Tensor, " n"] | None = None,
        change: Float[Tensor, "n k"] | None = None,
    ) -> Float[Tensor, "n c h w"]:
        """The prediction for noisy images at levels `logsnr`; for the null class and no change where none is given."""
        embedding = self.embedding(logsnr, label, change)
        h = self.first(F.pixel_unshuffle(x, self.stem))
        kept = [h]
        for k, level in enumerate(self.down):
            for block in cast(nn.ModuleList, level):
                h = block(h, embedding)
                kept.append(h)
            if k < len(self.shrink):
                h = self.shrink[k](h)
                kept.append(h)
        h = self.middle(h, embedding)
        for k, level in enumerate(self.up):
            for block in cast(nn.ModuleList, level):
                h = block(torch.cat([h, kept.pop()], dim=1), embedding)
            if k < len(self.grow):
                h = self.grow[k](doubled(h))
        return F.pixel_shuffle(self.last(F.silu(self.norm(h))), self.stem)

    def adapted(self, weights: Mapping[str, Tensor], same_classes: bool) -> dict[str, Tensor]:
        """As `Network` says, for another number of classes and other channels too.

        Each new class starts as the null class. Grey counts as RGB of equal channels, RGB as grey by its mean. Where
        one network has no alpha, it counts as the mean of RGB. Other channels start afresh.
        """
        inner = {name.removeprefix("embedding."): value for name, value in weights.items() if "embedding." in name}
        inner = self.embedding.adapted(inner, same_classes)
        found = dict(weights) | {f"embedding.{name}": value for name, value in inner.items()}
        theirs, ours = (first.shape[1] // self.stem**2 for first in (weights["first.weight"], self.first.weight))
        if theirs != ours and {theirs, ours} <= TO_RGB.keys():
            found["first.weight"] = over_channels((FROM_RGB[theirs] @ TO_RGB[ours]).T, found["first.weight"], 1)
            for name in ("last.weight", "last.bias"):
                found[name] = over_channels(FROM_RGB[ours] @ TO_RGB[theirs], found[name], 0)
        return super().adapted(found, same_classes)

    @staticmethod
    def check(settings: NetworkSettings) -> None:
        """Raise UserError for too many levels, and for channels that are not multiples of 8."""
        if len(settings.channels) > LEVELS:
            raise UserError(f"--channels names {len(settings.channels):,} levels: name at most {LEVELS}")
        if any(width < MULTIPLE or width % MULTIPLE for width in settings.channels) or not settings.channels:
            said = " ".join(map(str, settings.channels))
            raise UserError(f"--channels {said}: each must be a multiple of {MULTIPLE}")

    @staticmethod
    def multiple(settings: NetworkSettings) -> int:
        """The stem, and a halving between two levels."""
        return settings.stem * 2 ** (len(settings.channels) - 1)

    @staticmethod
    def fit(config: Config) -> dict[str, str]:
        """All but dropout, which has no weights."""
        settings, channels = config.network, " ".join(map(str, config.network.channels))
        return {"channels": channels, "blocks": str(settings.blocks), "stem": str(settings.stem)}

    @classmethod
    def build(cls, settings: NetworkSettings, images: int, size: tuple[int, int], classes: int, change: int) -> Self:
        """The network for images of any size."""
        return cls(images, settings.channels, settings.blocks, settings.stem, settings.dropout, classes, change)
