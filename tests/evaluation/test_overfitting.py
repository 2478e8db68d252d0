import json

import msgspec
import pytest
import torch
from scipy import stats

from fromnoise.data.image_set import ImageSet
from fromnoise.diffusion.bound import Bound
from fromnoise.errors import UserError
from fromnoise.evaluation import overfitting
from fromnoise.evaluation.overfitting import LEVELS, likelihood_gap
from fromnoise.evaluation.report import LikelihoodGap
from fromnoise.generation.likelihood import Likelihood, bound_bits


def test_it_is_the_difference_of_the_bounds_and_plain_json(tiny_model, blobs_of):
    train, held_out = blobs_of(40), blobs_of(60, seed=1)
    found = likelihood_gap(tiny_model, train, held_out, seed=3)
    ours, theirs = (bound_bits(tiny_model, of.images, LEVELS, seed=3) for of in (train, held_out))
    assert found.train.bits == pytest.approx(float(ours.bits.mean()), rel=1e-12)
    assert found.gap.value == pytest.approx(float(theirs.bits.mean() - ours.bits.mean()), rel=1e-9)
    welch = stats.ttest_ind(theirs.bits.numpy(), ours.bits.numpy(), equal_var=False, alternative="greater")
    assert found.gap.p == pytest.approx(float(welch.pvalue))
    for of in (found.train, found.held_out):
        assert of.prior + of.steps + of.decoder == pytest.approx(of.bits, rel=1e-9)
    assert (found.train.n, found.held_out.n) == (40, 60)
    assert msgspec.convert(json.loads(msgspec.json.encode(found)), LikelihoodGap) == found


@pytest.mark.parametrize(("more", "words"), [(0.5, "overfitting"), (0.0, "no sign of overfitting")])
def test_a_gap_is_named_only_where_it_is_significant(tiny_model, blobs_of, monkeypatch, more, words):
    """Bits that are normal with deviation 0.3: a gap of 0.5 is 12 standard errors of 100 images beside 100."""
    train, held_out = blobs_of(100), blobs_of(100, seed=1)

    def bits(model, images, levels, *, seed, device, progress):
        generator = torch.Generator().manual_seed(int(images.sum()))
        fresh = torch.equal(images, held_out.images)
        values = 2 + 0.3 * torch.randn(len(images), generator=generator, dtype=torch.float64) + more * fresh
        return Likelihood(values, values, values, values, values)

    monkeypatch.setattr(overfitting, "bound_bits", bits)
    found = likelihood_gap(tiny_model, train, held_out)
    assert found.verdict.startswith(f"{words}: held-out images cost 0.")
    assert found.overfitted == (more > 0)


def test_a_schedule_with_few_steps_gives_the_bound_over_all_of_them(tiny_model, blobs_of, monkeypatch):
    short, asked = Bound(torch.linspace(8, -8, 12, dtype=torch.float64)), []

    def bits(model, images, levels, **others):
        asked.append(levels)
        return bound_bits(model, images, levels, judge=short, **others)

    monkeypatch.setattr(overfitting, "bound_of", lambda model: short)
    monkeypatch.setattr(overfitting, "bound_bits", bits)
    found = likelihood_gap(tiny_model, blobs_of(10), blobs_of(10, seed=1))
    assert found.levels == 11
    assert asked == [None, None]


def test_classes_that_one_set_is_short_of_make_no_gap(tiny_model, monkeypatch):
    """Every image of a class has that class's bits; the shares are the same, and only the number differs."""
    monkeypatch.setattr(overfitting, "MOST", 100)
    images = torch.zeros(1000, 1, 16, 16, dtype=torch.uint8)
    images[:800] += 255
    sets = [ImageSet("uneven", part, (part[:, 0, 0, 0] > 0).long()) for part in (images, images[::10])]

    def bits(model, images, levels, **others):
        values = 2 + (images[:, 0, 0, 0] > 0).double()
        return Likelihood(values, values, values, values, values)

    monkeypatch.setattr(overfitting, "bound_bits", bits)
    gaps = [likelihood_gap(tiny_model, *sets, seed=seed).gap.value for seed in range(20)]
    assert abs(sum(gaps) / 20) < 0.04  # by class it would be 0.3


def test_large_sets_are_drawn_from_and_progress_counts_both(tiny_model, blobs_of, monkeypatch):
    monkeypatch.setattr(overfitting, "MOST", 20)
    seen = []
    found = likelihood_gap(tiny_model, blobs_of(64), blobs_of(30), progress=lambda *told: seen.append(told))
    assert (found.train.n, found.held_out.n) == (20, 20)
    assert seen[-1] == (40, 40)


def test_images_of_another_shape_are_refused(tiny_model, blobs_of):
    with pytest.raises(UserError, match="the model is for images of 1×16×16"):
        likelihood_gap(tiny_model, blobs_of(20, size=24), blobs_of(20))
    one = ImageSet("one", blobs_of(1).images)
    with pytest.raises(ValueError, match="at least 2"):
        likelihood_gap(tiny_model, one, blobs_of(20))
