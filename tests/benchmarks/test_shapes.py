import torch

from benchmarks.shapes import BATCH, shapes


def test_image_k_is_the_same_however_many_are_drawn():
    few, some, many = (shapes(n, 0) for n in (3, BATCH, BATCH + 3))
    for each in (few, some):
        assert torch.equal(each.images, many.images[: len(each)])
        assert torch.equal(each.labels, many.labels[: len(each)])
