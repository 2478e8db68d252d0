"""What values stand for that are known but for an error."""

import torch

from fromnoise.data import sources
from fromnoise.data.pixels import decoder, histogram

VALUES = torch.arange(256)


def test_values_that_are_all_as_common_stand_for_themselves():
    assert torch.equal(decoder(torch.full((2, 256), 1 / 256, dtype=torch.float64), 2.0), VALUES.byte().expand(2, 256))


def test_values_near_a_common_one_stand_for_it_and_order_is_kept():
    shares = torch.full((256,), 0.3 / 253, dtype=torch.float64)
    shares[torch.tensor([0, 128, 255])] = torch.tensor([0.4, 0.1, 0.2], dtype=torch.float64)
    (table,) = decoder(shares[None], 2.0).int()
    assert table[[0, 3, 126, 127, 129, 130, 252, 255]].tolist() == [0, 0, 128, 128, 128, 128, 255, 255]
    assert torch.equal(table[20:110], VALUES[20:110].int())
    assert (table.diff() >= 0).all()


def test_noise_of_the_size_expected_is_removed_from_digits():
    """Its mean square, beside the least that any table leaves: of the mean true value of each value, by counting."""
    images = sources.load("digits:heldout", (32, 32)).images
    true = images.flatten().double()
    noisy = (
        (true + 2 * torch.randn(true.shape, generator=torch.Generator().manual_seed(0))).round().clamp(0, 255).long()
    )
    counted = torch.zeros(256).double().scatter_reduce(0, noisy, true, "mean", include_self=False)
    table = decoder(histogram(images).double() / true.numel(), 2.0)[0]
    best, ours, rounded = ((value - true).square().mean().item() for value in (counted[noisy], table[noisy], noisy))
    assert best <= ours < 1.1 * best
    assert ours < 0.7 * rounded
