import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fromnoise.data import digits
from fromnoise.errors import UserError
from fromnoise.evaluation import statistics
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.report import Report


@pytest.fixture
def project():
    """A cheap extractor: a fixed random projection to six numbers."""
    matrix = torch.randn(784, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 1000
    return Features("projection", 6, "abc", lambda images: images.flatten(1).double() @ matrix)


@pytest.fixture
def put(tmp_path):
    """A function that writes arrays into an .npz file."""

    def write(**arrays):
        np.savez(tmp_path / "stats.npz", **arrays)
        return tmp_path / "stats.npz"

    return write


def test_the_fid_is_that_of_the_images_behind_the_statistics(put, project):
    generated, real = digits.load("val").subset(100, 0), project(digits.load("heldout").images)
    covariance = np.cov(real.numpy().T)
    published = statistics.load(put(mu=real.mean(0).numpy(), sigma=covariance))
    report = statistics.score(generated, published, project)
    assert report.fid.value == pytest.approx(
        distance(Moments.of(real), Moments.of(project(generated.images))), rel=1e-6
    )
    assert list(report.metrics) == ["fid"]
    assert report.noise.value > 10 * report.fid.value
    assert (report.excess, report.copies, report.classes) == (None, None, None)
    assert any("an FID and nothing else" in note for note in report.notes)
    assert "statistics" in report.protocol.line
    assert Report.of(json.loads(json.dumps(report.plain()))) == report


def test_weights_that_may_not_be_the_published_ones_are_said(put, project):
    published = statistics.load(put(mu=np.zeros(6), sigma=np.eye(6)))
    for known in (True, False):
        features = replace(project, name="inception", known=known)
        notes = statistics.score(digits.load("val").subset(60, 0), published, features).notes
        assert any("may not be the published weights of inception" in note for note in notes) is not known


def test_statistics_of_other_features_are_refused_and_inceptions_are_named(put, project):
    generated = digits.load("val").subset(60, 0)
    for d, told in ((5, "statistics of 5 features, and projection has 6$"), (2048, "--features inception")):
        published = statistics.load(put(mu=np.zeros(d), sigma=np.eye(d)))
        with pytest.raises(UserError, match=told):
            statistics.score(generated, published, project)
    with pytest.raises(UserError, match="at least 50"):
        statistics.score(generated.subset(49, 0), published, project)


@pytest.mark.parametrize(
    "arrays",
    [
        {"mu": np.zeros(3), "sigma": np.eye(4)},
        {"mu": np.zeros((3, 1)), "sigma": np.eye(3)},
        {"mu": np.array(0.0), "sigma": np.eye(1)},
        {"mu": np.array([0, np.nan, 0]), "sigma": np.eye(3)},
        {"mu": np.zeros(3), "sigma": np.triu(np.ones((3, 3)))},
        {"mu": np.zeros(3), "sigma": np.full((3, 3), np.inf)},
    ],
    ids=["other sizes", "a column", "a number", "not finite", "not symmetric", "infinite"],
)
def test_what_cannot_be_statistics_is_refused(put, arrays):
    with pytest.raises(UserError, match=r"stats\.npz: "):
        statistics.load(put(**arrays))


def test_a_file_with_images_is_none_of_statistics(put, tmp_path):
    images = np.zeros((60, 8, 8, 1), np.uint8)
    assert statistics.load(put(arr_0=images)) is None
    assert statistics.load(put(arr_0=images, mu=np.zeros(3), sigma=np.eye(3))) is None
    assert statistics.load(tmp_path / "nowhere.npz") is None


def test_other_statistics_have_another_fingerprint(put):
    one = statistics.load(put(mu=np.zeros(3), sigma=np.eye(3)))
    assert replace(one, fingerprint="") != one
    assert statistics.load(put(mu=np.zeros(3), sigma=np.eye(3) * 2)).fingerprint != one.fingerprint
