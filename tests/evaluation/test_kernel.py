from dataclasses import replace

import numpy as np
import pytest
import torch

from fromnoise import rng
from fromnoise.evaluation import kernel
from fromnoise.evaluation.design import deal, disjoint
from fromnoise.evaluation.featured import Featured, UnavailableError
from fromnoise.evaluation.kernel import mmd2


def normal(n, d, seed, shift=0.0):
    return torch.from_numpy(rng.generator(seed, "features").standard_normal((n, d)) + shift)


def kid(x, y, ours=None, theirs=None):
    """Of features, with the labels of sets that have so many of each class by design."""
    return mmd2(strata(x, ours), strata(y, theirs))


def strata(x, labels):
    return Featured(x, labels, "random" if labels is None else "stratified")


def theirs(x, y):
    """torch-fidelity's MMD² with the KID's kernel."""
    from torch_fidelity.metric_kid import kernel_mmd

    return kernel_mmd(
        x.numpy(), y.numpy(), kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
    )  # fmt: skip


def exact(shift, centres=np.zeros((1, 6)), shares=(1.0,)):  # noqa: B008
    """MMD² of Σ p_k N(c_k, I) and the same shifted: E(x·y/d + 1)³ needs E x·y, E(x·y)² and E(x·y)³, by Isserlis.

    For x ~ N(u, I), y ~ N(v, I): z = x·y given x is N(x·v, |x|²), so E z² = E(x·v)² + E|x|² and
    E z³ = E(x·v)³ + 3 E (x·v)|x|².
    """
    d = centres.shape[1]

    def moment(u, v):
        uu, vv, uv = u @ u, v @ v, u @ v
        first = uv
        second = uv**2 + vv + uu + d
        third = uv**3 + 3 * uv * vv + 3 * (uv * (uu + d) + 2 * uv)
        return third / d**3 + 3 * second / d**2 + 3 * first / d + 1

    def mean(us, vs):
        return sum(p * q * moment(u, v) for p, u in zip(shares, us) for q, v in zip(shares, vs))  # noqa: B905

    return mean(centres, centres) + mean(centres + shift, centres + shift) - 2 * mean(centres, centres + shift)


def test_it_is_torch_fidelitys_on_the_same_rows():
    x, y = normal(300, 24, 0), normal(300, 24, 1, 0.2)
    assert kid(x, y).value == pytest.approx(theirs(x, y), rel=1e-10)


