"""The chapter's noise predictor: diffusers' `UNet2DModel`, 113.7 M parameters at its published widths.

diffusers counts steps from 0: `condition` here is its step k, our t − 1 (`fromnoise.diffusion.denoiser.ByStep`).
"""

from dataclasses import fields
from typing import Self

from jaxtyping import Float, Int64
from torch import Tensor

from fromnoise.config import Config
from fromnoise.diffusion.denoiser import ByStep
from fromnoise.networks.network import Network
from fromnoise.networks.settings import NetworkSettings

WIDTHS = (128, 128, 256, 256, 512, 512)
ATTENTION = 4  # the fifth level, counted from 0


class ChapterUNet(Network):
    """diffusers' `UNet2DModel` as the chapter has it, called and answering as every network here.

    images   channels of the images
    size     their height and width, multiples of 32
    widths   channels of the six levels
    """

    TAKES_LABELS, TAKES_PIXELS, COMPILES = False, True, False
    condition = ByStep

    def __init__(self, images: int, size: tuple[int, int], widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        from diffusers import UNet2DModel  # three seconds, and only the chapter needs it

        down = ["DownBlock2D"] * len(widths)
        up = ["UpBlock2D"] * len(widths)
        down[ATTENTION], up[len(widths) - 1 - ATTENTION] = "AttnDownBlock2D", "AttnUpBlock2D"
        self.model = UNet2DModel(
            sample_size=size,
            in_channels=images,
            out_channels=images,
            act_fn="silu",
            block_out_channels=widths,
            down_block_types=tuple(down),
            up_block_types=tuple(up),
        )

    def forward(self, x: Float[Tensor, "n c h w"], condition: Int64[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
        """The predicted noise for x at diffusers' steps `condition`."""
        return self.model(x, condition, return_dict=False)[0]

    @staticmethod
    def fit(config: Config) -> dict[str, str]:
        """The schedule, whose steps it counts."""
        return {"schedule": config.diffusion.schedule, "T": str(config.diffusion.T)}

    @staticmethod
    def unused(settings: NetworkSettings) -> list[str]:
        """All but the name: the chapter's network is of one size, and takes no classes."""
        plain = NetworkSettings(network=settings.network, labels=settings.labels)
        return [each.name for each in fields(settings) if getattr(settings, each.name) != getattr(plain, each.name)]

    @staticmethod
    def multiple(settings: NetworkSettings) -> int:
        """Five halvings."""
        return 32

    @classmethod
    def build(cls, settings: NetworkSettings, images: int, size: tuple[int, int], classes: int, change: int) -> Self:
        """The network for images of `size`; it takes no class or change."""
        return cls(images, size)
