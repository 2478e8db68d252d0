import numpy as np
import pytest
import torch

from fromnoise import rng
from fromnoise.evaluation import extrapolation
from fromnoise.evaluation.design import deal
from fromnoise.evaluation.extrapolation import infinite_fid
from fromnoise.evaluation.featured import Featured, UnavailableError
from fromnoise.evaluation.frechet import Moments, distance

D = 16
SPREAD = torch.linspace(0.5, 1.5, D, dtype=torch.float64)
SHIFT = 0.2
TRUE = D * SHIFT**2 + (SPREAD - 1).square().sum().item()  # between N(0.2, SPREAD²) and N(0, I)


def normal(n, seed):
    return torch.from_numpy(rng.generator(seed, "features").standard_normal((n, D)))


def generated(n, seed):
    return SHIFT + SPREAD * normal(n, seed)


def extrapolated(x, y, labels=None, seed=0):
    """From features; with labels that both sets have by design."""
    design = "random" if labels is None else "stratified"
    return infinite_fid(Featured(x, labels, design), Featured(y, labels, design), seed)


@pytest.fixture(scope="module")
def many():
    """Forty draws of 600 generated and 600 real rows: FID and extrapolation."""
    found = []
    for k in range(40):
        x, y = generated(600, 2 * k), normal(600, 2 * k + 1)
        fid = distance(Moments.of(x), Moments.of(y))
        found.append((fid, extrapolated(x, y, seed=k)))
    return found


def test_it_finds_the_true_distance_where_the_fid_is_biased(many):
    values = np.array([found.value for _, found in many])
    fids = np.array([fid for fid, _ in many])
    assert abs(values.mean() - TRUE) < 3 * values.std() / np.sqrt(40)
    assert fids.mean() - TRUE > 5 * fids.std() / np.sqrt(40)
    assert values.std() < 1.3 * fids.std()  # the extrapolation costs little noise


def test_its_error_is_the_deviation_over_other_draws(many):
    values, errors = np.array([(found.value, found.error) for _, found in many]).T
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(values.std(), rel=0.25)
    assert (np.abs(values - TRUE) < 2 * errors).mean() >= 0.85


def test_the_bias_of_images_in_groups_goes_too():
    groups = torch.arange(300).repeat_interleave(5)
    values, fids = [], []
    for k in range(20):
        x, y = (normal(300, 2 * k + j).repeat_interleave(5, dim=0) for j in range(2))
        x, y = (Featured(rows + 0.01 * normal(1500, 100 + k), groups=groups) for rows in (x, y))
        values.append(infinite_fid(x, y, k).value)
        fids.append(distance(x.moments, y.moments))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(20)
    assert np.mean(fids) > 10 * np.std(values) / np.sqrt(20)


def test_it_is_the_end_of_the_line_through_the_fids_of_the_parts(monkeypatch):
    x, y = generated(500, 1), normal(400, 2)
    monkeypatch.setattr(extrapolation, "SIZES", 4)
    sizes, fids = [500, 250, 500 / 3, 125], []
    for k in range(1, 5):
        parts = zip(*(deal(len(rows), k, 0, "extrapolation", name, k)
                      for rows, name in ((x, "generated"), (y, "reference"))), strict=True)  # fmt: skip
        fids.append(np.mean([distance(Moments.of(x, ours), Moments.of(y, theirs)) for ours, theirs in parts]))
    assert fids[0] == pytest.approx(distance(Moments.of(x), Moments.of(y)), rel=1e-10)
    assert fids == sorted(fids)
    _, intercept = np.polyfit([1 / n for n in sizes], fids, 1)
    assert extrapolated(x, y).value == pytest.approx(intercept, rel=1e-9)


def test_sets_balanced_by_design_need_their_labels():
    """Both sets hold 250 rows about 0 and 250 about 4: at no distance, whatever the rows."""
    labels = torch.arange(2).repeat(250)
    with_labels, without = [], []
    for k in range(20):
        x, y = normal(500, 2 * k) + 4 * labels[:, None], normal(500, 2 * k + 1) + 4 * labels[:, None]
        with_labels.append(extrapolated(x, y, labels, k))
        without.append(extrapolated(x, y, seed=k))
    values, errors = np.array([(found.value, found.error) for found in with_labels]).T
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(20) + 0.01
    assert (np.abs(values) < 2 * errors).mean() >= 0.85
    assert np.std([found.value for found in without]) > 5 * values.std()
    assert np.mean([found.error for found in without]) > 5 * errors.mean()


def test_equal_distributions_are_at_no_distance_that_shows():
    found = extrapolated(normal(1000, 3), normal(1000, 4))
    assert abs(found.value) < 3 * found.error
    assert found.value < 0.3 * distance(Moments.of(normal(1000, 3)), Moments.of(normal(1000, 4)))


def test_order_moves_it_by_less_than_its_error_and_the_seed_decides():
    x, y = generated(600, 5), normal(600, 6)
    one, again, other = (extrapolated(x, y, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one.value != other.value
    assert abs(extrapolated(x.flip(0), y.roll(5, 0)).value - one.value) < one.error
    assert abs(other.value - one.value) < one.error


@pytest.mark.parametrize(("change", "said"), [
    (lambda x, y: extrapolated(x[:84], y), "84 images in 5 parts cannot fill the covariance of 16"),
    (lambda x, y: extrapolated(x, y[:84]), "84 images in 5 parts cannot fill"),
])  # fmt: skip
def test_what_cannot_be_extrapolated_is_refused(change, said):
    with pytest.raises(UnavailableError, match=said):
        change(normal(100, 0), normal(100, 1))
