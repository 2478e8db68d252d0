import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation import gain as module
from fromnoise.evaluation.gain import gain, paired


def shapes(n, seed, noise=60, size=16):
    """Four classes: a bright square in one of the corners, of random brightness, under so much noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    images = random.normal(90, noise, (n, 1, size, size))
    for k, label in enumerate(labels):
        top, left = 8 * (label // 2) + random.integers(3), 8 * (label % 2) + random.integers(3)
        images[k, :, top : top + 5, left : left + 5] += random.uniform(30, 90)
    return ImageSet("shapes", torch.from_numpy(images.clip(0, 255).astype(np.uint8)), torch.from_numpy(labels))


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.setattr(module, "SEEDS", 3)
    monkeypatch.setattr(module, "LEAST", 60)
    monkeypatch.setattr(module, "MOST", 60)


def test_the_interval_covers_other_trainings_and_other_images_as_often_as_it_says():
    """Crossed random effects whose true mean is 0.02."""
    random, covered, widths = np.random.default_rng(0), 0, []
    for _ in range(600):
        effects = 0.02 + 0.02 * random.standard_normal((5, 1)) + 0.4 * random.standard_normal((1, 200))
        mean, (low, high) = paired(effects + 0.3 * random.standard_normal((5, 200)))
        covered += low <= 0.02 <= high
        widths.append(high - low)
        assert low < mean < high
    assert 0.93 <= covered / 600 <= 0.99
    truth = 2 * 1.96 * np.sqrt(0.02**2 / 5 + 0.4**2 / 200 + 0.3**2 / 1000)
    assert np.median(widths) == pytest.approx(truth, rel=0.25)


def test_the_interval_is_the_t_tests_where_all_trainings_agree():
    one = np.random.default_rng(1).standard_normal(50)
    mean, (low, high) = paired(np.tile(one, (4, 1)))
    assert mean == pytest.approx(one.mean())
    expected = stats.t.interval(0.95, 49, one.mean(), stats.sem(one))
    assert (low, high) == pytest.approx(expected)


def test_answers_that_all_agree_leave_what_others_might_show():
    mean, (low, high) = paired(np.zeros((3, 10)))
    reach = stats.binomtest(0, 10).proportion_ci(method="exact").high
    assert (mean, low, high) == pytest.approx((0, -reach, reach))


@pytest.mark.parametrize("sizes", [[10] * 20, [300, *[5] * 40]], ids=["equal", "one large"])
def test_images_of_a_group_count_as_one(sizes):
    """Frames of films, of which a classifier gets all or none: 20 films, not 200 images."""
    random, covered, alone = np.random.default_rng(0), 0, 0
    films = np.repeat(np.arange(len(sizes)), sizes)
    for _ in range(400):
        effects = random.standard_normal((1, len(sizes)))[:, films] + 0.1 * random.standard_normal((5, len(films)))
        low, high = paired(effects, films)[1]
        covered += low <= 0 <= high
        low, high = paired(effects)[1]
        alone += low <= 0 <= high
    assert 0.9 <= covered / 400 <= 0.99
    assert alone / 400 < 0.7, "as single images they would promise too much"


def test_real_images_of_the_same_kind_are_a_gain(brief):
    found = gain(shapes(400, 1), shapes(24, 2), shapes(400, 3))
    assert found.verdict.startswith("gain: of 400 held-out images a classifier gets ")
    assert found.interval[0] > 0
    assert found.augmented - found.real == pytest.approx(found.difference)
    assert (found.real_images, found.generated_images, found.held_out, found.trainings) == (24, 400, 400, 3)
    assert [each.held_out for each in found.classes] == [100] * 4
    assert np.mean([each.augmented for each in found.classes]) == pytest.approx(found.augmented)


def test_images_of_the_wrong_classes_are_a_loss(brief):
    wrong = shapes(400, 1)
    found = gain(dataclasses.replace(wrong, labels=(wrong.labels + 1) % 4), shapes(200, 2), shapes(400, 3))
    assert found.verdict.startswith("loss: ")
    assert found.interval[1] < 0


def test_copies_of_the_training_images_are_no_gain(brief):
    train = shapes(100, 2)
    found = gain(train, train, shapes(300, 3))
    assert found.verdict.startswith("no gain: ")
    assert found.interval[0] <= 0 <= found.interval[1]


def test_the_same_seed_says_the_same(monkeypatch, bars):
    monkeypatch.setattr(module, "SEEDS", 2)
    monkeypatch.setattr(module, "LEAST", 4)
    monkeypatch.setattr(module, "MOST", 4)
    sets = shapes(20, 1), shapes(20, 2), dataclasses.replace(shapes(60, 3), class_names=("a", "b", "c", "d"))
    first = gain(*sets)
    assert bars[-1] == ("training classifiers", 16, 16)
    assert first == gain(*sets)
    assert [each.name for each in first.classes] == ["0", "1", "2", "3"]  # the training images' names count
