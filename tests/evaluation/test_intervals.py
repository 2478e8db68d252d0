import numpy as np
import pytest

from fromnoise import rng
from fromnoise.evaluation.intervals import deal, disjoint, jackknife


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


@pytest.mark.parametrize("numbers", [(0, 1, 1), (10, 0, 1), (10, 1, 0)])
def test_draws_of_nothing_are_refused(numbers):
    with pytest.raises(ValueError, match="cannot take"):
        disjoint(*numbers)


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


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 labels for 5 rows"):
        disjoint(5, 2, 1, labels=np.zeros(3, dtype=np.int64))


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


def test_labels_that_are_not_as_many_as_rows_are_refused():
    with pytest.raises(ValueError, match="9 labels for 10 rows"):
        deal(10, 2, 0, labels=np.zeros(9, dtype=np.int64))


def test_the_error_of_a_set_balanced_by_design_leaves_out_the_chance_in_its_shares():
    """100 rows about 0 and 100 about 10: the mean of all moves as the rows do about their own centre."""
    labels = np.repeat([0, 1], 100)
    known, unknown = [], []
    for k in range(60):
        x = rng.generator(k, "rows").standard_normal(200) + 10 * labels
        known.append(jackknife(lambda rows, x=x: x[rows].mean(), 200, 20, k, labels) ** 2)
        unknown.append(jackknife(lambda rows, x=x: x[rows].mean(), 200, 20, k) ** 2)
    assert np.sqrt(np.mean(known)) == pytest.approx(1 / np.sqrt(200), rel=0.1)
    assert np.sqrt(np.mean(unknown)) == pytest.approx(np.sqrt(26 / 200), rel=0.1)


def test_leaving_out_single_rows_of_a_mean_gives_its_textbook_error():
    x = np.random.default_rng(0).standard_normal(200)
    found = jackknife(lambda rows: x[rows].mean(), 200, blocks=200)
    assert found == pytest.approx(x.std(ddof=1) / np.sqrt(200), rel=1e-12)


@pytest.mark.parametrize(("statistic", "true"), [
    (np.mean, 1 / np.sqrt(1000)),  # of unit normals
    (np.var, np.sqrt(2 / 1000)),
    (lambda x: np.exp(x.mean()), 1 / np.sqrt(1000)),
])  # fmt: skip
def test_blocks_give_the_true_error_on_average(statistic, true):
    variances = []
    for k in range(100):
        x = rng.generator(k, "rows").standard_normal(1000)
        variances.append(jackknife(lambda rows, x=x: statistic(x[rows]), 1000, blocks=20, seed=k) ** 2)
    assert np.sqrt(np.mean(variances)) == pytest.approx(true, rel=0.08)


def test_blocks_that_do_not_divide_the_rows_leave_each_out_once():
    seen = []
    jackknife(lambda rows: seen.append(rows) or 0.0, 23, blocks=5)
    left_out = [np.setdiff1d(np.arange(23), rows) for rows in seen]
    assert sorted(len(block) for block in left_out) == [4, 4, 5, 5, 5]
    assert np.array_equal(np.sort(np.concatenate(left_out)), np.arange(23))


def test_the_error_follows_the_seed_and_is_zero_for_a_constant():
    x = np.random.default_rng(1).standard_normal(100)
    one, again, other = (jackknife(lambda rows: np.median(x[rows]), 100, 10, seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert jackknife(lambda rows: 3.0, 100, 10) == 0


@pytest.mark.parametrize("blocks", [0, 1, 11])
def test_blocks_that_cannot_be_left_out_are_refused(blocks):
    with pytest.raises(ValueError, match="10 rows cannot be left out"):
        jackknife(lambda rows: 0.0, 10, blocks)
