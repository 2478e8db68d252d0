import numpy as np
import pytest
import torch

from fromnoise import rng
from fromnoise.evaluation.design import at_random, deal, design_of, disjoint, error_of_mean, most_apart, most_at_random
from fromnoise.evaluation.featured import Featured


def test_draws_are_disjoint_sorted_and_of_the_size_asked_for():
    draws = disjoint(100, 20, 4, seed=3)
    assert [len(draw) for draw in draws] == [20, 20, 20, 20]
    assert len(np.unique(np.concatenate(draws))) == 80
    assert all((np.diff(draw) > 0).all() for draw in draws)


@pytest.mark.parametrize(("total", "n", "most", "sizes"), [
    (100, 30, 5, [30, 30, 30]), (100, 100, 5, [100]), (100, 101, 5, [100]), (1, 1, 1, [1]),
])  # fmt: skip
def test_there_are_as_many_as_fit_and_one_smaller_where_none_does(total, n, most, sizes):
    assert [len(draw) for draw in disjoint(total, n, most)] == sizes


def test_draws_follow_the_seed_and_do_not_depend_on_how_many_are_made():
    few, many, other = disjoint(50, 10, 2, seed=1), disjoint(50, 10, 5, seed=1), disjoint(50, 10, 2, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(few, many, strict=False))
    assert not np.array_equal(few[0], other[0])


@pytest.mark.parametrize("sizes", [(40, 40, 40), (12, 96, 12), (1, 119)])
def test_draws_by_class_have_all_rows_shares(sizes):
    labels = rng.generator(0, "shuffled").permutation(np.repeat(np.arange(len(sizes)), sizes))
    draws = disjoint(120, 30, 4, seed=5, labels=labels)
    assert len(np.unique(np.concatenate(draws))) == 120
    for draw in draws:
        assert np.abs(np.bincount(labels[draw], minlength=len(sizes)) - np.array(sizes) / 4).max() <= 1
    assert not np.array_equal(draws[0], disjoint(120, 30, 1, seed=6, labels=labels)[0])


def test_rows_of_a_class_are_drawn_by_chance():
    labels = np.repeat([0, 1], 20)
    often = np.bincount(np.concatenate([disjoint(40, 10, 1, s, labels)[0] for s in range(300)]), minlength=40)
    assert abs(often - 75).max() < 5 * np.sqrt(300 * 0.25 * 0.75)


@pytest.mark.parametrize("labels", [None, np.repeat([0, 1, 2], [10, 31, 6])])
def test_rows_are_dealt_whole_and_evenly(labels):
    parts = deal(47, 5, 3, "somewhere", labels=labels)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(47))
    assert {len(part) for part in parts} == {9, 10}
    if labels is not None:
        for label, count in ((0, 10), (1, 31), (2, 6)):
            assert {(labels[part] == label).sum() for part in parts} <= {count // 5, count // 5 + 1}
    again, other = deal(47, 5, 3, "somewhere", labels=labels), deal(47, 5, 4, "somewhere", labels=labels)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(parts, other, strict=True))


def test_rows_of_a_class_are_dealt_by_chance():
    labels = np.repeat([0, 1], 20)
    firsts = [deal(40, 2, seed, labels=labels)[0] for seed in range(200)]
    often = np.bincount(np.concatenate(firsts), minlength=40)
    assert abs(often - 100).max() < 4 * np.sqrt(50)


@pytest.mark.parametrize(("counts", "others", "design"), [
    ([100] * 10, [], "stratified"),
    ([100, 100, 98, 101, 99, 100, 102, 100, 100, 100], [], "stratified"),
    ([100, 100, 96, 104, 100, 100, 100, 100, 100, 100], [], "random"),
    ([0, 50, 0, 50], [], "stratified"),  # of the classes that there are
    ([60, 40, 100], [[600, 400, 1000]], "stratified"),
    ([60, 40, 100], [None, [300, 200, 501]], "stratified"),
    ([60, 40, 100], [[1000, 400, 600]], "random"),
    ([60, 40], [[600, 400, 1000]], "random"),
    ([3] * 10, [], "random"),
    ([3, 50, 447], [[30, 500, 4470]], "stratified"),  # a rare class does not decide for the others
    ([3, 40, 457], [[30, 500, 4470]], "random"),
    ([500], [], "random"),
])  # fmt: skip
def test_the_design_shows_in_the_classes_sizes(counts, others, design):
    labels, *real = (
        each and torch.arange(len(each)).repeat_interleave(torch.tensor(each)) for each in (counts, *others)
    )
    assert design_of(labels, *real) == design


def test_without_labels_a_set_counts_as_random():
    assert design_of(None, torch.arange(2).repeat(50)) == "random"


