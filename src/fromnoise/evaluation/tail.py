"""An exact test of tails: are more values of one set beyond a threshold than that share of another set's values?

The threshold is an order statistic of the other set, such as its third smallest value.
"""

import math

from scipy import stats


def tail_p_value(beyond: int, n: int, m: int, rank: int) -> float:
    """P(at least `beyond` of n values lie below the `rank`-th smallest of m others), all of one distribution.

    It is the same above the `rank`-th largest. Exact, with no regard to the distribution: the threshold is itself
    random, an order statistic of the others, so the count is not binomial but negative hypergeometric (that is,
    beta-binomial with α = rank and β = m − rank + 1). At least `beyond` lie below just when the first beyond + rank − 1
    values of both sets together hold fewer than `rank` of the m: a hypergeometric tail. Ties only make the p-value
    larger.
    """
    return float(stats.hypergeom.cdf(rank - 1, n + m, m, beyond + rank - 1))


def rank_of(m: int, tail: float) -> int:
    """The rank, among m values, of the threshold below which a share `tail` of others is expected; 1 if m is small."""
    return max(1, math.floor(tail * (m + 1) + 1e-9))
