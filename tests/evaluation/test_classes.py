import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chi2, fisher_exact

from fromnoise import rng
from fromnoise.evaluation import classes, verdicts
from fromnoise.evaluation.classes import balance, by_class, class_fids, matched, train_on_generated
from fromnoise.evaluation.featured import Featured, UnavailableError
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.report import Balance, Learned

CLASSES = 3
CENTRES = 4 * torch.eye(CLASSES, 5, dtype=torch.float64)


def labels(n, seed, shares=(0.5, 0.3, 0.2)):
    return torch.from_numpy(rng.generator(seed, "labels").choice(len(shares), n, p=shares))


def features(y, seed, spread=1.0):
    noise = torch.from_numpy(rng.generator(seed, "features").standard_normal((len(y), 5)))
    return CENTRES[y] + spread * noise


def drawn(y, seed, spread=1.0):
    return Featured(features(y, seed, spread), y)


def test_the_balance_is_pearsons():
    found = balance(torch.tensor([0] * 30 + [1] * 50 + [2] * 40), torch.arange(3).repeat(2000))
    assert found.counts == (30, 50, 40)
    assert found.expected == pytest.approx((40, 40, 40))
    assert found.exact
    assert found.chi2 == pytest.approx((100 + 100) / 40)
    assert found.p == pytest.approx(chi2.sf(5, 2))
    assert found.single_p == pytest.approx(3 * 2 * binomtest(30, 120, 1 / 3, alternative="less").pvalue)


def test_a_reference_that_is_itself_a_draw_makes_it_a_test_of_homogeneity():
    found = balance(torch.tensor([0] * 10 + [1] * 30), torch.tensor([0] * 30 + [1] * 30))
    assert not found.exact, "30 of each may be chance"
    pooled = np.array([[40 * 0.4, 40 * 0.6], [60 * 0.4, 60 * 0.6]])
    expected = (np.square(np.array([[10, 30], [30, 30]]) - pooled) / pooled).sum()
    assert found.chi2 == pytest.approx(expected)
    assert found.p == pytest.approx(chi2.sf(expected, 1))
    one_sided = fisher_exact([[10, 30], [30, 30]], alternative="less").pvalue
    assert found.single_p == pytest.approx(2 * 2 * one_sided)


REFERENCES = {
    "even by design": (even_shares := (0.2,) * 5, lambda k: torch.arange(5).repeat(200)),
    "a draw": (shares := (0.5, 0.3, 0.2), lambda k: labels(400, 1000 + k, shares)),
    "a small draw": (even_shares, lambda k: labels(60, 1000 + k, even_shares)),
    "of two classes": ((0.5, 0.5), lambda k: labels(60, 1000 + k, (0.5, 0.5))),
    "long-tailed": (tail := 1 / np.arange(1, 31) / (1 / np.arange(1, 31)).sum(),
                    lambda k: labels(1000, 1000 + k, tail)),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFERENCES)
def test_real_classes_are_accused_no_more_often_than_said(kind):
    shares, reference = REFERENCES[kind]
    found = [balance(labels(300, k, shares), reference(k)) for k in range(400)]
    for level in (0.01, 0.05, 0.2):
        most = level * 400 + 4 * np.sqrt(level * (1 - level) * 400)
        assert sum(each.p <= level for each in found) <= most
        assert sum(each.single_p <= level for each in found) <= most


def test_one_rare_class_accuses_no_real_images():
    shares, wrong = (0.4998, 0.5, 0.0002), 0
    for k in range(400):
        found = balance(labels(100, k, shares), labels(10_000, 1000 + k, shares))
        wrong += found.p < 0.001
    assert wrong <= 3


@pytest.mark.parametrize("reference", [labels(1000, 1), torch.arange(3).repeat(400)])
def test_other_shares_are_found(reference):
    assert balance(labels(1000, 0, (0.2, 0.2, 0.6)), reference).p < 1e-4


def test_a_missing_class_is_found_where_the_others_hide_it_from_the_sum():
    found = balance(torch.tensor([0, 1, 2, 4, 5, 6, 7, 8, 9]).repeat(20), torch.arange(10).repeat(100))
    assert found.p > 0.01
    assert found.single_p < 1e-6


