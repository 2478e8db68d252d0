"""Settings of the network (no PyTorch here: the command line reads this for `--help`)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fromnoise.limits import Limits


@dataclass(frozen=True)
class NetworkSettings:
    """The network that predicts."""

    network: Literal["unet", "chapter"] = "unet"
    """unet: a fast U-Net; chapter: diffusers' UNet2DModel with the chapter's 113.7 M parameters."""
    channels: tuple[Annotated[int, Limits(1, 4096)], ...] = (48, 96, 96)
    """Channels of the unet at each resolution, from fine to coarse; each resolution is half the one before.
    Wider networks learn more per step but take fewer steps in the same time."""
    blocks: Annotated[int, Limits(1, 64)] = 1
    """Residual blocks of the unet at each resolution on the way down; on the way up there is one more."""
    stem: Literal[1, 2, 4] = 2
    """Space-to-depth factor of the unet: its finest resolution is size/stem."""
    dropout: Annotated[float, Limits(0, 0.99)] = 0.0
    """Dropout in the unet's residual blocks."""
    labels: bool = True
    """Condition the unet on classes, where the data has them; --no-labels ignores them."""
