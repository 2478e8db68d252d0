"""A model's knowledge of its data. Only this module knows the data's scale.

Between `encode` and `decode` images are numbers of unit root mean square: pixels in [−1, 1] divided by their scale s.
Noise levels λ are those of such data. At the same ratio of signal to noise pixels in [−1, 1] have the level λ − 2·ln s.
"""

import difflib
import math
import re
import unicodedata
from dataclasses import dataclass
from numbers import Integral
from typing import Annotated, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fromnoise.config import Config
from fromnoise.data.image_set import MOST_CHANNELS, ImageSet
from fromnoise.data.pixels import decoder, histogram, normalise, quantise
from fromnoise.data.settings import parse_size
from fromnoise.diffusion import bound, level
from fromnoise.errors import UserError
from fromnoise.limits import Limits
from fromnoise.networks.registry import network

Level = TypeVar("Level", float, Tensor)
LISTED, LONG = 30, 60  # names of classes in an error, and letters of a wrong one
ERROR = 2.0  # grey levels by which sampled pixels are off, about: 1.7 for digits, 2.0 for emoji after ten minutes


@dataclass(frozen=True)
class DataInfo:
    """What a model knows of the images that it learnt.

    scale, mean   the root mean square of pixels in [−1, 1], 1 for networks that take pixels; each channel's mean
    class_shares  of classes, or of clusters (`fromnoise.data.clusters`) if `clustered`
    class_names   in the same order; empty if they are numbers
    range         as in `ImageSet`
    decoder       what each of the 256 values of a sample stands for, in each channel (`data.pixels.decoder`); empty
                  if for itself
    """

    channels: int
    height: int
    width: int
    scale: Annotated[float, Limits(1e-9, 1)]
    mean: tuple[Annotated[float, Limits(-1, 1)], ...]
    class_shares: tuple[Annotated[float, Limits(0, 1)], ...] = ()
    clustered: bool = False
    range: tuple[float, float] | None = None
    class_names: tuple[str, ...] = ()
    decoder: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, images: ImageSet, config: Config) -> "DataInfo":
        """The facts of a training set; raises UserError for images that all have one value."""
        counts = histogram(images.images)
        if (counts.sum(dim=0) > 0).sum() == 1:
            raise UserError(f"{images.name}: all pixels have the same value; there is nothing to learn")
        shares = counts.double() / counts[0].sum()
        values = normalise(torch.arange(256, dtype=torch.uint8)).double()
        means = shares @ values
        kind = network(config.network)
        scale = 1.0 if kind.TAKES_PIXELS else float((shares @ values.square()).mean()) ** 0.5
        classes: tuple[float, ...] = ()
        conditioned = kind.TAKES_LABELS and (config.network.labels or images.clustered)
        if images.labels is not None and conditioned and images.classes > 1:
            each = images.labels.bincount(minlength=images.classes).double()
            classes = tuple((each / each.sum()).tolist())
        # Rounded to float32, as what the network computes with.
        scale, *mean = torch.tensor([scale, *means.tolist()]).tolist()
        clustered = images.clustered and bool(classes)
        names = () if clustered or len(images.class_names) < len(classes) else images.class_names[: len(classes)]
        table = () if kind.TAKES_PIXELS else tuple(map(tuple, decoder(shares, ERROR).tolist()))
        return cls(*images.shape, scale, tuple(mean), classes, clustered, images.range, names, table)

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.channels, self.height, self.width

    @property
    def classes(self) -> int:
        """Number of classes or clusters the network is conditioned on; 0 for none."""
        return len(self.class_shares)

    @property
    def conditioned_on(self) -> str:
        """The network's condition beside the noise level, in words."""
        return f"{self.classes} {'clusters' if self.clustered else 'classes'}" if self.classes else "no classes"

    @property
    def present(self) -> tuple[int, ...]:
        """The classes or clusters that the training images had."""
        return tuple(k for k, share in enumerate(self.class_shares) if share)

    def called(self, label: int) -> str:
        """The name of a class, or else its number."""
        return self.class_names[label] if self.class_names else str(label)

    def label_of(self, wanted: int | str) -> int:
        """The number of the class or cluster `wanted`: a number, a name, or a number as text, tried in this order.

        Raises UserError, listing the classes, for any other, and for a class that no training image had.
        """
        names = [unicodedata.normalize("NFC", name) for name in self.class_names]
        if isinstance(wanted, Integral) and 0 <= wanted < self.classes:
            label = int(wanted)
        elif (name := unicodedata.normalize("NFC", str(wanted))) in names:
            label = names.index(name)
        elif re.fullmatch(r"\d{1,9}", str(wanted), re.ASCII) and int(wanted) < self.classes:
            label = int(wanted)
        else:
            known = f"{self.conditioned_on}{', counted from 0' if self.classes else ''}"
            if self.class_names:
                more = ", …" if len(self.class_names) > LISTED else ""
                known = f"{self.conditioned_on}: {', '.join(self.class_names[:LISTED])}{more}"
                lower = {name.lower(): name for name in self.class_names}
                near = difflib.get_close_matches(str(wanted).lower(), lower, n=1)
                known += f"; did you mean {lower[near[0]]}?" if near else ""
            raise UserError(f"--label {' '.join(str(wanted).split())[:LONG]}: this model has {known}")
        if not self.class_shares[label]:
            raise UserError(f"--label {wanted}: no training image had this class")
        return label

    @property
    def encoded_mean(self) -> tuple[float, ...]:
        """Each channel's mean of encoded data."""
        return tuple(mean / self.scale for mean in self.mean)

    @property
    def encoded_black(self) -> float:
        """The byte 0 of encoded data: black, or transparent."""
        return -1 / self.scale

    @property
    def pixel_width(self) -> float:
        """The distance between neighbours of the 256 values of encoded data."""
        return bound.PIXEL / self.scale

    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """8-bit images as float32 of unit scale."""
        return normalise(images) / self.scale

    def pixels(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Encoded data as numbers in [−1, 1]."""
        return x * self.scale

    def grey_levels(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Encoded data as numbers of 0…255, neither rounded nor clipped."""
        return (self.pixels(x) + 1) * 127.5

    def decode(self, x: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
        """The 8-bit images that samples stand for, clipped and `cleaned`."""
        return self.cleaned(quantise(self.pixels(x)))

    def cleaned(self, images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
        """What a network made, without its small errors; RGBA's colours are clipped at their alpha.

        It is off by a grey level or two where all training images have one value, such as pure black or full
        transparency: `decoder` removes that.
        """
        if self.decoder:
            table = torch.tensor(self.decoder, dtype=torch.uint8, device=images.device)
            images = torch.stack([row[each.long()] for row, each in zip(table, images.unbind(1), strict=True)], 1)
        if self.channels == 4:
            images[:, :3] = torch.minimum(images[:, :3], images[:, 3:])
        return images

    def encoded_level(self, logsnr: Level) -> Level:
        """The level of encoded data at which pixels in [−1, 1] have the level `logsnr`."""
        return logsnr + 2 * math.log(self.scale)

    def encode_noisy(self, x: Tensor, logsnr: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy pixels x = a·x_0 + b·ε at levels `logsnr`, n, as noisy encoded data and its levels."""
        a, b = level.signal(logsnr) * self.scale, level.noise_scale(logsnr)
        return x / level.expand((a * a + b * b).sqrt(), x), self.encoded_level(logsnr)

    def check_range(self, images: ImageSet) -> None:
        """Raise UserError for images whose values became bytes by another range than the training images'."""
        if images.range != self.range:
            both = self.range, images.range
            trained, given = ("bytes" if each is None else "from {:g} to {:g}".format(*each) for each in both)
            raise UserError(
                f"{images.name}: the training images' values are {trained}, and these are {given}: scale them alike"
            )

    def check(self, config: Config) -> None:
        """Raise UserError if these facts do not fit data of `config`."""
        if (self.height, self.width) != parse_size(config.data.size):
            raise UserError(f"its images are {self.height}×{self.width}, and its configuration says {config.data.size}")
        if not 1 <= self.channels <= MOST_CHANNELS or len(self.mean) != self.channels:
            raise UserError(f"its images have {self.channels} channels and {len(self.mean)} means, not 1 to 8 of both")
        whole = all(len(row) == 256 and min(row) >= 0 and max(row) <= 255 for row in self.decoder)
        if self.decoder and (len(self.decoder) != self.channels or not whole):
            raise UserError("its decoder does not have 256 values from 0 to 255 for each channel")
        if self.classes == 1 or (self.classes and abs(sum(self.class_shares) - 1) > 1e-6):
            raise UserError("its classes' shares do not add up to 1")
        if self.class_names and len(self.class_names) != self.classes:
            raise UserError(f"it names {len(self.class_names)} classes and has {self.classes}")
