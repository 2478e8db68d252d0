"""The digit classifier whose last features measure digits, offline.

Inception, trained on photographs, overlooks damage that any reader of digits sees, and its weights have to be
downloaded. This network is 0.9 MB, is part of the package, and was trained by tools/train_digit_network.py on
the 55,000 MNIST training digits that are not among the packaged `digits`.
"""

from importlib import resources
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from fromnoise import tensors

WIDTHS = ((32, 32), (64, 64), (128, 64))  # two convolutions on each of 32×32, 16×16, 8×8
FEATURES = 64
SIZE = 32
WEIGHTS = "digit_network.safetensors"


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


def packaged_file() -> Path:
    """The packaged weights file."""
    return Path(str(resources.files("fromnoise.evaluation").joinpath(WEIGHTS)))


def packaged() -> DigitNetwork:
    """The network with its packaged weights, ready to evaluate."""
    network = DigitNetwork()
    network.load_state_dict(tensors.load(packaged_file())[0])
    return network.eval().requires_grad_(False)
