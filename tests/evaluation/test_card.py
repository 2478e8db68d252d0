import pytest
import torch

from fromnoise.evaluation import card as module
from fromnoise.evaluation import classes
from fromnoise.evaluation.card import Featured, beside, card
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.report import Balance, Beside, Learned

SCALARS = ("fid_infinity", "kid", "precision", "recall", "density", "coverage")


def normal(n, d=4, seed=0, shift=0.0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def clusters(n, seed=0, shift=0):
    """Labelled rows around ten points far apart; `shift` gives each the label of another."""
    centres = 20 * torch.eye(10, dtype=torch.float64)
    labels = torch.arange(n) % 10
    return Featured(normal(n, 10, seed) + centres[labels], (labels + shift) % 10)


def test_the_reference_itself_is_perfect():
    same = Featured(normal(200))
    found, _ = card(same, same, [], None)
    for name in ("precision", "recall", "coverage"):
        assert found[name].value == 1
    assert found["kid"].floor is None
    assert found["kid"].copycat is None


def test_what_is_far_away_is_told_and_what_is_alike_is_not():
    ours, real, fresh = normal(300, shift=30.0), normal(300, seed=1), normal(300, seed=2)
    found, _ = card(Featured(ours), Featured(real), [Featured(fresh)], None)
    assert (found["precision"].value, found["recall"].value) == (0, 0)
    assert (found["density"].value, found["coverage"].value) == (0, 0)
    assert found["two_sample"].accuracy == 1
    assert found["two_sample"].p < 1e-10
    assert found["two_sample"].n == 300
    assert found["two_sample"].floor.value == pytest.approx(0.5, abs=0.1)
    assert found["density"].floor.value == pytest.approx(1, abs=0.15)
    assert found["precision"].floor.value > 0.9
    assert found["fid_infinity"].value == pytest.approx(4 * 30.0**2, rel=0.02)
    assert abs(found["fid_infinity"].floor.value) < 0.1
    assert found["kid"].value > 1e6 * abs(found["kid"].floor.value)


def test_a_copycat_that_is_the_generated_set_scores_as_it_does():
    ours, real = Featured(normal(150)), Featured(normal(200, seed=1))
    found, _ = card(ours, real, [], ours)
    for name in SCALARS:
        assert found[name].copycat == Beside(found[name].value, None, 1, 150)
    assert found["two_sample"].copycat.value == found["two_sample"].accuracy


def test_a_floor_of_several_draws_has_their_mean_and_deviation():
    ours, real = Featured(normal(100)), Featured(normal(100, seed=1))
    draws = [Featured(normal(100, seed=seed)) for seed in (2, 3)]
    both = card(ours, real, draws, None)[0]["recall"].floor
    single = [card(ours, real, [draw], None)[0]["recall"].floor.value for draw in draws]
    assert both.value == pytest.approx(sum(single) / 2)
    assert both.deviation == pytest.approx(abs(single[0] - single[1]) / 2**0.5)
    assert (both.draws, both.n) == (2, 100)


def test_many_large_floor_draws_are_not_all_measured(monkeypatch):
    draws = [Featured(normal(100, seed=seed)) for seed in range(2, 5)]
    for images, measured in ((300, 3), (299, 2), (10, 1)):
        monkeypatch.setattr(module, "FLOOR_IMAGES", images)
        found, _ = card(Featured(normal(100)), Featured(normal(100, seed=1)), draws, None)
        assert found["kid"].floor.draws == measured


def test_large_sets_are_drawn_down_and_the_number_is_said(monkeypatch):
    monkeypatch.setattr(module, "MOST", 80)
    found, _ = card(Featured(normal(120)), Featured(normal(200, seed=1)), [], None)
    assert (found["precision"].n, found["coverage"].n, found["two_sample"].n) == (80, 80, 80)
    assert (found["kid"].n, found["fid_infinity"].n) == (80, 120)


def test_labels_part_the_clusters_evenly_for_fid_at_infinity():
    ours, real = clusters(400), clusters(400, seed=1)
    by_class, at_random = (
        card(labelled, real, [], ours)[0]["fid_infinity"] for labelled in (ours, Featured(ours.features))
    )
    assert by_class.value != at_random.value
    assert by_class.copycat.value == by_class.value
    assert at_random.copycat.value == at_random.value  # a random draw, whatever its labels


def test_too_few_images_or_too_many_features_are_null_and_said(monkeypatch):
    found, notes = card(Featured(normal(60, 20)), Featured(normal(200, 20, 1)), [], None)
    assert found["fid_infinity"] is None
    assert "no FID∞: 60 images in 5 parts cannot fill the covariance of 20 features" in notes
    monkeypatch.setattr(module, "EXTRAPOLATED", 3)
    monkeypatch.setattr(module, "CLASSIFIED", 3)
    labels = torch.arange(60) % 2
    found, notes = card(Featured(normal(60), labels), Featured(normal(60, seed=1), labels), [], None)
    assert (found["fid_infinity"], found["two_sample"], found["classes"].learned) == (None, None, None)
    assert "no FID∞: it is computed for at most 3 features, not for 4" in notes
    assert "no two-sample test: 4 features are too many for its classifier (at most 3)" in notes


def test_a_floor_too_small_for_fid_at_infinity_is_null_alone():
    found, _ = card(Featured(normal(100)), Featured(normal(100, seed=1)), [Featured(normal(20, seed=2))], None)
    assert found["fid_infinity"].floor is None
    assert found["fid_infinity"].value is not None
    assert found["kid"].floor.n == 20


def test_images_of_the_right_class_teach_and_those_of_another_mislead():
    real, train = clusters(200, seed=1), clusters(300, seed=2)
    good, _ = card(clusters(200), real, [], train)
    assert good["classes"].learned == Learned(1.0, 200, 1.0, 200)
    wrong, _ = card(clusters(200, shift=1), real, [], train)
    assert wrong["classes"].learned.accuracy == 0
    assert wrong["classes"].learned.real_accuracy == 1
    assert all(row.value > 700 for row in wrong["classes"].fid)  # the centres are at 2·20² = 800
    assert all(row.value < 50 for row in good["classes"].fid)


def test_the_balance_of_classes_is_pearsons():
    ours, real = clusters(200), clusters(400, seed=1)
    assert card(ours, real, [], None)[0]["classes"].balance == Balance(10 * (20,), 10 * (20.0,), 0.0, 1.0)
    labels = torch.where(ours.labels == 0, 1, ours.labels)  # 0 images, 40 images, 20 ...
    balance = card(Featured(ours.features, labels), real, [], None)[0]["classes"].balance
    assert balance.chi2 == pytest.approx(20 + 20)
    uneven = Featured(real.features, torch.where(real.labels == 0, 1, real.labels))
    sampled = card(Featured(ours.features, labels), uneven, [], None)[0]["classes"].balance
    assert (sampled.chi2, sampled.p) == (pytest.approx(0), pytest.approx(1))


def test_matched_classes_take_their_shares_out_of_the_fid():
    shares = torch.tensor([0, 0, 0, 1, 1, 2]).repeat(200)  # of three classes, far apart
    centres = 20 * torch.eye(3, dtype=torch.float64)
    ours = Featured(normal(1200, 3) + centres[shares], shares)
    even = torch.arange(1200) % 3
    real = Featured(normal(1200, 3, seed=1) + centres[even], even)
    fid = distance(Moments.of(ours.features), Moments.of(real.features))
    found, _ = card(ours, real, [], real)
    assert fid > 10
    assert found["fid_matched"].value < 0.1
    assert found["fid_matched"].copycat.value < 1e-6  # matched to its own shares: the reference itself
    assert card(Featured(ours.features), real, [], None)[0]["fid_matched"] is None


def test_one_class_is_matched_by_the_same_of_the_reference():
    ours, real = clusters(400), clusters(400, seed=1)
    three, threes = ours.features[ours.labels == 3], real.features[real.labels == 3]
    found = classes.matched_fid(three, torch.full((40,), 3), real.features, real.labels)
    assert found == pytest.approx(distance(Moments.of(three), Moments.of(threes)), rel=1e-9)


def test_a_class_that_the_reference_lacks_is_not_matched():
    ours, real = clusters(100), clusters(100, seed=1)
    lacking = Featured(real.features, real.labels.clamp(max=8))
    found, notes = card(ours, lacking, [], None)
    assert found["fid_matched"] is None
    assert "no matched FID: the reference lacks a class that was generated" in notes
    assert classes.matched_fid(lacking.features, lacking.labels, ours.features, ours.labels) is not None


def test_small_classes_have_no_fid():
    found, notes = card(clusters(100), clusters(200, seed=1), [], None)
    assert {row.value for row in found["classes"].fid} == {None}
    assert [(row.class_, row.n, row.m) for row in found["classes"].fid] == [(k, 10, 20) for k in range(10)]
    assert "no FID of classes with 10 images or fewer: too few for 10 features" in notes


def test_without_labels_or_with_one_class_nothing_is_said_of_classes():
    ours, real = clusters(100), clusters(100, seed=1)
    for one, other in ((Featured(ours.features), real), (ours, Featured(real.features))):
        found, notes = card(one, other, [], None)
        assert found["classes"] is None
        assert any("have no labels" in note for note in notes)
    alike = torch.zeros(100, dtype=torch.int64)
    found, notes = card(Featured(ours.features, alike), Featured(real.features, alike), [], None)
    assert found["classes"] is None
    assert "no metrics by class: there is only one class" in notes
    found, notes = card(Featured(ours.features, alike), real, [], None)
    assert found["classes"].learned is None
    assert any("no classifier trained on generated" in note for note in notes)


def test_training_images_without_labels_teach_nothing():
    found, _ = card(clusters(100), clusters(100, seed=1), [], Featured(clusters(100, seed=2).features))
    assert (found["classes"].learned.real_accuracy, found["classes"].learned.real_n) == (None, None)


def test_progress_ends_where_it_said_it_would():
    ours, real, floor = (Featured(normal(60, seed=seed)) for seed in range(3))
    told = []
    card(ours, real, [floor], None, progress=lambda *at: told.append(at))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_one_value_has_no_deviation():
    assert beside([2.0], 7) == Beside(2.0, None, 1, 7)
    assert beside([1.0, 3.0], 7).deviation == pytest.approx(2**0.5)
