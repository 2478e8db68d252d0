import pytest
import torch

from fromnoise.evaluation import extrapolation, metrics
from fromnoise.evaluation.featured import Featured, Number
from fromnoise.evaluation.metrics import METRICS, Metric, measured
from fromnoise.evaluation.report import Beside


def normal(n, d=4, seed=0, shift=0.0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def clusters(n, seed=0, design="stratified"):
    """Labelled rows around ten points far apart."""
    labels = torch.arange(n) % 10
    return Featured(normal(n, 10, seed) + 20 * torch.eye(10, dtype=torch.float64)[labels], labels, design)


def test_the_reference_itself_is_perfect():
    same = Featured(normal(200))
    found, _ = measured(same, same, [], [])
    for name in ("precision", "recall", "coverage"):
        assert found[name].value == 1
    assert found["kid"].floor is None
    assert found["kid"].copycat is None


def test_what_is_far_away_is_told_and_what_is_alike_is_not():
    ours, real, fresh = Featured(normal(300, shift=30.0)), Featured(normal(300, seed=1)), Featured(normal(300, seed=2))
    found, _ = measured(ours, real, [fresh], [])
    assert (found["precision"].value, found["recall"].value) == (0, 0)
    assert (found["density"].value, found["coverage"].value) == (0, 0)
    assert found["density"].floor.value == pytest.approx(1, abs=0.15)
    assert found["precision"].floor.value > 0.9
    assert found["fid_infinity"].value == pytest.approx(4 * 30.0**2, rel=0.02)
    assert abs(found["fid_infinity"].floor.value) < 0.1
    assert found["kid"].value > 1e6 * abs(found["kid"].floor.value)


def test_a_copycat_that_is_the_generated_set_scores_as_it_does():
    ours, real = clusters(150), clusters(200, seed=1)
    found, _ = measured(ours, real, [], [ours])
    assert set(found) == set(METRICS)
    for of in found.values():
        assert of.copycat == Beside(of.value, None, 1, 150)


def test_a_floor_of_several_draws_has_their_mean_and_deviation():
    ours, real = Featured(normal(100)), Featured(normal(100, seed=1))
    draws = [Featured(normal(100, seed=seed)) for seed in (2, 3)]
    both = measured(ours, real, draws, [])[0]["recall"].floor
    single = [measured(ours, real, [draw], [])[0]["recall"].floor.value for draw in draws]
    assert both.value == pytest.approx(sum(single) / 2)
    assert both.deviation == pytest.approx(abs(single[0] - single[1]) / 2**0.5)
    assert (both.subsets, both.n) == (2, 100)


def test_images_are_as_many_as_the_floors_or_fewer_and_the_number_is_said(monkeypatch):
    ours, real, floor = (Featured(normal(n, seed=n)) for n in (120, 200, 90))
    found, _ = measured(ours, real, [floor], [])
    assert (found["precision"].n, found["precision"].floor.n, found["fid_infinity"].n) == (90, 90, 120)
    monkeypatch.setattr(metrics, "MOST", 80)
    found, _ = measured(ours, real, [floor], [])
    assert (found["precision"].n, found["kid"].n, found["coverage"].floor.n) == (80, 80, 80)


def test_the_design_of_the_draw_reaches_the_metrics():
    by_class, at_random = (
        measured(clusters(400, 0, design), clusters(400, 1, design), [], [])[0] for design in ("stratified", "random")
    )
    for name in ("kid", "fid_infinity"):
        assert by_class[name].error < at_random[name].error
    assert by_class["recall"] == at_random["recall"]


def test_what_cannot_be_had_is_left_out_and_said(monkeypatch):
    found, notes = measured(Featured(normal(60, 20)), Featured(normal(200, 20, 1)), [], [])
    assert "fid_infinity" not in found
    assert "no FID∞: 60 images in 5 parts cannot fill the covariance of 20 features" in notes
    assert "no matched FID: the images or the reference have no labels" in notes
    monkeypatch.setattr(extrapolation, "EXTRAPOLATED", 3)
    _, notes = measured(Featured(normal(60)), Featured(normal(60, seed=1)), [], [])
    assert "no FID∞: it is computed for at most 3 features, not for 4" in notes


def test_a_floor_too_small_for_fid_at_infinity_has_none_alone():
    found, _ = measured(Featured(normal(100)), Featured(normal(100, seed=1)), [Featured(normal(20, seed=2))], [])
    assert found["fid_infinity"].floor is None
    assert found["kid"].floor.n == 20


def test_a_metric_is_a_line(monkeypatch):
    def spread(ours, real, seed):
        return Number(float(ours.features.std() / real.features.std()))

    monkeypatch.setattr(metrics, "METRICS", {"spread": Metric("spread", "wider than real ones", spread)})
    found, notes = measured(Featured(2 * normal(100)), Featured(normal(100)), [Featured(normal(100))], [])
    assert found["spread"].value == pytest.approx(2)
    assert found["spread"].floor.value == 1
    assert notes == []


def test_progress_ends_where_it_said_it_would(bars):
    ours, real, floor = (Featured(normal(60, seed=seed)) for seed in range(3))
    measured(ours, real, [floor], [])
    assert bars == [("metrics", k, len(METRICS)) for k in range(1, len(METRICS) + 1)]
