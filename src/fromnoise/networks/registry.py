"""The networks by name."""

from collections.abc import Mapping

from fromnoise.networks.chapter import ChapterUNet
from fromnoise.networks.network import Network
from fromnoise.networks.settings import NetworkSettings
from fromnoise.networks.unet import UNet

NETWORKS: Mapping[str, type[Network]] = {"unet": UNet, "chapter": ChapterUNet}


def network(settings: NetworkSettings) -> type[Network]:
    """The class of the network that `settings` name."""
    return NETWORKS[settings.network]