def test_a_class_that_is_missing_counts_and_one_unknown_cannot_be():
    missing = balance(torch.tensor([0, 1] * 50), torch.tensor([0, 1, 2] * 300))
    assert missing.counts == (50, 50, 0)
    assert missing.p < 1e-6
    unknown = balance(torch.tensor([0, 1, 2, 4] * 50), torch.arange(3).repeat(2000))
    assert (unknown.counts, unknown.chi2, unknown.p) == ((50, 50, 50, 0, 50), None, 0)


def test_classes_that_neither_has_do_not_count():
    gap = balance(torch.tensor([0] * 30 + [5] * 20), torch.tensor([0, 5] * 40))
    assert gap.p == pytest.approx(balance(torch.tensor([0] * 30 + [1] * 20), torch.tensor([0, 1] * 40)).p)


def test_the_order_of_labels_does_not_matter():
    assert balance(labels(100, 2).flip(0), labels(100, 3).flip(0)) == balance(labels(100, 2), labels(100, 3))


def test_each_class_has_the_distance_of_its_own_rows():
    ours, theirs = labels(300, 4), labels(400, 5)
    x, y = features(ours, 6), features(theirs, 7)
    found = class_fids(Featured(x, ours), Featured(y, theirs))
    assert [fid.class_ for fid in found] == [0, 1, 2]
    for label, fid in enumerate(found):
        assert fid.value == distance(Moments.of(x[ours == label]), Moments.of(y[theirs == label]))
        assert (fid.n, fid.m) == ((ours == label).sum(), (theirs == label).sum())
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    assert class_fids(Featured(x, ours).take(order), Featured(y, theirs))[1].value == pytest.approx(found[1].value)


def test_a_class_drawn_as_another_shows_and_one_not_drawn_has_no_distance():
    theirs = torch.arange(CLASSES).repeat_interleave(100)
    ours = theirs.clone()
    ours[:100] = 1  # zeros are drawn as ones ...
    x = features(ours, 8)
    found = class_fids(Featured(x, theirs), drawn(theirs, 9))
    assert found[0].value > 20 * max(found[1].value, found[2].value)
    none = class_fids(Featured(x, ours), drawn(theirs, 9))  # ... or not at all
    assert (none[0].value, none[0].n, none[0].m) == (None, 0, 100)


def test_good_images_teach_as_much_as_real_ones():
    y = torch.arange(CLASSES).repeat(200)
    found = train_on_generated(drawn(y, 10), drawn(y, 11), drawn(y, 12))
    assert found.accuracy == pytest.approx(0.995, abs=0.01)
    assert found.accuracy == pytest.approx(found.real_accuracy, abs=0.01)
    assert (found.n, found.real_n) == (600, 600)


def test_images_wrong_for_their_labels_teach_nothing():
    y = torch.arange(CLASSES).repeat(200)
    found = train_on_generated(Featured(features(y, 13), labels(600, 14, (1 / 3,) * 3)), drawn(y, 15))
    assert found.accuracy < 0.6
    assert (found.real_accuracy, found.real_n) == (None, None)
    assert train_on_generated(Featured(features(y, 13), (y + 1) % 3), drawn(y, 15)).accuracy < 0.02


def test_a_class_never_drawn_is_never_recognised():
    y, known = torch.arange(CLASSES).repeat(200), torch.arange(2).repeat(200)
    assert train_on_generated(drawn(known, 16), drawn(y, 17)).accuracy == pytest.approx(2 / 3, abs=0.01)


def test_more_real_images_are_drawn_down_by_the_seed():
    few, many = torch.arange(CLASSES).repeat(10), torch.arange(CLASSES).repeat(300)

    def run(seed):
        return train_on_generated(drawn(few, 18, 3), drawn(many, 19, 3), drawn(many, 20, 3), seed)

    one, again, other = run(0), run(0), run(1)
    assert one == again
    assert (one.n, one.real_n) == (30, 30)
    assert one.accuracy == other.accuracy
    assert one.real_accuracy != other.real_accuracy


def clusters(n, seed=0, shift=0):
    """Labelled rows around ten points far apart; `shift` gives each the label of another."""
    y = torch.arange(n) % 10
    rows = torch.from_numpy(rng.generator(seed, "rows").standard_normal((n, 10))) + 20 * torch.eye(10).double()[y]
    return Featured(rows, (y + shift) % 10, "stratified")


