from typing import NamedTuple

import numpy as np
import pytest
import torch

from fromnoise import rng
from fromnoise.evaluation import featured, neighbours
from fromnoise.evaluation.featured import Featured


def normal(n, d, seed, shift=0.0, spread=1.0):
    return torch.from_numpy(rng.generator(seed, "features").standard_normal((n, d)) * spread + shift)


class PrecisionRecall(NamedTuple):
    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    density: float
    coverage: float


def measured(x, y, k, *metrics):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(featured, "NEIGHBOURS", k)
        for name in ("PRECISION_K", "DENSITY_K"):
            patch.setattr(neighbours, name, k)
        return [metric(Featured(x), Featured(y), 0).value for metric in metrics]


def precision_recall(x, y, k=neighbours.PRECISION_K):
    return PrecisionRecall(*measured(x, y, k, neighbours.precision, neighbours.recall))


def density_coverage(x, y, k=neighbours.DENSITY_K):
    return DensityCoverage(*measured(x, y, k, neighbours.density, neighbours.coverage))


def by_hand(x, y, k):
    """Density and coverage as the paper defines them, row by row."""
    x, y = x.numpy(), y.numpy()
    radii = [np.sort(np.linalg.norm(y - row, axis=1))[k] for row in y]  # entry 0 is the row itself
    inside = np.array([[np.linalg.norm(ours - row) <= r for row, r in zip(y, radii, strict=True)] for ours in x])
    return inside.sum() / (k * len(x)), inside.any(axis=0).mean()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("parts", [True, False])
def test_precision_and_recall_are_torch_fidelitys(seed, k, parts):
    from torch_fidelity.metric_prc import prc_features_to_metric

    x, y = normal(300, 6, 2 * seed, spread=0.8), normal(400, 6, 2 * seed + 1)
    theirs = prc_features_to_metric(
        x, y, prc_neighborhood=k, prc_batch_size=64, save_cpu_ram=parts, verbose=False
    )  # fmt: skip
    found = precision_recall(x, y, k=k)
    assert found.precision == pytest.approx(theirs["precision"], abs=1e-6)
    assert found.recall == pytest.approx(theirs["recall"], abs=1e-6)
    assert 0.2 < found.recall < 1


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("k", [1, 5])
def test_density_and_coverage_are_the_papers(seed, k):
    x, y = normal(80, 4, 2 * seed, 0.4), normal(110, 4, 2 * seed + 1)
    found = density_coverage(x, y, k=k)
    assert (found.density, found.coverage) == pytest.approx(by_hand(x, y, k), rel=1e-12)


@pytest.mark.parametrize("k", [1, 5])
def test_density_and_coverage_of_equal_distributions_are_the_papers_expectations(k):
    """The k nearest of the n + m − 1 other rows, all of one distribution, are real by chance alone."""
    n, m = 100, 150
    expected = 1 - np.prod([(m - 1 - j) / (n + m - 1 - j) for j in range(k)])
    found = [density_coverage(normal(n, 3, 2 * s), normal(m, 3, 2 * s + 1), k=k) for s in range(200)]
    coverage, density = np.array([f.coverage for f in found]), np.array([f.density for f in found])
    assert abs(coverage.mean() - expected) < 4 * coverage.std() / np.sqrt(200)
    # it is nearer to a real row than the k-th of its m − 1 neighbours in k of m cases, and there are m balls: 1
    assert abs(density.mean() - 1) < 4 * density.std() / np.sqrt(200)


def test_a_set_covers_itself():
    x = normal(100, 5, 3)
    assert precision_recall(x, x) == PrecisionRecall(1, 1)
    # each ball holds its own row and k others, the one at its edge included
    assert density_coverage(x, x, k=5) == DensityCoverage(pytest.approx(6 / 5, rel=1e-12), 1)


def test_sets_far_apart_do_not_meet():
    x = normal(50, 5, 4)
    assert precision_recall(x + 100, x) == PrecisionRecall(0, 0)
    assert density_coverage(x + 100, x) == DensityCoverage(0, 0)


def test_one_good_image_over_and_over_is_precise_and_covers_little():
    real = normal(300, 4, 5)
    same = real[:1].repeat(300, 1)
    assert precision_recall(same, real).precision == 1
    assert precision_recall(same, real).recall <= 1 / 300
    assert density_coverage(same, real).coverage < 0.1


def test_an_outlier_raises_recall_and_not_coverage():
    real = normal(300, 4, 6)
    narrow = normal(296, 4, 7, spread=0.3)
    outliers = torch.cat([narrow, 8 * torch.eye(4, dtype=torch.float64)])
    assert precision_recall(outliers, real).recall > 1.5 * precision_recall(narrow, real).recall
    assert density_coverage(outliers, real).coverage == density_coverage(narrow, real).coverage


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_copies_lie_at_the_edge_of_balls_that_copies_made(shift):
    """Four equal rows make balls of radius zero, which still hold a fifth."""
    real = torch.cat([torch.full((4, 3), 0.1, dtype=torch.float64), normal(40, 3, 8, 5)]) + shift
    blank = torch.full((4, 3), 0.1, dtype=torch.float64) + shift
    assert precision_recall(blank, real, k=3).precision == 1
    assert density_coverage(blank, real, k=3) == DensityCoverage(pytest.approx(4 / 3), pytest.approx(4 / 44))


@pytest.mark.parametrize("block", [1, 7, 100, 10_000])
def test_blocks_do_not_change_anything(block, monkeypatch):
    x = normal(150, 6, 9, 0.2)
    y = torch.cat([x[:50], normal(80, 6, 10)])  # copies, so that rows lie at the edge of balls
    found = precision_recall(x, y), density_coverage(x, y)
    monkeypatch.setattr(neighbours, "BLOCK", block)
    assert (precision_recall(x, y), density_coverage(x, y)) == found


def test_order_and_shift_and_precision_of_the_numbers_do_not_matter():
    x, y = normal(100, 6, 11, 0.3).float(), normal(120, 6, 12).float()
    for metric in (precision_recall, density_coverage):
        assert metric(x.flip(0), y.roll(7, 0)) == metric(x, y)
        assert metric(x.double() + 1000, y.double() + 1000) == metric(x, y)


def test_swapping_the_sets_swaps_precision_and_recall():
    x, y = normal(100, 6, 13, 0.5), normal(130, 6, 14)
    there, back = precision_recall(x, y), precision_recall(y, x)
    assert (there.precision, there.recall) == (back.recall, back.precision)