@pytest.mark.parametrize("classes", [4, 10])
def test_random_draws_hardly_ever_pass_for_stratified(classes):
    found = [design_of(torch.from_numpy(rng.generator(k, "draw").integers(0, classes, 1000))) for k in range(200)]
    assert found.count("stratified") <= 6


def test_random_draws_from_a_stratified_pool_have_the_shares_of_chance():
    pool = np.arange(10).repeat(100)
    n = most_at_random(pool)
    assert 700 < n < 800
    counts = np.array([np.bincount(pool[at_random(pool, n, 1, seed)[0]], minlength=10) for seed in range(300)])
    assert counts.std() == pytest.approx(np.sqrt(n * 0.1 * 0.9), rel=0.1)
    with pytest.raises(ValueError, match="no random draw"):
        at_random(pool, n + 1, 1)


def test_random_draws_are_disjoint_and_as_many_as_the_classes_allow():
    pool = np.arange(10).repeat(300)
    draws = at_random(pool, 500, 100)
    assert 3 <= len(draws) <= 5
    together = np.concatenate(draws)
    assert len(np.unique(together)) == len(together) == 500 * len(draws)
    assert len(at_random(pool, 500, 2)) == 2


def in_groups(n, seed=0, alone=0.5):
    """The groups of n rows, so many of them alone, the others in groups of two to six; in a random order."""
    random, sizes = rng.generator(seed, "groups"), [1] * round(alone * n)
    while sum(sizes) < n:
        sizes.append(min(int(random.integers(2, 7)), n - sum(sizes)))
    return random.permutation(np.repeat(np.arange(len(sizes)), sizes))


@pytest.mark.parametrize("strata", [None, np.arange(1000) % 4])
def test_draws_of_images_in_groups_hold_no_group_twice(strata):
    groups, often = in_groups(1000), np.zeros(1000)
    for seed in range(30):
        draws = disjoint(1000, 100, 10, seed, strata, groups)
        assert [len(draw) for draw in draws] == [100] * 10
        assert len(np.unique(np.concatenate(draws))) == 1000
        twice = sum(100 - len(np.unique(groups[draw])) for draw in draws)
        assert twice <= (0 if strata is None else 20)  # at random there are 120 of the 1,000
        often[draws[0]] += 1
        if strata is not None:
            assert all(np.abs(np.bincount(strata[draw]) - 25).max() <= 1 for draw in draws)
    assert abs(often - 3).max() < 10, "each row is drawn as often as any other"
    for size in range(1, 7):
        rows = np.bincount(groups)[groups] == size
        assert often[rows].mean() == pytest.approx(3, rel=0.2)


def test_random_draws_by_class_hold_no_group_twice_either():
    groups, strata = in_groups(1000), np.arange(1000) % 4
    draws = at_random(strata, 100, 8, 0, groups)
    together = np.concatenate(draws)
    assert len(np.unique(together)) == len(together) == 800
    assert sum(100 - len(np.unique(groups[draw])) for draw in draws) < 25
    counts = np.array([np.bincount(strata[at_random(strata, 100, 1, seed, groups)[0]]) for seed in range(200)])
    assert counts.std() == pytest.approx(np.sqrt(100 * 0.25 * 0.75), rel=0.15)


def test_no_more_is_drawn_than_groups_allow():
    assert most_apart(np.arange(100)) == 100
    assert most_apart(np.arange(120) // 3) == 40
    assert most_apart(np.array([0] * 50 + list(range(1, 51)))) == 3  # half of all images are in one group


def test_the_error_of_a_mean_counts_a_group_once():
    values = rng.generator(0, "values").normal(size=20)
    alone = values.std(ddof=1) / 20**0.5
    assert error_of_mean(values) == pytest.approx(alone)
    assert error_of_mean(values, np.arange(100, 120)) == pytest.approx(alone)
    assert error_of_mean(values.repeat(5)) < 0.5 * alone
    assert error_of_mean(values.repeat(5), np.arange(20).repeat(5)) == pytest.approx(alone)


@pytest.mark.parametrize(("sizes", "merged"), [
    ([40, 60], [40, 60]), ([0, 40, 60], [0, 40, 60]), ([3, 40, 57], [0, 43, 57]), ([2, 3, 40, 57], [0, 5, 40, 57]),
    ([3] * 10, None), ([3, 40], None),
])  # fmt: skip
def test_classes_too_small_for_a_stratum_of_their_own_are_merged(sizes, merged):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    strata = Featured(torch.zeros(len(labels), 1), labels, "stratified").strata
    assert merged == (None if strata is None else strata.bincount().tolist())
    in_pairs = Featured(torch.zeros(len(labels), 1), labels, "stratified", torch.arange(len(labels)) // 2).strata
    assert (in_pairs is None) == (merged is None)
