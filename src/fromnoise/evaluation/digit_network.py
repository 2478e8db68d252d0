"""The digit classifier whose last features measure digits, offline.

Inception, trained on photographs, overlooks damage that any reader of digits sees, and its weights must be
downloaded. This network is 0.9 MB, is part of the package, and was trained by tools/train_digit_network.py on
the 55,000 MNIST training digits that are not among the packaged `digits`.
"""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fromnoise import tensors
from fromnoise.data.pixels import normalise
from fromnoise.data.resize import resize

WIDTHS = ((32, 32), (64, 64), (128, 64))  # two convolutions on each of 32×32, 16×16, 8×8
FEATURES = 64
SIZE = 32
WEIGHTS = Path(__file__).with_name("digit_network.safetensors")
LOOKED_AT = 500
"""Images, at most, by which a set is judged."""
DARK, PAPER = 64, (0.6, 0.95)
"""Digits are light strokes on dark: pixels below `DARK` are between these shares of all, 0.84 in MNIST."""
SURE, SHARE = 0.99, 0.8
"""A set counts as digits where the network gives a digit a probability above `SURE` in more than `SHARE` of the images.
In MNIST these are 97 %, at 16×16 pixels 89 %; of clothes, icons, emoji, letters and printed digits at most 65 %."""


class DigitNetwork(nn.Module):
    """Digits in [−1, 1], N×1×32×32, to 64 non-negative features and, through them, 10 logits."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for level, widths in enumerate(WIDTHS):
            if level:
                layers.append(nn.MaxPool2d(2))
            for width in widths:
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, 10)

    def features(self, x: Float[Tensor, "n 1 32 32"]) -> Float[Tensor, "n 64"]:
        """The average over the 8×8 positions of the last layer's activations."""
        return self.body(x).mean(dim=(2, 3))

    def forward(self, x: Float[Tensor, "n 1 32 32"]) -> Float[Tensor, "n 10"]:
        """Logits of the ten digits."""
        return self.head(self.features(x))


def packaged() -> DigitNetwork:
    """The network with its packaged weights, ready to evaluate."""
    network = DigitNetwork()
    network.load_state_dict(tensors.load(WEIGHTS)[0])
    return network.eval().requires_grad_(False)


@torch.no_grad()
def are_digits(images: UInt8[Tensor, "n c h w"]) -> bool:
    """Whether these are handwritten digits as MNIST has them: grey, light on dark, and read with confidence."""
    if images.shape[1] not in (1, 3):
        return False
    some = images[torch.linspace(0, len(images) - 1, min(len(images), LOOKED_AT)).long()].cpu()
    paper = float((some < DARK).float().mean())
    if not torch.equal(some, some[:, :1].expand_as(some)) or not PAPER[0] < paper < PAPER[1]:
        return False  # it takes random bytes for digits, with confidence
    confidence = packaged()(normalise(resize(some[:, :1], (SIZE, SIZE)))).softmax(1).amax(1)
    return bool((confidence > SURE).float().mean() > SHARE)
