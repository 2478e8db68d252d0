from dataclasses import replace

import numpy as np
import pytest
import torch

from fromnoise import rng
from fromnoise.evaluation.design import disjoint
from fromnoise.evaluation.excess import STRICT, beside, excess, fid
from fromnoise.evaluation.featured import Featured
from fromnoise.evaluation.frechet import Gradient, Moments, derived, distance
from fromnoise.evaluation.report import Beside

D = 8


def normal(n, seed, shift=0.0, d=D):
    return torch.from_numpy(rng.generator(seed, "rows").standard_normal((n, d))) + shift


def clustered(n, seed, shift=0.0, stratified=True):
    labels = np.arange(n) % 4 if stratified else rng.generator(seed, "labels").integers(0, 4, n)
    rows = normal(n, seed, shift) + 4 * torch.eye(4, D, dtype=torch.float64)[labels]
    return Featured(rows, torch.from_numpy(labels), "stratified" if stratified else "random")


def weighted(rows, weights):
    weights = weights / weights.sum()
    mean = weights @ rows
    return Moments(mean, (weights[:, None] * (rows - mean)).T @ (rows - mean), len(rows))


def test_the_gradients_are_those_of_the_distance():
    """Against the distance with one row counted a little more, of either set."""
    x, y = normal(40, 0, 0.3), normal(50, 1)
    whole = [weighted(rows, torch.ones(len(rows), dtype=torch.float64)) for rows in (x, y)]
    value, *gradients = derived(*whole)
    assert value == pytest.approx(distance(*whole), rel=1e-12)
    for k, (rows, gradient) in enumerate(zip((x, y), gradients, strict=True)):
        found = gradient.influence(rows)
        for row in (0, 7, 31):
            ends = []
            for step in (-1e-5, 1e-5):
                weights = torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
                weights[row] += step
                moved = weighted(rows, weights)
                ends.append(distance(moved, whole[1]) if k == 0 else distance(whole[0], moved))
            assert float(found[row] - found.mean()) == pytest.approx((ends[1] - ends[0]) / 2e-5, rel=1e-3)


@pytest.mark.parametrize("stratified", [True, False])
def test_the_error_of_the_fid_is_its_deviation_over_other_images(stratified):
    found = [fid(clustered(300, 2 * k, 0.3, stratified), clustered(400, 2 * k + 1, 0, stratified)) for k in range(100)]
    values, errors = np.array([(each.value, each.error) for each in found]).T
    assert 0.8 < np.sqrt(np.square(errors).mean()) / values.std(ddof=1) < 1.35


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_error_of_the_excess_is_its_deviation_over_other_images(shift, stratified):
    found = []
    for k in range(100):
        ours, floor, reference = (
            clustered(n, 3 * k + j, shift * (j == 0), stratified) for j, n in enumerate((600, 600, 400))
        )
        found.append(excess(ours.parts(300, 9, k), floor.parts(300, 9, k), reference))
    values, errors = np.array([(each.value, each.error) for each in found]).T
    ratio = np.sqrt(np.square(errors).mean()) / values.std(ddof=1)
    assert 0.85 < ratio < 1.3  # on the careful side where the sets do not differ: pairs with the reference count twice
    inside = [each.low <= D * shift**2 <= each.high for each in found]
    assert np.mean(inside) >= 0.92


@pytest.mark.parametrize(("n", "m", "draws"), [(100, 300, 1), (300, 100, 1), (100, 1000, 5)])
def test_the_error_is_as_honest_for_skewed_features_and_few_images(n, m, draws):
    def skewed(rows, *seed):
        random = rng.generator(*seed, "skewed")
        return Featured(torch.from_numpy(random.standard_exponential((rows, 16)) / np.sqrt(1 + np.arange(16))))

    found = []
    for k in range(150):
        ours, *floor = (skewed(n, k, j) for j in range(1 + draws))
        found.append(excess([ours], floor, skewed(m, k, 1 + draws)))
    values, errors = np.array([(each.value, each.error) for each in found]).T
    assert 0.85 < np.sqrt(np.square(errors).mean()) / values.std(ddof=1) < 1.3
    assert np.mean([each.low <= 0 <= each.high for each in found]) >= 0.92
    assert np.mean(abs(values) > STRICT * errors) < 0.02


def test_what_has_no_variety_has_no_pairs_either():
    """Images that are all alike: their own part is 0, and the floor's is halved."""
    reference, real = Featured(normal(200, 0)), Featured(normal(200, 1))
    alike = Featured(real.features[:1].expand(200, -1) + 1e-6 * normal(200, 2))
    found = excess([alike], [real], reference)
    _, ours, theirs = derived(real.moments, reference.moments)
    _, _, pull = derived(alike.moments, reference.moments)
    both = Gradient(reference.moments.mean, pull.mean - theirs.mean, pull.covariance - theirs.covariance)
    expected = real.error(ours.influence(real.features)) ** 2 / 2
    expected += reference.error(both.influence(reference.features)) ** 2
    assert found.error == pytest.approx(expected**0.5, rel=1e-3)


