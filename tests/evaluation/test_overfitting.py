import dataclasses
import json
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import torch
from scipy import stats

from fromnoise import rng
from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resized
from fromnoise.diffusion import ideal, level
from fromnoise.errors import UserError
from fromnoise.evaluation import overfitting as module
from fromnoise.evaluation import verdicts
from fromnoise.evaluation.overfitting import overfitting
from fromnoise.evaluation.report import Overfitting
from fromnoise.generation import denoising, pretrained
from fromnoise.generation.model import Model


@pytest.fixture
def denoiser(monkeypatch):
    """Gives every model this denoiser instead of its network's."""

    def give(denoise):
        monkeypatch.setattr(denoising, "labelled", lambda *_, **__: denoise)

    return give


def shrinking(x, logsnr):
    """The best linear denoiser of independent pixels of unit scale: it knows nothing of any image."""
    x0 = level.expand(level.signal(logsnr), x) * x
    return x0, (x - level.expand(level.signal(logsnr), x) * x0) / level.expand(level.noise_scale(logsnr), x)


def patterns(n, seed):
    """Images that have nothing in common."""
    generator = torch.Generator().manual_seed(seed)
    return ImageSet("patterns", torch.randint(0, 256, (n, 1, 16, 16), dtype=torch.uint8, generator=generator))


def test_memory_at_middle_levels_is_found(tiny_model, denoiser, monkeypatch):
    """A denoiser that leans on its training images a little, and not where little noise is left."""
    train, held_out = (patterns(60, seed) for seed in (0, 1))
    by_heart = ideal.of_points(tiny_model.info.encode(train.images))

    def leaning(x, logsnr):
        share = level.expand(0.06 * (logsnr < 4), x)
        return tuple(torch.lerp(a, b, share) for a, b in zip(shrinking(x, logsnr), by_heart(x, logsnr), strict=True))

    denoiser(leaning)
    found = overfitting(tiny_model, train, held_out)
    assert found.overfitted
    assert found.verdict.startswith("overfitting: held-out images are denoised ")
    assert 0.03 < found.gap < 0.3
    monkeypatch.setattr(module, "SIGNIFICANCE", 0.0)
    unsure = overfitting(tiny_model, train, held_out)
    assert not unsure.overfitted
    assert unsure.verdict.startswith("perhaps overfitting: held-out images are denoised ")


@pytest.mark.slow
def test_the_packaged_model_is_judged_by_images_that_it_did_not_learn(monkeypatch):
    monkeypatch.setattr(module, "MOST", 400)
    model = Model.load(pretrained.packaged("digits"))
    seen, unseen = (resized(digits.load(part), (32, 32)) for part in ("train", "val"))
    found = overfitting(model, seen, unseen)
    assert found.interval[0] > 0
    assert found.gap < 0.1
    halves = [unseen.take(np.arange(k, len(unseen), 2)) for k in (0, 1)]
    assert not overfitting(model, *halves).overfitted


def test_fresh_images_are_denoised_as_well_as_training_images(tiny_model, blobs_of, denoiser):
    denoiser(shrinking)
    found = [overfitting(tiny_model, blobs_of(60, seed=k), blobs_of(60, seed=99 + k), seed=k) for k in range(20)]
    p = np.array([each.p for each in found])
    assert not any(each.overfitted for each in found)
    assert stats.kstest(p, "uniform").pvalue > 0.001
    covered = [low <= 0 <= high for low, high in (each.interval for each in found)]
    assert sum(covered) >= 16
    assert found[0].verdict.startswith("no sign of overfitting: held-out images are denoised ")
    assert "(95 % interval −" in found[0].verdict
    assert found[0].verdict.endswith(f"; {100 * found[0].detectable:.1f} % would have been noticed")


def test_the_gap_is_the_ratio_of_errors_in_which_each_level_counts_the_same(tiny_model, blobs_of, monkeypatch):
    train, held_out = blobs_of(40), blobs_of(40, seed=1)
    random = np.random.default_rng(0)
    noise = random.uniform(0.9, 1.1, (2, 40, 3)) * [100.0, 1.0, 0.01]

    def errors(model, images, levels, **_):
        return noise[1] * 1.2 if torch.equal(images, held_out.images) else noise[0]

    monkeypatch.setattr(module, "denoising_errors", errors)
    found = overfitting(tiny_model, train, held_out)
    assert found.gap == pytest.approx(0.2, abs=0.02)
    low, high = found.interval
    assert low < found.gap < high
    assert found.detectable == pytest.approx((found.gap - low) / stats.t.isf(0.025, 39) * (3.31 + 1.28), rel=0.01)
    assert [of.held_out / of.train for of in found.levels] == pytest.approx([1.2] * 3, abs=0.05)
    assert msgspec.convert(json.loads(msgspec.json.encode(found)), Overfitting) == found


