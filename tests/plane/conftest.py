import pytest
import torch

from fromnoise.diffusion import ideal
from fromnoise.plane.sets import MIXTURE, SETS


@pytest.fixture(scope="session")
def exact():
    """The ideal denoiser of the mixture."""
    return ideal.of_mixture(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances)


@pytest.fixture(scope="session")
def points_of():
    """Real points: a set's name, how many, and a seed."""

    def draw(name, m, seed=0):
        return SETS[name](m, torch.Generator().manual_seed(seed))

    return draw
