"""Features in which images are compared, by name: uint8 images in, one vector for each out."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fromnoise.choices import choose
from fromnoise.data.pixels import normalise
from fromnoise.data.resize import resize
from fromnoise.evaluation import digit_network

BATCH = 256


@dataclass(frozen=True)
class Features:
    """An extractor: its name, the length of its vectors, the hash of its weights, and the map itself."""

    name: str
    dimension: int
    sha256: str
    extract: Callable[[Tensor], Tensor]

    def __call__(
        self, images: UInt8[Tensor, "n c h w"], progress: Callable[[int, int], None] | None = None
    ) -> Float[Tensor, "n d"]:
        """The features of images of any number, in batches of a fixed size, on the CPU; `progress` (done, all)."""
        parts = []
        for start in range(0, len(images), BATCH):
            with torch.inference_mode():
                parts.append(self.extract(images[start : start + BATCH]).cpu())
            if progress:
                progress(min(start + BATCH, len(images)), len(images))
        return torch.cat(parts)


def digits(device: torch.device) -> Features:
    """The packaged digit network's 64 features: grey 32×32; colour is turned to luminance, other sizes resized."""
    network = digit_network.packaged().to(device)

    def extract(images: Tensor) -> Tensor:
        images = images.to(device)
        grey = _luminance(images) if images.shape[1] == 3 else images
        sized = resize(grey, (digit_network.SIZE, digit_network.SIZE))
        return network.features(normalise(sized))

    sha256 = hashlib.sha256(digit_network.packaged_bytes()).hexdigest()
    return Features("digits", digit_network.FEATURES, sha256, extract)


FEATURES: Mapping[str, Callable[[torch.device], Features]] = {"digits": digits}


def features(name: str, device: torch.device | None = None) -> Features:
    """The extractor called `name`, computing on `device` (the CPU); raises UserError for a name that is not known."""
    return choose("features", name, FEATURES)(device or torch.device("cpu"))


def _luminance(images: Tensor) -> Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    return (images.float() * weights).sum(dim=1, keepdim=True).round().to(torch.uint8)
