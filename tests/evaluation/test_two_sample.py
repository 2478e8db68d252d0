import numpy as np
import pytest
import torch
from scipy.stats import norm

from fromnoise import rng
from fromnoise.evaluation.two_sample import two_sample


def normal(n, d, seed, shift=0.0):
    return torch.from_numpy(rng.generator(seed, "features").standard_normal((n, d)) + shift)


def test_by_chance_the_p_value_is_rarely_small():
    found = [two_sample(normal(60, 4, 2 * k), normal(60, 4, 2 * k + 1), seed=k) for k in range(100)]
    p = np.array([f.p for f in found])
    assert np.mean([f.accuracy for f in found]) == pytest.approx(0.5, abs=0.02)
    assert (p <= 0.05).mean() <= 0.06
    assert (p <= 0.2).mean() <= 0.2
    assert (p >= 0.5).mean() > 0.35  # and not careful beyond use


def test_a_shift_is_found_with_the_accuracy_of_the_best_classifier():
    """Two unit normals whose means are δ apart are told apart by a plane in Φ(δ/2) of the cases, at best."""
    found = two_sample(normal(2000, 4, 0, 0.5), normal(2000, 4, 1))
    assert found.accuracy == pytest.approx(norm.cdf(0.5 * np.sqrt(4) / 2), abs=0.02)
    assert found.p < 1e-10


def test_judgements_are_held_out():
    """With more features than rows any labels can be learned by heart; held-out rows are still guessed."""
    found = [two_sample(normal(30, 200, 2 * k), normal(30, 200, 2 * k + 1), seed=k) for k in range(20)]
    assert np.mean([f.accuracy for f in found]) == pytest.approx(0.5, abs=0.06)


def test_the_larger_set_is_drawn_down():
    found = two_sample(normal(50, 4, 2), normal(500, 4, 3))
    assert found.n == 50
    assert found.accuracy < 0.65  # always answering the larger set would score 0.91


def test_the_p_value_is_one_sided_and_of_the_corrected_null():
    found = two_sample(normal(100, 2, 4, 0.3), normal(100, 2, 5))
    z = (found.accuracy - 0.5) / (0.5 / np.sqrt(200))
    assert found.p == pytest.approx(norm.sf(z / np.sqrt(1 + 5 / 4)), rel=1e-10)
    assert found.p > norm.sf(z)


def test_features_of_any_scale_or_none_are_standardised():
    x, y = normal(100, 3, 6, 0.5), normal(100, 3, 7)
    scale, constant = torch.tensor([1e-6, 1.0, 1e6]), torch.full((100, 1), 7.0)
    plain = two_sample(x, y)
    scaled = two_sample(torch.cat([x * scale, constant], 1), torch.cat([y * scale, constant], 1))
    assert scaled.accuracy == pytest.approx(plain.accuracy, abs=0.011)
    assert plain.p < 1e-3


def test_the_seed_decides_the_folds_and_order_changes_little():
    x, y = normal(150, 4, 8, 0.2), normal(200, 4, 9)
    one, again, other = (two_sample(x, y, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert two_sample(x.flip(0), y.flip(0)).accuracy == pytest.approx(one.accuracy, abs=0.08)


@pytest.mark.parametrize(("change", "said"), [
    (lambda x, y: two_sample(x[:9], y), "generated: 9 rows; at least 10"),
    (lambda x, y: two_sample(x[:, :3], y), "3 features generated, 4 in the reference"),
    (lambda x, y: two_sample(x, y / 0), "reference: some features are not finite"),
])  # fmt: skip
def test_what_cannot_be_tested_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        change(normal(20, 4, 0), normal(20, 4, 1))
