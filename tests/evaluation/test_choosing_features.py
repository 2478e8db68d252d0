import pytest
import torch

from fromnoise.evaluation.features import choosing_features

CPU = torch.device("cpu")


@pytest.fixture
def colours():
    return torch.randint(0, 256, (30, 3, 24, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_they_are_the_same_always_and_of_images_of_any_size_and_colour(colours):
    one, other = (choosing_features(CPU) for _ in range(2))
    found = one(colours)
    assert found.shape == (30, one.dimension)
    assert one.sha256 == other.sha256
    assert torch.equal(other(colours), found)
    assert torch.allclose(one(colours[3:4]), found[3:4], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(one(colours.flip(1)), found, rtol=1e-2)
    grey = colours[:, :1]
    assert torch.equal(one(grey), one(grey.expand(-1, 3, -1, -1)))
