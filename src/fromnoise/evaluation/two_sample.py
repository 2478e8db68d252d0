"""The classifier two-sample test: can a classifier tell generated features from real ones it was not trained on?

Lopez-Paz & Oquab 2017, with a linear classifier. An accuracy of one half: it cannot.
"""

import numpy as np
from jaxtyping import Float
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from fromnoise import rng
from fromnoise.evaluation.intervals import disjoint
from fromnoise.evaluation.pairs import pair
from fromnoise.evaluation.report import TwoSample

FOLDS = 5


def classifier() -> Pipeline:
    """Logistic regression (scikit-learn, C = 1) on features standardised by the rows it is trained on."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))


def two_sample(generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], *, seed: int = 0) -> TwoSample:
    """The accuracy over `FOLDS` held-out parts of equally many rows of both sets (of the larger a random subset).

    Each row is judged once, by a classifier that was neither trained nor standardised on it. But the classifiers
    share most of their rows, so the judgements are not independent and a binomial p-value would be too small.
    The null is N(½, σ²), 4Nσ² = 1 + FOLDS/(FOLDS − 1) for N judgements: the correction of Nadeau & Bengio (2003) for
    training sets that overlap, on the careful side.

    Raises ValueError for fewer rows than 2 a fold, or sets that cannot be compared.
    """
    generated, reference = pair(generated, reference, 2 * FOLDS)
    n = min(len(generated), len(reference))
    parts = [features[disjoint(len(features), n, 1, seed)[0]].double().numpy() for features in (generated, reference)]
    x, y = np.concatenate(parts), np.repeat([1, 0], n)
    cut = StratifiedKFold(FOLDS, shuffle=True, random_state=rng.integer(seed, "two-sample") % 2**32)
    accuracy = float((cross_val_predict(classifier(), x, y, cv=cut) == y).mean())
    deviation = np.sqrt((1 + FOLDS / (FOLDS - 1)) / (4 * 2 * n))
    return TwoSample(accuracy, float(norm.sf((accuracy - 0.5) / deviation)), n=n)