def test_classes_that_one_set_is_short_of_make_no_gap(tiny_model, monkeypatch):
    """Every image of a class has that class's error; the shares are the same, and only the number differs."""
    monkeypatch.setattr(module, "MOST", 100)
    images = torch.zeros(1000, 1, 16, 16, dtype=torch.uint8)
    images[:800] += 255
    sets = [ImageSet("uneven", part, (part[:, 0, 0, 0] > 0).long()) for part in (images, images[::10])]

    def errors(model, images, levels, **_):
        return 2.0 + (images[:, 0, 0, 0] > 0).double().numpy()[:, None].repeat(3, axis=1)

    monkeypatch.setattr(module, "denoising_errors", errors)
    gaps = [overfitting(tiny_model, *sets, seed=seed).gap for seed in range(20)]
    assert abs(sum(gaps) / 20) < 0.03  # by class it would be 0.1


def test_large_sets_are_drawn_from_and_progress_is_told(tiny_model, blobs_of, monkeypatch, bars):
    monkeypatch.setattr(module, "MOST", 20)
    found = overfitting(tiny_model, blobs_of(64), blobs_of(30))
    assert found.n == 20
    assert bars == 2 * [("denoising", 20, 20)]


def test_images_of_another_shape_are_refused(tiny_model, blobs_of):
    with pytest.raises(UserError, match="the model is for images of 1×16×16"):
        overfitting(tiny_model, blobs_of(20, size=24), blobs_of(20))


def test_a_few_groups_are_not_many_images(tiny_model, monkeypatch):
    """Held-out images of six patients, each of whom is easier or harder than others: no overfitting, mostly."""
    images, group = patterns(120, 0), torch.arange(6).repeat_interleave(20)
    train, held_out = images, dataclasses.replace(images, groups=group)
    found = []
    for k in range(100):
        random = np.random.default_rng(k)
        ease = {120: random.normal(0, 0.1, 6).repeat(20)}
        calls = iter([np.zeros(120), ease[120]])
        monkeypatch.setattr(
            module,
            "denoising_errors",
            lambda *_, calls=calls, random=random, **__: np.exp(next(calls) + random.normal(0, 0.1, 120))[:, None],
        )
        monkeypatch.setattr(module, "known_levels", lambda *_: [0.0])
        found.append(overfitting(tiny_model, train, held_out))
    assert sum(each.p < 0.05 for each in found) <= 15
    assert sum(each.interval[0] > 0 for each in found) <= 10


def test_a_single_group_judges_nothing(tiny_model, denoiser):
    denoiser(shrinking)
    one = dataclasses.replace(patterns(60, 1), groups=torch.zeros(60, dtype=torch.long))
    found = overfitting(tiny_model, patterns(60, 0), one)
    assert found.verdict.startswith("one group of images is too little to judge overfitting: held-out images are ")
    assert not found.overfitted
    assert np.isnan([*found.interval, found.p]).all()
    [verdict] = verdicts.TESTS["overfitting"].ask(SimpleNamespace(overfitting=found))
    assert verdict.mark == "?"


def test_few_images_that_tell_little_are_not_called_fine(tiny_model, monkeypatch):
    """Nine images, whose errors differ widely: a gap of a half could not be excluded."""
    ours = np.exp(1.2 * rng.generator(0, "errors").normal(size=(9, 1)))
    errors = iter([ours, ours[::-1]])
    monkeypatch.setattr(module, "denoising_errors", lambda *_, **__: next(errors))
    monkeypatch.setattr(module, "known_levels", lambda *_: [0.0])
    found = overfitting(tiny_model, patterns(9, 0), patterns(9, 1))
    assert found.interval[1] > module.UNCLEAR
    assert found.verdict.startswith("too few images to judge overfitting: held-out images are denoised")
    [verdict] = verdicts.TESTS["overfitting"].ask(SimpleNamespace(overfitting=found))
    assert verdict.mark == "?"
