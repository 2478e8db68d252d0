"""The interface of all networks: each describes itself, so that nothing else branches on its name."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self, TypeVar

from torch import Tensor, nn

from fromnoise.config import Config
from fromnoise.diffusion.denoiser import Condition, by_logsnr
from fromnoise.diffusion.schedule import Schedule
from fromnoise.networks.settings import NetworkSettings

Layer = TypeVar("Layer", bound=nn.Module)


def zeroed(layer: Layer) -> Layer:
    """`layer` with all its parameters zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Network(nn.Module):
    """A module called as network(x, condition[, label][, change=…]).

    TAKES_LABELS  it also takes the image's class and how the image was changed
    TAKES_PIXELS  it learns pixels in [−1, 1] as they are, not scaled or cleaned (`DataInfo`)
    COMPILES      whether compiling is worth trying unasked
    """

    TAKES_LABELS: ClassVar[bool] = True
    TAKES_PIXELS: ClassVar[bool] = False
    COMPILES: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def build(cls, settings: NetworkSettings, images: int, size: tuple[int, int], classes: int, change: int) -> Self:
        """The network with fresh weights.

        images   channels of the images
        size     their height and width
        classes  number of classes or clusters, 0 for none
        change   how many numbers say how an image was changed, 0 for a network that is not conditioned on it
        """

    @staticmethod
    def condition(table: Schedule) -> Condition:
        """From levels λ to the condition: λ itself, or `ByStep` of the schedule."""
        return by_logsnr

    def adapted(self, weights: Mapping[str, Tensor], same_classes: bool) -> dict[str, Tensor]:
        """Weights of another network whose `fit` is the same, adapted to this network.

        Parameters of another shape keep their fresh values.

        same_classes  its classes are this one's
        """
        own = self.state_dict()
        fits = {name for name, value in own.items() if name in weights and weights[name].shape == value.shape}
        return {name: weights[name] if name in fits else value for name, value in own.items()}

    @staticmethod
    @abstractmethod
    def multiple(settings: NetworkSettings) -> int:
        """What the images' height and width must be multiples of."""

    @staticmethod
    def check(settings: NetworkSettings) -> None:
        """Raise UserError for settings that this kind of network cannot have."""

    @staticmethod
    def unused(settings: NetworkSettings) -> list[str]:
        """The names of settings, other than the defaults, that this kind of network does not use."""
        return []

    @staticmethod
    def fit(config: Config) -> dict[str, str]:
        """The settings, by name, that must be equal for another network's weights to fit."""
        return {}
