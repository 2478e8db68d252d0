import re

import pytest
import torch
from scipy import stats

from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.repeats import repeats


@pytest.fixture(scope="module")
def real():
    return digits.load("heldout")


def noisy(images):
    noise = 6 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + noise).round().clamp(0, 255).to(torch.uint8)


def test_real_images_repeat_as_little_as_others(real):
    found = repeats(digits.load("val"), real)
    assert not found.found
    assert found.n == 1000
    assert found.verdict.startswith("no more than among real images (near-duplicates: ")
    least = int(re.search(r"; ([\d,]+) would have been noticed\)$", found.verdict)[1])
    repeated = round(found.real * 1000)
    for more, p in ((least, 0.001), (least - 1, 1.0)):
        exact = stats.fisher_exact([[more, 1000 - more], [repeated, 1000 - repeated]], alternative="greater").pvalue
        assert exact < p
        assert (exact < 0.001 and more - repeated >= 10) == (more == least)


@pytest.mark.parametrize("change", [lambda images: images, noisy], ids=["the same", "with noise"])
def test_each_image_twice(real, change):
    twice = ImageSet("twice", change(digits.load("val").images[:150].repeat(2, 1, 1, 1)))
    found = repeats(twice, real)
    assert found.found
    assert found.share == pytest.approx(0.5, abs=0.02)
    assert found.n == 300
    assert found.verdict.startswith("more than among real images (near-duplicates: 15")
    assert found.noticed


@pytest.mark.parametrize("times", [1, 10])
def test_few_of_many_images_are_said_to_tell_nothing(real, times):
    """Of ten times as many as are compared, each twice, hardly two of the same would be among those compared."""
    many = ImageSet("many", noisy(digits.load("train").images[: 300 * times]))
    assert repeats(many, real.subset(150, 0)).noticed == (times == 1)


def test_of_images_that_repeat_by_nature_further_repeats_cannot_be_seen(real):
    nature = ImageSet("nature", real.images[:30].repeat(10, 1, 1, 1))
    found = repeats(ImageSet("generated", digits.load("val").images[:30].repeat(10, 1, 1, 1)), nature)
    assert (found.found, found.noticed) == (False, False)


def test_it_takes_more_than_chance_and_more_than_a_trifle(real):
    some = digits.load("val").images[:400]
    few = repeats(ImageSet("few", torch.cat([some, some[:3]])), real)
    many = repeats(ImageSet("many", torch.cat([some, some[:40]])), real)
    assert (few.found, many.found) == (False, True)
    n, ours, theirs = many.n, round(many.share * many.n), round(many.real * many.n)
    assert many.p == stats.hypergeom.sf(ours - 1, 2 * n, ours + theirs, n)


def test_images_that_repeat_by_nature_are_no_fault(real):
    twice = ImageSet("twice", real.images[:200].repeat(2, 1, 1, 1))
    assert not repeats(ImageSet("generated", digits.load("val").images[:200].repeat(2, 1, 1, 1)), twice).found
