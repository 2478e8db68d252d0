import itertools

import numpy as np
import pytest
from scipy import stats

from fromnoise.evaluation.tail import rank_of, tail_p_value


@pytest.mark.parametrize(("n", "m", "rank"), [(3, 4, 1), (4, 3, 2), (5, 5, 3), (6, 4, 4)])
def test_the_p_value_is_the_share_of_all_orders(n, m, rank):
    """Of n + m values of one distribution every order is equally likely: count those as extreme."""
    counts = []
    for held in itertools.combinations(range(n + m), m):
        counts.append(held[rank - 1] - (rank - 1))  # generated values below the rank-th held-out one
    for closer in range(n + 1):
        assert tail_p_value(closer, n, m, rank) == pytest.approx(np.mean(np.array(counts) >= closer), rel=1e-12)


@pytest.mark.parametrize(("n", "m", "rank"), [(1000, 1000, 10), (3000, 100, 1), (3000, 2000, 20)])
def test_the_p_value_is_beta_binomial_and_not_binomial(n, m, rank):
    null = stats.betabinom(n, rank, m - rank + 1)
    for closer in {0, 1, n // 100, n // 50, n // 30}:
        assert tail_p_value(closer, n, m, rank) == pytest.approx(null.sf(closer - 1), rel=1e-6, abs=1e-10)
    most = n // 30  # a threshold taken for known would make too much of this many
    assert stats.binom.sf(most - 1, n, rank / (m + 1)) < tail_p_value(most, n, m, rank) / 2


def test_a_great_number_of_copies_still_has_a_p_value():
    assert 0 < tail_p_value(500, 1000, 1000, 10) < 1e-100


@pytest.mark.parametrize(("m", "tail", "rank"), [
    (50, 0.03, 1), (99, 0.01, 1), (199, 0.01, 2), (999, 0.003, 3), (1000, 0.03, 30), (10_000, 0.003, 30),
])  # fmt: skip
def test_the_threshold_is_that_of_the_tail_or_the_least_value(m, tail, rank):
    assert rank_of(m, tail) == rank