def test_what_labels_add_is_told_together():
    found, notes = by_class(clusters(200), clusters(200, 1), clusters(300, 2), 3000, 0)
    assert found.learned == Learned(1.0, 200, 1.0, 200, 1.0)
    assert found.balance == Balance(10 * (20,), 10 * (20.0,), 0.0, 1.0, 1.0, True, 200)
    assert all(row.value < 50 for row in found.fid)
    assert notes == []
    wrong, _ = by_class(clusters(200, shift=1), clusters(200, 1), None, 3000, 0)
    assert wrong.learned == Learned(0.0, 200, None, None)
    assert all(row.value > 700 for row in wrong.fid)  # the centres are at 2·20² = 800


def test_without_labels_or_with_one_class_nothing_is_said_of_classes(monkeypatch):
    ours, real = clusters(100), clusters(100, 1)
    for one, other in ((Featured(ours.features), real), (ours, Featured(real.features))):
        found, (note,) = by_class(one, other, None, 3000, 0)
        assert found is None
        assert "have no labels" in note
    alike = Featured(ours.features, torch.zeros(100, dtype=torch.int64))
    assert by_class(alike, alike, None, 3000, 0) == (None, ["no metrics by class: there is only one class"])
    found, notes = by_class(alike, real, None, 3000, 0)
    assert found.learned is None
    assert any("no classifier trained on generated" in note for note in notes)
    monkeypatch.setattr(classes, "CLASSIFIED", 3)
    assert by_class(ours, real, None, 3000, 0)[0].learned is None


def test_small_classes_have_no_fid_and_without_further_real_images_none_teach():
    found, notes = by_class(clusters(100), clusters(200, 1), None, 3000, 0)
    assert {row.value for row in found.fid} == {None}
    assert [(row.class_, row.n, row.m) for row in found.fid] == [(k, 10, 20) for k in range(10)]
    assert "no FID of classes with 10 images or fewer: too few for 10 features" in notes
    assert (found.learned.real_accuracy, found.learned.real_n) == (None, None)


def test_matched_classes_take_their_shares_out_of_the_fid():
    shares = torch.tensor([0, 0, 0, 1, 1, 2]).repeat(200)
    ours, even = features(shares, 1), torch.arange(1200) % CLASSES
    real = features(even, 2)
    assert distance(Moments.of(ours), Moments.of(real)) > 0.5
    assert matched(Featured(ours, shares), Featured(real, even), 0).value < 0.1
    assert matched(Featured(real, even), Featured(real, even), 0).value < 1e-6


def test_one_class_is_matched_by_the_same_of_the_reference():
    ours, real = clusters(400), clusters(400, 1)
    three, threes = ours.features[ours.labels == 3], real.features[real.labels == 3]
    found = matched(Featured(three, torch.full((40,), 3)), real, 0)
    assert found.value == pytest.approx(distance(Moments.of(three), Moments.of(threes)), rel=1e-9)


def test_a_class_that_the_reference_lacks_is_not_matched():
    ours, real = clusters(100), clusters(100, 1)
    lacking = Featured(real.features, real.labels.clamp(max=8))
    with pytest.raises(UnavailableError, match="lacks a class"):
        matched(ours, lacking, 0)
    assert matched(lacking, ours, 0).value > 0
    with pytest.raises(UnavailableError, match="no labels"):
        matched(Featured(ours.features), real, 0)


def test_classes_of_a_few_groups_accuse_nobody():
    """Twenty patients of twenty images each, each patient of one class: the images are 20 independent ones."""
    groups, found = np.arange(20).repeat(20), []
    for k in range(200):
        reference = labels(20, 5000 + k, (0.3, 0.3, 0.4)).repeat_interleave(20)
        found.append([balance(labels(400, k, (0.3, 0.3, 0.4)), reference, each).p < 0.01 for each in (None, groups)])
    as_images, as_groups = np.mean(found, axis=0)
    assert as_images > 0.3
    assert as_groups <= 0.03


def test_many_classes_in_two_groups_leave_their_shares_undecided():
    reference = labels(200, 0, (0.05,) * 4 + (0.1,) * 4 + (0.2,) * 2)
    found = balance(labels(200, 1, (0.1,) * 10), reference, np.arange(200) // 100)
    assert found.independent == 2
    assert verdicts.shares(found).mark == "?"


def test_of_classes_of_one_size_only_one_is_pooled_with_a_rare_one():
    reference = torch.arange(9).repeat_interleave(101).tolist() + [9] * 100
    generated = torch.tensor([0] * 30 + list(range(1, 10)) * 2 + [9] * 2)
    assert 0 < balance(generated, torch.tensor(reference)).p < 0.001