def test_the_excess_does_not_move_with_the_number_of_images():
    """One imperfect set at 300, 1,000 and 3,000 images: the ratio to the floor rises, the excess stays."""
    reference, pool = Featured(normal(3000, 0)), Featured(normal(12_000, 1))
    drawn, found = Featured(normal(3000, 2, 0.1)), []
    for n in (300, 1000, 3000):
        ours = drawn.take(disjoint(3000, n, 1)[0])
        found.append(excess([ours], pool.parts(n, 99, 0), reference))
    assert found[-1].ratio > 2 * found[0].ratio
    assert all(of.low <= D * 0.1**2 <= of.high for of in found)
    assert all(of.low <= other.value <= of.high for of in found for other in found[1:] if other.n > of.n)
    assert found[0].error > found[1].error > found[2].error


def test_a_ratio_of_unequal_designs_is_not_made():
    labelled, bare = clustered(200, 0), Featured(clustered(200, 1).features)
    reference = clustered(200, 2)
    assert excess([labelled], [labelled], reference).ratio == 1
    assert excess([labelled], [bare], reference).ratio is None


def test_subsets_share_a_sets_design():
    sets = clustered(400, 0)
    for part in sets.parts(100, 9, 0):
        assert part.design == "stratified"
        assert part.labels.bincount().tolist() == [25] * 4
    assert list(sets.parts(400, 9, 0)) == [sets]


def test_one_value_has_no_deviation():
    assert beside([2.0], 7) == Beside(2.0, None, 1, 7)
    assert beside([1.0, 3.0], 7).deviation == pytest.approx(2**0.5)


def in_groups(n, seed, shift=0.0):
    """Features of which half lie in groups of two to six near-duplicates."""
    random, sizes = rng.generator(seed, "groups"), [1] * (n // 2)
    while sum(sizes) < n:
        sizes.append(min(int(random.integers(2, 7)), n - sum(sizes)))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rows = normal(len(sizes), seed, shift)[groups] + 0.1 * normal(n, seed + 1)
    return Featured(rows, groups=torch.from_numpy(groups))


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_images_in_groups_are_held_against_others_of_all_groups(shift):
    """A perfect model draws images of any groups. A floor from as few groups as the reference has made it too good."""
    found, before = [], []
    for k in range(100):
        reference, few, pool = (in_groups(n, 8 * k + 2 * j) for j, n in enumerate((350, 350, 3000)))
        ours = Featured(normal(350, 8 * k + 6, shift))
        rows = disjoint(3000, 350, 8, k, groups=pool.groups.numpy())
        found.append(excess([ours], [pool.take(draw) for draw in rows], reference))
        if not shift:
            before.append(excess([ours], [replace(few, groups=None)], replace(reference, groups=None)))
    values, errors, lows, highs = np.array([(each.value, each.error, each.low, each.high) for each in found]).T
    true = D * shift**2
    assert abs(values.mean() - true) < 4 * values.std() / 10
    assert np.mean((lows <= true) & (true <= highs)) >= 0.9
    assert 0.8 < np.sqrt(np.square(errors).mean()) / values.std(ddof=1) < 1.45
    assert (lows > 0).mean() >= 0.95 if shift else (lows > 0).mean() <= 0.05
    if not shift:
        was = np.array([each.value for each in before])
        assert was.mean() < -5 * was.std() / 10


def test_groups_of_one_change_nothing():
    sets = [Featured(normal(200, k)) for k in range(3)]
    alone = [replace(each, groups=torch.arange(200)) for each in sets]
    plain, same = (excess([ours], [floor], reference) for ours, floor, reference in (sets, alone))
    assert (same.value, same.error) == (plain.value, pytest.approx(plain.error))


@pytest.mark.parametrize("stratified", [True, False])
def test_twins_count_once_in_an_error(stratified):
    """Every row twice is as sure as every row once."""
    once = clustered(400, 0, 0, stratified)
    labels = once.labels.repeat(2)
    twice = Featured(once.features.repeat(2, 1), labels, once.design, torch.arange(400).repeat(2))
    influence = once.features[:, 0] + once.features[:, 5]
    assert twice.error(influence.repeat(2)) == pytest.approx(once.error(influence), rel=1e-9)
    assert replace(twice, groups=None).error(influence.repeat(2)) < 0.75 * once.error(influence)