def test_sets_of_different_sizes_are_summed_by_hand():
    x, y = normal(7, 3, 6), normal(5, 3, 7)

    def k(u, v):
        return (u.dot(v).item() / 3 + 1) ** 3

    own = sum(k(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / 42
    others = sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
    between = sum(k(u, v) for u in x for v in y) / 35
    assert kid(x, y).value == pytest.approx(own + others - 2 * between, rel=1e-12)


def test_the_error_is_the_jackknifes_over_rows_less_what_it_counts_twice():
    """Of sets far apart the part of pairs is small, and it is the jackknife's but for that."""
    x, y = normal(60, 3, 8), normal(50, 3, 9, 2.0)
    variance = 0.0
    for n, without in (
        (60, [kid(x[torch.arange(60) != i], y).value for i in range(60)]),
        (50, [kid(x, y[torch.arange(50) != i]).value for i in range(50)]),
    ):
        variance += (n - 1) / n * np.square(np.array(without) - np.mean(without)).sum()
    assert 0.9 * np.sqrt(variance) < kid(x, y).error < np.sqrt(variance)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_it_is_unbiased_and_its_error_is_honest(shift):
    true, found = exact(shift), []
    for k in range(150):
        found.append(kid(normal(100, 6, 2 * k), normal(150, 6, 2 * k + 1, shift)))
    values, errors = np.array(found).T
    assert abs(values.mean() - true) < 4 * values.std() / np.sqrt(150)
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(values.std(), rel=0.2)


CENTRES = 2 * np.eye(4)


def drawn(n, seed, shares, shift=0.0):
    """Labelled rows around centres far apart, with so many of each class by design."""
    labels = torch.arange(len(shares)).repeat_interleave(torch.tensor([round(n * share) for share in shares]))
    return normal(n, 4, seed, shift) + torch.from_numpy(CENTRES)[labels], labels


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_by_class_it_is_unbiased_and_its_error_is_honest(shift):
    """In the class shares 0.5, 0.3, 0.2 of both sets."""
    shares, found = (0.5, 0.3, 0.2), []
    true = exact(shift, CENTRES[:3], shares)
    for k in range(150):
        (x, ours), (y, theirs) = drawn(100, 2 * k, shares, shift), drawn(200, 2 * k + 1, shares)
        found.append(kid(x, y, ours, theirs))
    values, errors = np.array(found).T
    assert abs(values.mean() - true) < 4 * values.std() / np.sqrt(150)
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(values.std(), rel=0.25)


def test_one_class_is_no_strata():
    x, y = normal(40, 3, 0), normal(30, 3, 1)
    one = kid(x, y, torch.zeros(40).long(), torch.full((30,), 7))
    assert one == pytest.approx(kid(x, y), rel=1e-12)


def test_strata_are_summed_by_hand():
    (x, ours), (y, theirs) = drawn(20, 0, (0.5, 0.5)), drawn(16, 1, (0.25, 0.75))

    def mean(u, v, same):
        of = (u @ v.T / 4 + 1) ** 3
        return float((of.sum() - of.trace()) / (len(u) * (len(u) - 1)) if same else of.mean())

    def cross(u, one, v, other, same=False):
        return sum(
            (one == a).double().mean()
            * (other == b).double().mean()
            * mean(u[one == a], v[other == b], same and a == b)
            for a in range(2)
            for b in range(2)
        )

    expected = cross(x, ours, x, ours, True) + cross(y, theirs, y, theirs, True) - 2 * cross(x, ours, y, theirs)
    assert kid(x, y, ours, theirs).value == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.slow
@pytest.mark.usefixtures("mnist_root")
def test_stratified_draws_of_real_digits_are_at_no_distance():
    """100 pairs of sets of 200 digits, so many of each class."""
    from fromnoise.data import sources
    from fromnoise.evaluation.features import features

    digits = sources.load("mnist:train").subset(10_000, 0)
    found, labels = features("digits")(digits.images), digits.labels.numpy()
    values, errors = [], []
    for draw in disjoint(len(labels), 400, 25, 0, labels):
        for seed in range(4):
            one, other = (draw[part] for part in deal(400, 2, seed, "halves", labels=labels[draw]))
            distance = kid(found[one], found[other], digits.labels[one], digits.labels[other])
            values.append(distance.value)
            errors.append(distance.error)
    values = np.array(values)
    assert abs(values.mean()) < 2 * values.std() / np.sqrt(25)
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(values.std(), rel=0.25)


def test_one_feature_set_is_not_at_a_distance_from_its_own_distribution_but_from_another():
    x, y = normal(1000, 16, 10), normal(1000, 16, 11)
    assert abs(kid(x, y).value) < 3 * kid(x, y).error
    far = kid(x + 0.3, y)
    assert far.value > 5 * far.error


def test_sets_balanced_by_design_need_their_labels():
    """The plain estimate takes them for independent draws, and comes out far below zero."""
    labels = torch.arange(2).repeat(100)
    draws = [[normal(200, 4, 2 * k + j) + 4 * labels[:, None] for j in (0, 1)] for k in range(20)]
    assert max(kid(*pair).value for pair in draws) < 0
    kids = [kid(*pair, labels, labels).value for pair in draws]
    assert min(kids) < 0 < max(kids)


@pytest.mark.parametrize("block", [3, 7, 64, 1000])
def test_blocks_do_not_change_it(block, monkeypatch):
    x, y = normal(130, 8, 12), normal(70, 8, 13, 0.1)
    other = kid(x, y)
    monkeypatch.setattr(kernel, "BLOCK", block)
    one = kid(x, y)
    assert one.value == pytest.approx(other.value, rel=1e-10)
    assert one.error == pytest.approx(other.error, rel=1e-10)


def test_order_does_not_matter():
    x, y = normal(100, 8, 14), normal(100, 8, 15, 0.2)
    assert kid(x.flip(0), y.roll(3, 0)).value == pytest.approx(kid(x, y).value, rel=1e-10)
    assert kid(y, x).value == pytest.approx(kid(x, y).value, rel=1e-10)


def test_float32_features_are_summed_in_float64():
    x, y = normal(200, 8, 18).float(), normal(200, 8, 19, 0.01).float()
    assert kid(x, y).value == pytest.approx(theirs(x.double(), y.double()), rel=1e-9)


@pytest.mark.parametrize("stratified", [True, False])
def test_copies_of_a_row_in_one_group_count_once(stratified):
    """Each row of the reference four times: the estimate and its error are those of the distinct ones."""
    (x, ours), (y, theirs) = drawn(60, 20, (0.5, 0.5), 0.2), drawn(80, 21, (0.25, 0.75))
    once = kid(x, y, ours, theirs) if stratified else kid(x, y)
    four = strata(y.repeat(4, 1), theirs.repeat(4) if stratified else None)
    generated = strata(x, ours if stratified else None)
    assert mmd2(generated, replace(four, groups=torch.arange(80).repeat(4))) == pytest.approx(once, rel=1e-9)
    assert mmd2(generated, four).error < 0.8 * once.error
    assert mmd2(generated, four).value > once.value


@pytest.mark.parametrize("shift", [0.0, 0.3])
@pytest.mark.parametrize("both", [True, False])
def test_in_groups_it_is_unbiased_and_its_error_is_honest(shift, both):
    """Groups of one to four near-duplicates, in both sets or in one."""

    def in_groups(seed, shift):
        groups = np.repeat(np.arange(80), rng.generator(seed, "sizes").integers(1, 5, 80))
        rows = (normal(80, 6, seed)[groups] + 0.2 * normal(len(groups), 6, seed + 1)) / 1.04**0.5 + shift
        return Featured(rows, groups=torch.from_numpy(groups))

    found = []
    for k in range(150):
        ours = in_groups(4 * k, 0.0) if both else Featured(normal(100, 6, 4 * k))
        found.append(mmd2(ours, in_groups(4 * k + 2, shift)))
    values, errors = np.array(found).T
    assert abs(values.mean() - exact(shift)) < 4 * values.std() / np.sqrt(150)
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(values.std(), rel=0.25)


def test_groups_of_one_change_nothing():
    x, y = normal(60, 3, 22), normal(50, 3, 23, 0.2)
    alone = [Featured(rows, groups=torch.arange(len(rows)).flip(0)) for rows in (x, y)]
    assert mmd2(*alone) == pytest.approx(kid(x, y), rel=1e-9)


def test_a_few_groups_have_no_kernel_distance():
    few = Featured(normal(50, 3, 24), groups=torch.arange(50) % 3)
    with pytest.raises(UnavailableError, match="fewer than 4 groups"):
        mmd2(Featured(normal(50, 3, 25)), few)
